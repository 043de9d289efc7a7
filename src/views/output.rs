//! What an output of a view is told, and what it promises.

pub mod postgres;
pub mod webhook;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use eventlake_core::names::ViewName;

/// What an output is to show from now on.
#[derive(Clone, Copy, Debug)]
pub struct Emission<'e> {
    pub view: &'e ViewName,
    /// A number that grows with every commit of the view's tables: an older one is never shown over a newer one.
    pub as_of: u64,
    pub columns: &'e SchemaRef,
    /// Positions in `columns` of those that no two rows share. None: a view of one row.
    pub key: &'e [usize],
    pub rows: &'e [RecordBatch],
    pub covers: Covers,
}

/// What rows of an emission stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// All that the view holds: what was shown before and is not among them is gone.
    Everything,
    /// Rows to be added, each in the place of one with its key, where there is one. Whole windows come at once, so what was
    /// shown of the same window and is not among them is gone.
    Windows,
    /// Rows that were never there before, or are the same as they were.
    NewRows,
}

/// Where an output stands after an emission, in its own words: kept with the view's state, and handed back to it.
pub type Mark = Option<u64>;

/// Where a view's rows go.
pub trait Output: Send {
    /// Shows these rows, durably. Afterwards a crash may hand it the same ones again, with the mark from before.
    ///
    /// # Errors
    /// When it cannot now; it is asked again later, with these rows and newer ones.
    fn emit(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark>;
}
