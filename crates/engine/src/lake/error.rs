//! What can go wrong with a topic's log and table, by what the caller does about it.

use std::path::PathBuf;

use eventlake_core::commit::File;
use eventlake_core::names::{TableName, TopicName};

use super::store::StoreError;

/// Every variant but `Io` stops the topic: a person must act first.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The disk refuses: full, read-only, gone. Try again later; nothing is lost.
    #[error(transparent)]
    Io(#[from] StoreError),
    /// The log cannot be folded. Nothing was changed on disk.
    #[error("the commit log of topic {topic} is damaged: {}: {fault}\nhint: {remedy}", path.display())]
    Corrupt {
        topic: TopicName,
        path: PathBuf,
        fault: String,
        remedy: String,
    },
    /// The table belongs to another log, or the log to another table.
    #[error("table {table} cannot take topic {topic}: {fault}\nhint: {remedy}")]
    Owner {
        topic: TopicName,
        table: TableName,
        fault: String,
        remedy: String,
    },
    /// Live files are neither staged nor in the table.
    #[error("{}", missing(topic, files))]
    MissingFiles { topic: TopicName, files: Vec<File> },
    /// A folder cannot be exchanged for its new content.
    #[error("cannot exchange {}: {fault}\nhint: {remedy}", folder.display())]
    Exchange {
        folder: PathBuf,
        fault: &'static str,
        remedy: &'static str,
    },
}

fn missing(topic: &TopicName, files: &[File]) -> String {
    const NAMED: usize = 5;
    let mut text = format!(
        "data loss: {} committed files of topic {topic} are gone:",
        files.len()
    );
    for file in files.iter().take(NAMED) {
        text.push_str(&format!("\n  {} ({} rows", file.key(), file.rows));
        for offsets in file.offsets.iter().take(NAMED) {
            text.push_str(&format!(
                ", partition {} offsets [{}, {})",
                offsets.partition, offsets.from, offsets.next
            ));
        }
        text.push(')');
    }
    if files.len() > NAMED {
        text.push_str(&format!("\n  and {} more", files.len() - NAMED));
    }
    text.push_str(
        "\nhint: put them back from a backup, under the same names; the commit log states their checksums",
    );
    text
}
