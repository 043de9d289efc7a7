//! What there is to query, in plain words: tables, their columns, and the files that one commit of each log calls live.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use eventlake_core::commit::{File, FileSet, SchemaVersion};
use eventlake_core::config::PartitionBy;
use eventlake_core::names::TableName;
use eventlake_core::schema::EventTime;

use crate::view::Span;

/// The schema of accepted rows: where a name without a schema is looked for.
pub const ACCEPTED: &str = "public";
/// The schema of rejected records.
pub const REJECTED: &str = "rejected";

/// One table as of one commit.
#[derive(Clone, Debug)]
pub struct Table {
    pub set: FileSet,
    pub name: TableName,
    /// The columns in the files; `date` and `hour` come from their places.
    pub columns: SchemaRef,
    /// What files with exactly these columns call them; of other files the columns are compared before they are read.
    pub columns_version: SchemaVersion,
    /// What the files' times are of.
    pub event_time: EventTime,
    pub partition_by: PartitionBy,
    pub files: Vec<LiveFile>,
}

/// A live file, and where it may lie: under its final name, or still staged.
#[derive(Clone, Debug)]
pub struct LiveFile {
    pub file: File,
    pub places: Vec<PathBuf>,
}

impl Table {
    /// Its files that can hold rows of this time.
    pub fn files_of(&self, span: Span) -> impl Iterator<Item = &LiveFile> {
        self.files.iter().filter(move |live| span.overlaps(&live.file))
    }

    /// The table with those of its files that can hold rows of this time.
    pub(crate) fn overlapping(&self, span: Span) -> Table {
        Table {
            files: self.files_of(span).cloned().collect(),
            name: self.name.clone(),
            columns: Arc::clone(&self.columns),
            columns_version: self.columns_version.clone(),
            event_time: self.event_time.clone(),
            ..*self
        }
    }

    pub(crate) fn schema_name(&self) -> &'static str {
        match self.set {
            FileSet::Accepted => ACCEPTED,
            FileSet::Rejected => REJECTED,
        }
    }

    /// How a query names it.
    pub(crate) fn full_name(&self) -> String {
        match self.set {
            FileSet::Accepted => self.name.to_string(),
            FileSet::Rejected => format!("{REJECTED}.{}", self.name),
        }
    }
}
