//! A running view: new rows are aggregated by themselves, merged into the state, and the state is finished when somebody asks.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::MemTable;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned};

use super::{View, codec, linear};
use crate::error::QueryError;
use crate::fault::Fault;
use crate::session::{Inner, Session};
use crate::statement;

/// What a running view keeps: of each group, what its aggregates need to go on.
#[derive(Clone, Debug)]
pub struct Groups {
    /// None as long as there was no row.
    kept: Option<RecordBatch>,
}

impl Groups {
    #[must_use]
    pub fn none() -> Groups {
        Groups { kept: None }
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.num_rows() as u64)
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.kept
            .as_ref()
            .map_or(0, |kept| kept.get_array_memory_size() as u64)
    }

    /// As it is kept on disk.
    ///
    /// # Errors
    /// When a type has no place there.
    pub fn to_bytes(&self) -> Result<Vec<u8>, QueryError> {
        match &self.kept {
            None => Ok(Vec::new()),
            Some(kept) => codec::to_bytes(kept).map_err(|error| QueryError::Failed(error.to_string())),
        }
    }
}

impl Session {
    /// What was kept on disk; None when it is no state of this view.
    #[must_use]
    pub fn groups_of(&self, view: &View, bytes: &[u8]) -> Option<Groups> {
        if bytes.is_empty() {
            return Some(Groups::none());
        }
        let columns = self.block_on(async {
            let optimized = self.planned(view).await.ok()?;
            let base = linear::base_of(&optimized).ok()?;
            let steps = Steps::of(self.inner(), base).await.ok()?;
            Some(steps.partial().ok()?.schema())
        })?;
        let kept = codec::of_bytes(bytes, &columns).ok()?;
        Some(Groups { kept: Some(kept) })
    }

    /// The groups with the rows of the tables shown added to them.
    ///
    /// # Errors
    /// When a file cannot be read, or memory does not suffice.
    pub fn add_rows(&self, view: &View, groups: &Groups) -> Result<Groups, QueryError> {
        let inner = self.inner();
        self.block_on(async {
            let optimized = self.planned(view).await?;
            let base = linear::base_of(&optimized)?;
            let steps = Steps::of(inner, base).await?;
            let added = steps.run(inner, steps.partial()).await?;
            let mut parts: Vec<RecordBatch> = groups.kept.iter().cloned().chain(added).collect();
            parts.retain(|batch| batch.num_rows() > 0);
            if parts.is_empty() {
                return Ok(Groups::none());
            }
            let merged = steps.run(inner, steps.merge(parts)).await?;
            let columns = steps.partial().map_err(|error| inner.failure(&error))?.schema();
            let kept = concat_batches(&columns, &merged);
            let kept = kept.map_err(|error| inner.failure(&error.into()))?;
            Ok(Groups { kept: Some(kept) })
        })
    }

    /// The view's rows, given its groups.
    ///
    /// # Errors
    /// When an expression on the groups fails.
    pub fn result_of(&self, view: &View, groups: &Groups) -> Result<Vec<RecordBatch>, QueryError> {
        let inner = self.inner();
        self.block_on(async {
            let optimized = self.planned(view).await?;
            let base = linear::base_of(&optimized)?;
            let steps = Steps::of(inner, base).await?;
            let kept: Vec<RecordBatch> = groups.kept.iter().cloned().collect();
            let finished = steps.run(inner, steps.finish(kept)).await?;
            let above = over(&optimized, base, finished).map_err(|error| inner.failure(&error))?;
            let rows = inner.collect(above).await?;
            rows.into_iter()
                .filter(|batch| batch.num_rows() > 0)
                .map(|batch| super::rows::fitted(&loosened(&view.columns), batch.columns().to_vec()))
                .collect()
        })
    }

    /// What a view's SQL means over the tables shown.
    pub(super) async fn planned(&self, view: &View) -> Result<LogicalPlan, QueryError> {
        let statement = statement::parse(&view.sql)?;
        self.inner().plan(statement, &view.sql, self.tables()).await
    }

    /// All rows of a query over the tables shown.
    pub(super) fn rows_by(&self, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        let inner = self.inner();
        self.block_on(async {
            let plan = inner.plan(statement::parse(sql)?, sql, self.tables()).await?;
            inner.collect(plan).await
        })
    }
}

/// Columns that may be null, whatever the planner has concluded.
pub(super) fn loosened(columns: &SchemaRef) -> SchemaRef {
    let fields = columns
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What is kept for this aggregation: the names and types.
pub(super) async fn form(inner: &Inner, base: &Aggregate) -> Result<String, QueryError> {
    let steps = Steps::of(inner, base).await?;
    let partial = steps.partial().map_err(|error| inner.failure(&error))?;
    let fields = partial.schema();
    let fields = fields
        .fields()
        .iter()
        .map(|field| format!("{}: {}", field.name(), field.data_type()));
    Ok(fields.collect::<Vec<_>>().join(", "))
}

/// One aggregation, in the steps that DataFusion itself divides it into.
struct Steps {
    input: Arc<dyn ExecutionPlan>,
    groups: PhysicalGroupBy,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    filters: Vec<Option<Arc<dyn PhysicalExpr>>>,
}

impl Steps {
    async fn of(inner: &Inner, base: &Aggregate) -> Result<Steps, QueryError> {
        let state = inner.context.state();
        if matches!(base.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            return Err(Fault::new(
                "GROUPING SETS, ROLLUP and CUBE are not for a view without window.size; write a view for each grouping",
            )
            .into());
        }
        let input = state
            .query_planner()
            .create_physical_plan(&base.input, &state)
            .await
            .map_err(|error| inner.failure(&error))?;
        Steps::over(input, &state, base).map_err(|error| inner.failure(&error))
    }

    fn over(input: Arc<dyn ExecutionPlan>, state: &SessionState, base: &Aggregate) -> Result<Steps> {
        let logical = base.input.schema();
        let mut groups = Vec::with_capacity(base.group_expr.len());
        for expression in &base.group_expr {
            let physical = state.create_physical_expr(expression.clone(), logical)?;
            groups.push((physical, expression.schema_name().to_string()));
        }
        let (mut aggregates, mut filters) = (Vec::new(), Vec::new());
        let context = PhysicalPlanningContext::default();
        for expression in &base.aggr_expr {
            let lowered = LoweredAggregateBuilder::new(
                expression,
                logical,
                &input.schema(),
                state.execution_props(),
                &context,
            )
            .build()?;
            aggregates.push(lowered.aggregate);
            filters.push(lowered.filter);
        }
        Ok(Steps {
            input,
            groups: PhysicalGroupBy::new_single(groups),
            aggregates,
            filters,
        })
    }

    /// Rows to groups, of each part of the input by itself.
    fn partial(&self) -> Result<Arc<dyn ExecutionPlan>> {
        self.step(
            AggregateMode::Partial,
            self.groups.clone(),
            Arc::clone(&self.input),
        )
    }

    /// Groups of several origins to groups.
    fn merge(&self, parts: Vec<RecordBatch>) -> Result<Arc<dyn ExecutionPlan>> {
        self.step(
            AggregateMode::PartialReduce,
            self.groups.as_final(),
            self.memory(parts)?,
        )
    }

    /// Groups to the rows of the aggregation.
    fn finish(&self, parts: Vec<RecordBatch>) -> Result<Arc<dyn ExecutionPlan>> {
        self.step(AggregateMode::Final, self.groups.as_final(), self.memory(parts)?)
    }

    fn memory(&self, parts: Vec<RecordBatch>) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = self.partial()?.schema();
        Ok(MemorySourceConfig::try_new_exec(&[parts], columns, None)?)
    }

    fn step(
        &self,
        mode: AggregateMode,
        groups: PhysicalGroupBy,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = match mode {
            AggregateMode::Partial => self.filters.clone(),
            _ => vec![None; self.aggregates.len()],
        };
        Ok(Arc::new(AggregateExec::try_new(
            mode,
            groups,
            self.aggregates.clone(),
            filters,
            input,
            self.input.schema(),
        )?))
    }

    async fn run(
        &self,
        inner: &Inner,
        step: Result<Arc<dyn ExecutionPlan>>,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let step = step.map_err(|error| inner.failure(&error))?;
        let parts = collect_partitioned(step, inner.context.task_ctx()).await;
        let parts = parts.map_err(|error| inner.failure(&error))?;
        Ok(parts.into_iter().flatten().collect())
    }
}

/// The plan with these rows in the place of its aggregation.
fn over(plan: &LogicalPlan, base: &Aggregate, rows: Vec<RecordBatch>) -> Result<LogicalPlan> {
    // Names that differ, whatever the aggregation's are.
    let fields = base
        .schema
        .fields()
        .iter()
        .enumerate()
        .map(|(position, field)| Field::new(format!("c{position}"), field.data_type().clone(), true));
    let columns = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = rows
        .into_iter()
        .map(|batch| RecordBatch::try_new(Arc::clone(&columns), batch.columns().to_vec()))
        .collect::<Result<Vec<_>, _>>()?;
    let table = provider_as_source(Arc::new(MemTable::try_new(columns, vec![rows])?));
    let named = base
        .schema
        .iter()
        .enumerate()
        .map(|(position, (relation, field))| {
            let column = Expr::Column(format!("c{position}").into());
            column.alias_qualified(relation.cloned(), field.name())
        });
    let finished = LogicalPlanBuilder::scan("groups", table, None)?
        .project(named)?
        .build()?;
    let replaced = plan.clone().transform_down(|node| match &node {
        LogicalPlan::Aggregate(found) if found == base => {
            Ok(Transformed::new(finished.clone(), true, TreeNodeRecursion::Jump))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    // Nullability may have changed on the way up.
    let recomputed = replaced
        .data
        .transform_up(|node| Ok(Transformed::yes(node.recompute_schema()?)))?;
    Ok(recomputed.data)
}
