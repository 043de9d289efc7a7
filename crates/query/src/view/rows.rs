//! A view of rows: a plain select, with three columns more that say where each row came from.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::{KAFKA_GENERATION, View};
use crate::bounds::{KAFKA_OFFSET, KAFKA_PARTITION};
use crate::error::QueryError;
use crate::fault::Fault;
use crate::session::Session;
use crate::statement;

impl Session {
    /// The view's rows of the tables shown, whose files are all of this generation of their topic.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn rows_of(&self, view: &View, generation: i64) -> Result<Vec<RecordBatch>, QueryError> {
        let inner = self.inner();
        let batches = self.block_on(async {
            let statement = statement::parse(&view.sql)?;
            let logical = inner.logical(statement, &view.sql, self.tables()).await?;
            let traced = traced(logical).map_err(|error| inner.failure(&error))?;
            let optimized = inner.optimize(traced, &view.sql)?;
            inner.collect(optimized).await
        })?;
        batches
            .into_iter()
            .filter(|batch| batch.num_rows() > 0)
            .map(|batch| {
                let mut columns = batch.columns().to_vec();
                columns.push(Arc::new(Int64Array::from_value(generation, batch.num_rows())) as ArrayRef);
                fitted(&view.columns, columns)
            })
            .collect()
    }
}

/// A batch of exactly these columns: what is null where it never is would be a defect of the program.
pub(super) fn fitted(columns: &SchemaRef, arrays: Vec<ArrayRef>) -> Result<RecordBatch, QueryError> {
    RecordBatch::try_new(Arc::clone(columns), arrays)
        .map_err(|error| QueryError::Failed(format!("the view's rows are not what was planned: {error}")))
}

/// The columns of the view, and which of them tell rows apart.
pub(super) fn columns(logical: &LogicalPlan) -> Result<(SchemaRef, Vec<usize>), Fault> {
    if count_tables(logical) != 1 {
        return Err(Fault::new(
            "a view of plain rows reads one table: its rows are known by partition and offset",
        )
        .hint("write a view for each table, or aggregate what UNION ALL brings together"));
    }
    if let Some(name) = [KAFKA_PARTITION, KAFKA_OFFSET]
        .into_iter()
        .find(|name| names_something_else(logical, name))
    {
        return Err(taken(name));
    }
    let traced = traced(logical.clone()).map_err(|error| Fault::of_planner("", &error))?;
    let mut fields: Vec<Arc<Field>> = traced.schema().inner().fields().to_vec();
    fields.push(Arc::new(Field::new(KAFKA_GENERATION, DataType::Int64, false)));
    let position = |name: &str| {
        let mut found = (0..fields.len()).filter(|position| fields[*position].name() == name);
        match (found.next(), found.next()) {
            (Some(position), None) => Ok(position),
            _ => Err(taken(name)),
        }
    };
    let key = [KAFKA_GENERATION, KAFKA_PARTITION, KAFKA_OFFSET]
        .into_iter()
        .map(position)
        .collect::<Result<Vec<usize>, Fault>>()?;
    Ok((Arc::new(Schema::new(fields)), key))
}

fn taken(name: &str) -> Fault {
    Fault::new(format!(
        "a view of plain rows has a column {name} of its own; give yours another name"
    ))
}

/// Whether some part of the plan calls another value by this name.
fn names_something_else(plan: &LogicalPlan, name: &str) -> bool {
    let is_named = |expression: &Expr| expression.qualified_name().1 == name && !is_column(expression, name);
    let is_here = matches!(plan, LogicalPlan::Projection(projection) if projection.expr.iter().any(is_named));
    is_here
        || plan
            .inputs()
            .into_iter()
            .any(|input| names_something_else(input, name))
}

fn count_tables(plan: &LogicalPlan) -> usize {
    match plan {
        LogicalPlan::TableScan(_) => 1,
        other => other.inputs().into_iter().map(count_tables).sum(),
    }
}

/// The plan with the partition and the offset of each row passed up to its top.
fn traced(plan: LogicalPlan) -> Result<LogicalPlan> {
    let passed = plan.transform_up(|node| match node {
        LogicalPlan::Projection(mut projection) => {
            for name in [KAFKA_PARTITION, KAFKA_OFFSET] {
                let has_it = projection
                    .expr
                    .iter()
                    .any(|expression| is_column(expression, name));
                if has_it {
                    continue;
                }
                let below = projection.input.schema();
                let found = below.iter().find(|(_, field)| field.name() == name);
                if let Some((relation, field)) = found {
                    let column = Column::new(relation.cloned(), field.name());
                    projection.expr.push(Expr::Column(column));
                }
            }
            let rebuilt = datafusion::logical_expr::Projection::try_new(projection.expr, projection.input)?;
            Ok(Transformed::yes(LogicalPlan::Projection(rebuilt)))
        }
        other => Ok(Transformed::yes(other.recompute_schema()?)),
    })?;
    Ok(passed.data)
}

/// Whether the expression is the column of that name, under that name.
fn is_column(expression: &Expr, name: &str) -> bool {
    matches!(expression, Expr::Column(column) if column.name == name)
}
