//! An alert's outputs as written: which there are, and the keys of each.

use crate::config::WebhookFormat;
use crate::config::outputs::webhook::WrittenWebhook;
use crate::config::outputs::{self, Kind, OutputTable};
use crate::config::reader::{Given, Reader, Table};
use crate::config::settings::{self, Section, Setting};
use crate::config::values;

/// What an alert's output may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertOutputKind {
    Log,
    Webhook,
}

impl AlertOutputKind {
    pub const ALL: [Self; 2] = [Self::Log, Self::Webhook];

    /// As the configuration calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Webhook => "webhook",
        }
    }

    /// What may stand beside its `to`.
    #[must_use]
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Log => &[],
            Self::Webhook => &[
                "url",
                "url_env",
                "url_file",
                "secret",
                "secret_env",
                "secret_file",
                "format",
            ],
        }
    }
}

impl Kind for AlertOutputKind {
    const SECTION: Section = Section::Alerts;
    const OWNER: &'static str = "an alert";
    const OUTPUTS: Setting = settings::ALERT_OUTPUTS;
    const TO: Setting = settings::alerts("outputs.to", "\"log\" or \"webhook\"");
    const KINDS: &'static [Self] = &AlertOutputKind::ALL;
    const NOT_YET: &'static [(&'static str, &'static str)] = &[];

    fn name(self) -> &'static str {
        AlertOutputKind::name(self)
    }

    fn keys(self) -> &'static [&'static str] {
        AlertOutputKind::keys(self)
    }
}

const FORMAT: Setting = settings::alerts("outputs.format", "\"json\" or \"slack\"");

/// An output, whose keys that are missing are refused already.
pub(in crate::config) enum WrittenAlertOutput {
    Log,
    Webhook {
        webhook: Box<WrittenWebhook>,
        format: Given<WebhookFormat>,
    },
}

/// Reads an alert's `outputs`.
pub(super) fn read(reader: &mut Reader<'_>, alert: &Table<'_, '_>) -> Given<Vec<WrittenAlertOutput>> {
    outputs::read(reader, alert, read_one)
}

fn read_one(
    reader: &mut Reader<'_>,
    output: &OutputTable<'_, '_>,
    kind: AlertOutputKind,
) -> WrittenAlertOutput {
    match kind {
        AlertOutputKind::Log => WrittenAlertOutput::Log,
        AlertOutputKind::Webhook => WrittenAlertOutput::Webhook {
            webhook: Box::new(WrittenWebhook::read(reader, output)),
            format: output.setting(reader, &FORMAT, values::webhook_format),
        },
    }
}
