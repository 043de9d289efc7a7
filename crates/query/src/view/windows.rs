//! A view of windows: its SQL over the rows of one window's time, and the times that decide which windows there are.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use eventlake_core::commit::File;
use eventlake_core::names::{TableName, ViewName};
use eventlake_core::schema::EventTime;

use super::View;
use super::held::{self, HeldTable};
use super::running::loosened;
use crate::bounds::{KAFKA_PARTITION, KAFKA_TIMESTAMP};
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

impl Span {
    /// Whether a file can hold rows of this time.
    #[must_use]
    pub fn overlaps(self, file: &File) -> bool {
        file.times
            .is_some_and(|times| times.min_micros < self.until && times.max_micros >= self.from)
    }

    /// The least that holds all of these.
    #[must_use]
    pub fn around(spans: &[Span]) -> Option<Span> {
        Some(Span {
            from: spans.iter().map(|span| span.from).min()?,
            until: spans.iter().map(|span| span.until).max()?,
        })
    }
}

impl View {
    /// Rows of one window, each with when that begins and ends.
    fn of_window(&self, span: Span, rows: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, QueryError> {
        let columns = loosened(&self.columns);
        let rows = rows.into_iter().filter(|batch| batch.num_rows() > 0);
        rows.map(|batch| {
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
}

/// When one row happened, and which partition it came through.
pub type EventTimes = Vec<(i32, i64)>;

impl Session {
    /// The view's rows of each of these windows, over tables whose files hold all rows of their times. They are worked out together
    /// as far as their rows fit into memory.
    ///
    /// # Errors
    /// When a file cannot be read, or memory does not suffice.
    pub fn windows_of(
        &mut self,
        view: &View,
        spans: &[Span],
        tables: &[Table],
    ) -> Result<Vec<Vec<RecordBatch>>, QueryError> {
        let Some(all) = Span::around(spans) else {
            return Ok(Vec::new());
        };
        let tables: Vec<Table> = tables.iter().map(|table| table.overlapping(all)).collect();
        if let [span] = spans {
            self.show_within(tables, *span);
            let rows = self.rows_by(&view.sql)?;
            return Ok(vec![view.of_window(*span, rows)?]);
        }
        if let Some(together) = self.windows_together(view, spans, &tables)? {
            return Ok(together);
        }
        let (earlier, later) = spans.split_at(spans.len() / 2);
        let mut rows = self.windows_of(view, earlier, &tables)?;
        rows.extend(self.windows_of(view, later, &tables)?);
        Ok(rows)
    }

    /// None when the rows of all these windows are more than may be held.
    fn windows_together(
        &mut self,
        view: &View,
        spans: &[Span],
        tables: &[Table],
    ) -> Result<Option<Vec<Vec<RecordBatch>>>, QueryError> {
        let held: Vec<Arc<HeldTable>> = tables
            .iter()
            .map(|table| Arc::new(HeldTable::of(table)))
            .collect();
        let names = tables.iter().map(|table| table.name.to_string());
        self.show_held(names.zip(held.iter().cloned()).collect());
        let plan = self.block_on(self.planned(view))?;
        let all = Span::around(spans).expect("there are windows");
        let Some(held) = self.read_held(&plan, &held, tables, all)? else {
            return Ok(None);
        };
        let one = |span: &Span| {
            held.iter().for_each(|rows| rows.show(*span));
            let rows = self.block_on(self.inner().collect(plan.clone()))?;
            view.of_window(*span, rows)
        };
        spans.iter().map(one).collect::<Result<_, _>>().map(Some)
    }

    /// Finds out whether this SQL over the windows of another view can be kept up to date. It sees them as a table with the view's
    /// name and columns.
    ///
    /// # Errors
    /// [`QueryError::Sql`] with what is wrong with it.
    pub fn view_of_windows(&mut self, sql: &str, name: &ViewName, source: &View) -> Result<View, QueryError> {
        let rows = Arc::new(HeldTable::new(loosened(&source.columns)));
        self.show_held(vec![(name.to_string(), rows)]);
        let view = self.view(sql, true)?;
        Ok(View {
            tables: source.tables.clone(),
            state_form: format!("{} over {}", view.state_form, source.state_form),
            ..view
        })
    }

    /// The view's rows of each of its windows, given those of the view it looks at.
    ///
    /// # Errors
    /// When memory does not suffice, or an expression fails.
    pub fn windows_of_windows(
        &mut self,
        view: &View,
        source: (&ViewName, &View),
        windows: impl IntoIterator<Item = (Span, Vec<RecordBatch>)>,
    ) -> Result<Vec<Vec<RecordBatch>>, QueryError> {
        let held = Arc::new(HeldTable::new(loosened(&source.1.columns)));
        self.show_held(vec![(source.0.to_string(), Arc::clone(&held))]);
        let plan = self.block_on(self.planned(view))?;
        let one = |(span, rows): (Span, Vec<RecordBatch>)| {
            held.show(rows);
            let rows = self.block_on(self.inner().collect(plan.clone()))?;
            view.of_window(span, rows)
        };
        windows.into_iter().map(one).collect()
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
            let partitions = cast(batch.column(0), &DataType::Int32).map_err(failed)?;
            let partitions = partitions.as_primitive::<Int32Type>();
            let micros = held::micros(batch.column(1), event_time).map_err(failed)?;
            let rows = (0..batch.num_rows()).filter(|row| micros.is_valid(*row));
            times.extend(rows.map(|row| (partitions.value(row), micros.value(row))));
        }
        Ok(times)
    }
}
