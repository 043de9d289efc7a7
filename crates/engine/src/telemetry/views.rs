//! How the live views of the process are doing: told as a whole by who runs them.

use eventlake_core::names::ViewName;
use serde::{Deserialize, Serialize};

/// One view at one moment. The field names are a public format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewSnapshot {
    pub view: ViewName,
    #[serde(flatten)]
    pub state: ViewState,
    /// The sum of the numbers of the commits that it is as of: what its outputs call `as_of`.
    pub as_of: u64,
    /// Commits that it has yet to look at.
    pub behind_commits: u64,
    /// Of a running view, its groups and their bytes.
    pub groups: u64,
    pub state_bytes: u64,
    /// Of a view of windows: how far event time has come, and rows that came too late for every window.
    pub watermark_unix_micros: Option<i64>,
    pub too_late_rows: u64,
    pub outputs: Vec<OutputSnapshot>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ViewState {
    Running,
    /// Another process runs it.
    Elsewhere,
    /// It does not go on; tried again from time to time.
    Failing {
        why: String,
    },
}

/// One output of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSnapshot {
    pub output: String,
    /// Whether it shows all that the view says.
    pub up_to_date: bool,
    /// Why it takes no rows.
    pub trouble: Option<String>,
    /// Rows it took since the process started.
    pub rows: u64,
}
