//! A view of windows: its SQL over the rows of one window's time, and the times that decide which windows there are.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use eventlake_core::names::{TableName, ViewName};
use eventlake_core::schema::EventTime;

use super::{View, running};
use crate::bounds::{KAFKA_PARTITION, KAFKA_TIMESTAMP, micros_a_unit};
use crate::error::QueryError;
use crate::fault::quoted;
use crate::lake::Table;
use crate::session::Session;

/// When the window begins, inclusive.
pub const WINDOW_START: &str = "window_start";
/// When it ends, exclusive.
pub const WINDOW_END: &str = "window_end";

/// A stretch of event time, in microseconds since 1970: `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: i64,
    pub until: i64,
}

/// When one row happened, and which partition it came through.
pub type EventTimes = Vec<(i32, i64)>;

impl Session {
    /// The view's rows of one window, over all files that can hold rows of it.
    ///
    /// # Errors
    /// When a file cannot be read, or memory does not suffice.
    pub fn window_of(
        &mut self,
        view: &View,
        span: Span,
        tables: Vec<Table>,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        self.show_within(tables, span);
        self.window_shown(view, span)
    }

    /// Finds out whether this SQL over the windows of another view can be kept up to date. It sees them as a table with the view's
    /// name and columns.
    ///
    /// # Errors
    /// [`QueryError::Sql`] with what is wrong with it.
    pub fn view_of_windows(&mut self, sql: &str, name: &ViewName, source: &View) -> Result<View, QueryError> {
        self.show_rows(name, &source.columns, Vec::new());
        let view = self.view(sql, true)?;
        Ok(View {
            tables: source.tables.clone(),
            state_form: format!("{} over {}", view.state_form, source.state_form),
            ..view
        })
    }

    /// The view's rows of one of its windows, given those of the view it looks at.
    ///
    /// # Errors
    /// When memory does not suffice, or an expression fails.
    pub fn window_of_windows(
        &mut self,
        view: &View,
        span: Span,
        name: &ViewName,
        source: (&View, Vec<RecordBatch>),
    ) -> Result<Vec<RecordBatch>, QueryError> {
        self.show_rows(name, &source.0.columns, source.1);
        self.window_shown(view, span)
    }

    fn window_shown(&self, view: &View, span: Span) -> Result<Vec<RecordBatch>, QueryError> {
        let batches = self.rows_by(&view.sql)?;
        let columns = running::loosened(&view.columns);
        batches
            .into_iter()
            .filter(|batch| batch.num_rows() > 0)
            .map(|batch| {
                let bound = |micros| {
                    let times = TimestampMicrosecondArray::from_value(micros, batch.num_rows());
                    Arc::new(times.with_timezone("UTC")) as ArrayRef
                };
                let mut all = vec![bound(span.from), bound(span.until)];
                all.extend(batch.columns().iter().cloned());
                super::rows::fitted(&columns, all)
            })
            .collect()
    }

    /// Partition and event time of every row of one of the tables shown. A row whose event time is null has none.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn times_of(&self, table: &TableName, event_time: &EventTime) -> Result<EventTimes, QueryError> {
        let column = event_time.field().unwrap_or(KAFKA_TIMESTAMP);
        let sql = format!(
            "SELECT {KAFKA_PARTITION}, {} FROM {}",
            quoted(column),
            quoted(table.as_str())
        );
        let batches = self.rows_by(&sql)?;
        let mut times = EventTimes::new();
        for batch in batches {
            let failed = |error: arrow::error::ArrowError| QueryError::Failed(error.to_string());
            let safe = CastOptions::default();
            let partitions = cast_with_options(batch.column(0), &DataType::Int32, &safe).map_err(failed)?;
            let values = cast_with_options(batch.column(1), &DataType::Int64, &safe).map_err(failed)?;
            let (partitions, values) = (
                partitions.as_primitive::<Int32Type>(),
                values.as_primitive::<Int64Type>(),
            );
            let micros = micros_a_unit(event_time);
            let rows = (0..batch.num_rows()).filter(|row| values.is_valid(*row));
            times.extend(rows.map(|row| (partitions.value(row), values.value(row).saturating_mul(micros))));
        }
        Ok(times)
    }
}
