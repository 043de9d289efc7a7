//! Windows worked out together: planned once, their rows read once and held in memory while each of them is in sight in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options, concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session as DataFusionSession, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use eventlake_core::schema::EventTime;
use futures::StreamExt as _;

use super::windows::Span;
use crate::bounds::{KAFKA_TIMESTAMP, micros_a_unit};
use crate::error::QueryError;
use crate::fault::quoted;
use crate::lake::Table;
use crate::session::Session;
use crate::statement;
use crate::table::{LakeTable, Reader};

/// A table of which a plan sees the rows that are in sight when it is run.
#[derive(Debug)]
pub(crate) struct HeldTable {
    columns: SchemaRef,
    in_sight: Mutex<InSight>,
}

#[derive(Debug, Default)]
struct InSight {
    /// Of the table's columns, which of those of the batches they are.
    positions: BTreeMap<usize, usize>,
    batches: Vec<RecordBatch>,
}

impl HeldTable {
    pub fn new(columns: SchemaRef) -> HeldTable {
        HeldTable {
            columns,
            in_sight: Mutex::default(),
        }
    }

    /// A held table that plans cannot tell from this one.
    pub fn of(table: &Table) -> HeldTable {
        HeldTable::new(LakeTable::new(table.clone(), Reader::Session).schema())
    }

    /// Plans that are made from now on see these rows, which have all of the columns.
    pub fn show(&self, batches: Vec<RecordBatch>) {
        let all = 0..self.columns.fields().len();
        self.show_columns(all.map(|position| (position, position)).collect(), batches);
    }

    fn show_columns(&self, positions: BTreeMap<usize, usize>, batches: Vec<RecordBatch>) {
        let mut in_sight = self.in_sight.lock().unwrap_or_else(PoisonError::into_inner);
        *in_sight = InSight { positions, batches };
    }
}

#[async_trait]
impl TableProvider for HeldTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn DataFusionSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.columns.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let columns = Arc::new(self.columns.project(wanted)?);
        let in_sight = self.in_sight.lock().unwrap_or_else(PoisonError::into_inner);
        let positions: Option<Vec<usize>> = wanted
            .iter()
            .map(|position| in_sight.positions.get(position).copied())
            .collect();
        let positions = positions.ok_or_else(|| exec_datafusion_err!("a column was not read"))?;
        let batches = in_sight.batches.iter().map(|batch| {
            let arrays: Vec<ArrayRef> = positions
                .iter()
                .map(|position| Arc::clone(batch.column(*position)))
                .collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&columns), arrays, &options)
        });
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        Ok(MemorySourceConfig::try_new_exec(&[batches], columns, None)?)
    }
}

/// A table's rows of a stretch of time, by their time.
pub(super) struct HeldRows {
    table: Arc<HeldTable>,
    positions: BTreeMap<usize, usize>,
    rows: RecordBatch,
    /// Of each row, in microseconds since 1970; ascending.
    times: Vec<i64>,
}

impl HeldRows {
    /// Brings the rows of this time in sight.
    pub fn show(&self, span: Span) {
        let from = self.times.partition_point(|time| *time < span.from);
        let until = self.times.partition_point(|time| *time < span.until);
        let rows = self.rows.slice(from, until - from);
        self.table.show_columns(self.positions.clone(), vec![rows]);
    }
}

impl Session {
    /// Reads what a plan over held tables takes of these tables within a span; None when that is more than may be held.
    pub(super) fn read_held(
        &mut self,
        plan: &LogicalPlan,
        held: &[Arc<HeldTable>],
        tables: &[Table],
        span: Span,
    ) -> Result<Option<Vec<HeldRows>>, QueryError> {
        self.show_within(tables.to_vec(), span);
        let mut room = self.held_bytes_max();
        let mut all = Vec::with_capacity(tables.len());
        for (table, held) in tables.iter().zip(held) {
            let Some(rows) = self.read_one(plan, held, table, &mut room)? else {
                return Ok(None);
            };
            all.push(rows);
        }
        Ok(Some(all))
    }

    fn read_one(
        &self,
        plan: &LogicalPlan,
        held: &Arc<HeldTable>,
        table: &Table,
        room: &mut usize,
    ) -> Result<Option<HeldRows>, QueryError> {
        let name = |position: usize| quoted(held.columns.field(position).name());
        let wanted: Vec<usize> = columns_taken(plan, table.name.as_str(), &held.columns)
            .into_iter()
            .collect();
        let time = table.event_time.field().unwrap_or(KAFKA_TIMESTAMP);
        let mut names: Vec<String> = wanted.iter().map(|position| name(*position)).collect();
        names.push(format!("{} AS \"event time\"", quoted(time)));
        let sql = format!("SELECT {} FROM {}", names.join(", "), quoted(table.name.as_str()));
        let inner = self.inner();
        let read = self.block_on(async {
            let plan = inner.plan(statement::parse(&sql)?, &sql, self.tables()).await?;
            let mut stream = inner.rows(plan).await?;
            let mut batches = Vec::new();
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(|error| inner.failure(&error))?;
                let Some(left) = room.checked_sub(batch.get_array_memory_size()) else {
                    return Ok(None);
                };
                *room = left;
                batches.push(batch);
            }
            let all = concat_batches(&stream.schema(), &batches);
            all.map(Some).map_err(|error| inner.failure(&error.into()))
        })?;
        let Some(rows) = read else { return Ok(None) };
        let failed = |error: arrow::error::ArrowError| QueryError::Failed(error.to_string());
        let (rows, times) = by_time(rows, &table.event_time).map_err(failed)?;
        let positions = wanted.into_iter().enumerate();
        Ok(Some(HeldRows {
            table: Arc::clone(held),
            positions: positions.map(|(read, wanted)| (wanted, read)).collect(),
            rows,
            times,
        }))
    }
}

/// The rows by their last column, a time that none of them is without, and that column in microseconds since 1970.
fn by_time(
    rows: RecordBatch,
    event_time: &EventTime,
) -> Result<(RecordBatch, Vec<i64>), arrow::error::ArrowError> {
    let last = rows.num_columns() - 1;
    let times = micros(rows.column(last), event_time)?;
    if times.values().is_sorted() {
        return Ok((rows, times.values().to_vec()));
    }
    let order = sort_to_indices(&times, None, None)?;
    let sorted = order.values().iter().map(|row| times.value(*row as usize));
    let sorted = sorted.collect();
    Ok((take_record_batch(&rows, &order)?, sorted))
}

/// A column of event times in microseconds since 1970.
pub(super) fn micros(
    column: &ArrayRef,
    event_time: &EventTime,
) -> Result<Int64Array, arrow::error::ArrowError> {
    let values = cast_with_options(column, &DataType::Int64, &CastOptions::default())?;
    let unit = micros_a_unit(event_time);
    Ok(values
        .as_primitive::<Int64Type>()
        .unary(|value| value.saturating_mul(unit)))
}

/// Positions of the columns that a plan takes of a table.
fn columns_taken(plan: &LogicalPlan, table: &str, columns: &SchemaRef) -> BTreeSet<usize> {
    let mut taken = BTreeSet::new();
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.table() == table
        {
            match &scan.projection {
                Some(projection) => taken.extend(projection),
                None => taken.extend(0..columns.fields().len()),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    taken
}
