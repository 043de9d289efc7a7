//! Alerts as configured: a condition on a view's rows, and who is told.

pub(super) mod outputs;
pub(super) mod resolve;
pub(super) mod written;

use std::fmt;
use std::time::Duration;

use super::outputs::secrets::Secret;
use super::transform::SqlText;
use crate::names::{AlertName, ViewName};

/// One `[[alerts]]` table.
#[derive(Clone, Debug)]
pub struct AlertConfig {
    pub name: AlertName,
    /// One of the configuration's views.
    pub view: ViewName,
    /// What could stand after WHERE, over the view's columns.
    pub when: SqlText,
    pub severity: Severity,
    /// After it was sent for a key, none is sent again for that key for so long.
    pub cooldown: Duration,
    /// Whether it is said, too, when the condition no longer holds.
    pub resolve: bool,
    /// Never empty.
    pub outputs: Vec<AlertOutput>,
}

/// How bad it is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl fmt::Display for Severity {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertOutput {
    /// The program's own log.
    Log,
    Webhook {
        url: Secret,
        /// What the body is signed with.
        secret: Option<Secret>,
        format: WebhookFormat,
    },
}

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The alert as an object.
    Json,
    /// A message as Slack, and what speaks like it, shows it.
    Slack,
}
