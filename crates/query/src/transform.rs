//! A topic's transform: a projection and a filter in SQL, compiled once, that make of each event one row or none.
//!
//! An event's row depends on the event alone and is the same whenever it is asked: what looks at other rows (aggregates, window
//! functions, subqueries), at a clock or at chance is refused. The three columns that trace a row, and the event time by which rows
//! are put into time partitions, pass as they are.

mod apply;
mod plan;
#[cfg(test)]
mod tests;
mod types;

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use eventlake_core::config::TransformPart;

use crate::fault::Fault;

/// What is transformed.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The columns of decoded events; the last `traced` of them trace a row.
    pub columns: SchemaRef,
    pub traced: usize,
    /// The column of the event time, where there is one.
    pub event_time: Option<String>,
}

impl Frame {
    fn is_traced(&self, name: &str) -> bool {
        let fields = self.columns.fields();
        fields[fields.len() - self.traced..]
            .iter()
            .any(|field| field.name() == name)
    }
}

/// Why a transform cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct TransformError {
    pub part: TransformPart,
    pub fault: Fault,
}

/// A compiled transform.
#[derive(Clone, Debug)]
pub struct RowTransform {
    condition: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Column>,
    traced: usize,
    schema: SchemaRef,
}

/// One column that it makes.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    expression: Arc<dyn PhysicalExpr>,
    /// What the lake keeps its values as.
    kept_as: DataType,
}

impl RowTransform {
    /// Compiles what could stand between `SELECT` and `FROM` (none: all columns), and after `WHERE` (none: all rows).
    ///
    /// # Errors
    /// Every piece that is at fault, the `where` first: when it cannot be parsed, names no column of these, looks at more than
    /// the row, or makes a column that the lake cannot keep.
    pub fn compile(
        select: Option<&str>,
        condition: Option<&str>,
        frame: &Frame,
    ) -> Result<RowTransform, Vec<TransformError>> {
        plan::compile(select, condition, frame)
    }

    /// The columns it makes, and then those that trace a row.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
