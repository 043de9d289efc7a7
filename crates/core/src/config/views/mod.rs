//! Live views as configured: SQL over tables, when it is worked out, and where its rows go.

pub(super) mod objects;
pub(super) mod outputs;
pub(super) mod resolve;
pub(super) mod written;

use std::path::PathBuf;
use std::time::Duration;

use super::outputs::secrets::Secret;
use super::transform::SqlText;
use crate::names::ViewName;
use objects::{ObjectAddress, ObjectFormat};
use outputs::OutputKind;

/// One `[[views]]` table.
#[derive(Clone, Debug)]
pub struct ViewConfig {
    pub name: ViewName,
    pub sql: SqlText,
    /// None: over all rows ever committed.
    pub window: Option<WindowConfig>,
    /// How long it waits at least between two emissions; none: with each commit.
    pub every: Option<Duration>,
    pub start: ViewStart,
    /// Groups that its state may hold.
    pub groups_max: u64,
    pub outputs: Vec<OutputConfig>,
}

/// Windows on event time: one of `size` begins at every multiple of `slide` since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowConfig {
    pub size: Duration,
    /// Equal to the size: tumbling. Never longer than the size.
    pub slide: Duration,
    /// How long after its end a window takes rows that come late.
    pub lateness: Duration,
}

/// Which rows a view that was never seen before begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewStart {
    /// All rows that the lake holds.
    Lake,
    /// Those that are committed from now on.
    Now,
}

/// Where a view's rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputConfig {
    /// A table on standard output.
    Console {
        rows_max: u64,
    },
    /// One JSON object a row and line; the file is replaced as a whole.
    Json {
        path: PathBuf,
    },
    /// One JSON object a row and line, appended.
    JsonLines {
        path: PathBuf,
    },
    /// A line a row, appended after a line of names.
    Csv {
        path: PathBuf,
    },
    Postgres {
        url: Secret,
        table: String,
    },
    Mongodb {
        url: Secret,
        /// None: the one that the URL names.
        database: Option<String>,
        collection: String,
    },
    Webhook {
        url: Secret,
        /// What the body is signed with.
        secret: Option<Secret>,
    },
    /// In S3, Azure Blob Storage or Google Cloud Storage: an object that is replaced, or a prefix with an object for each window
    /// or for each emission of new rows.
    Object {
        address: ObjectAddress,
        format: ObjectFormat,
    },
}

impl OutputConfig {
    /// As the configuration calls it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let kind = match self {
            Self::Console { .. } => OutputKind::Console,
            Self::Json { .. } => OutputKind::Json,
            Self::JsonLines { .. } => OutputKind::JsonLines,
            Self::Csv { .. } => OutputKind::Csv,
            Self::Postgres { .. } => OutputKind::Postgres,
            Self::Mongodb { .. } => OutputKind::Mongodb,
            Self::Webhook { .. } => OutputKind::Webhook,
            Self::Object { .. } => OutputKind::Object,
        };
        kind.name()
    }
}

/// A fault of a view's SQL, or of a condition on its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewFault {
    /// Line and column in the text, from 1, the column in characters; none where no place can be named.
    pub at: Option<(usize, usize)>,
    pub message: String,
}
