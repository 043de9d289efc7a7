//! Live views: SQL that is kept up to date with what is committed, by looking at what is new alone wherever that is enough.
//!
//! Three kinds, by what the SQL asks for. A *running* view aggregates one stream of rows: new rows are aggregated by themselves and
//! merged into a [`Groups`] state. A view of *rows* is a plain select, whose new rows are those of the new files. A view of
//! *windows* is worked out anew for each window of event time, over the rows of that time. What a view says is a function of the
//! committed rows alone, so SQL that asks for a clock, for chance or for the order in which rows came is refused.

mod codec;
mod held;
mod key;
mod linear;
mod plan;
mod rows;
mod running;
#[cfg(test)]
mod tests;
mod windows;

use arrow::datatypes::SchemaRef;
use eventlake_core::names::TableName;

pub(crate) use held::HeldTable;
pub use running::Groups;
pub use windows::{EventTimes, Span, WINDOW_END, WINDOW_START};

/// The column that tells rows of different lives of one topic apart.
pub const KAFKA_GENERATION: &str = "_kafka_generation";

/// A view's SQL, found to be one that can be kept up to date.
#[derive(Clone, Debug)]
pub struct View {
    sql: String,
    kind: ViewKind,
    columns: SchemaRef,
    key: Option<Vec<usize>>,
    tables: Vec<TableName>,
    state_form: String,
}

/// How a view is kept up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewKind {
    /// Groups, over all rows ever committed.
    Running,
    /// Each committed row once.
    Rows,
    /// Each window of event time by itself.
    Windows,
}

impl View {
    #[must_use]
    pub fn kind(&self) -> ViewKind {
        self.kind
    }

    /// The columns of its rows. Of windows the first two say which; of rows the last three where each came from.
    #[must_use]
    pub fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// Positions of the columns that no two rows share: none of them where there is one row alone. None where the SQL leaves a
    /// column out that its groups differ by, so that nothing tells rows apart.
    #[must_use]
    pub fn key(&self) -> Option<&[usize]> {
        self.key.as_deref()
    }

    /// The tables whose rows it looks at, each once.
    #[must_use]
    pub fn tables(&self) -> &[TableName] {
        &self.tables
    }

    /// What states of this view and no other look like: its SQL, and the types of what is kept.
    #[must_use]
    pub fn state_form(&self) -> &str {
        &self.state_form
    }
}
