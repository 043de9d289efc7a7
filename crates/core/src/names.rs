//! Every name there is: of topics and tables, and of each file and folder in the lake and in the commit log.

mod file_path;
mod log;
mod staging;
mod time_partition;

pub use file_path::{BadFilePath, FilePath, FolderPath};
pub use log::{
    ACCOUNTS_FOLDER, AccountRange, EXCHANGE_FOLDER, LOCK_FILE, LogPaths, SNAPSHOTS_FOLDER, STAGING_FOLDER,
    TEMPORARY_SUFFIX, Twin, number_in,
};
pub use staging::{OWNER_FILE, StagingEntry, StagingPaths, file_name_of_staged, staging_entry};
pub use time_partition::TimePartition;

use crate::checked_text::checked_text;

/// The longest name Kafka allows a topic.
const NAME_BYTES_MAX: usize = 249;

/// A text that cannot name a topic or a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be a name: {reason}")]
pub struct BadName {
    pub name: String,
    pub reason: &'static str,
}

checked_text! {
    /// A topic's name by Kafka's rule: 1 to 249 of ASCII letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
    TopicName, BadName, |text| refused(text, topic_fault(text))
}

checked_text! {
    /// A table's name: a topic's name that does not begin with `.` or `_`, which readers of a lake pass over.
    TableName, BadName, |text| refused(text, table_fault(text))
}

checked_text! {
    /// A view's name, which its state's folder and its rows elsewhere carry: a table's name without `.` and `-`.
    ViewName, BadName, |text| refused(text, view_fault(text))
}

checked_text! {
    /// An alert's name, which messages elsewhere carry: as a view's.
    AlertName, BadName, |text| refused(text, view_fault(text))
}

fn refused(name: &str, reason: Option<&'static str>) -> Result<(), BadName> {
    match reason {
        None => Ok(()),
        Some(reason) => Err(BadName {
            name: name.to_owned(),
            reason,
        }),
    }
}

fn topic_fault(text: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() {
        Some("it is empty")
    } else if text.len() > NAME_BYTES_MAX {
        Some("it is longer than 249 characters")
    } else if !text.bytes().all(allowed) {
        Some("only ASCII letters, digits, '.', '_' and '-' are allowed")
    } else if text == "." || text == ".." {
        Some("it is a folder's own name")
    } else {
        None
    }
}

fn table_fault(text: &str) -> Option<&'static str> {
    topic_fault(text).or_else(|| {
        text.starts_with(['.', '_'])
            .then_some("readers of a lake pass over names that begin with '.' or '_'")
    })
}

fn view_fault(text: &str) -> Option<&'static str> {
    table_fault(text).or_else(|| {
        text.contains(['.', '-'])
            .then_some("only ASCII letters, digits and '_' are allowed")
    })
}
