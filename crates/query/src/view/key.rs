//! Which columns of a view tell its rows apart.

use datafusion::common::Column;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// What is known of a plan's columns.
struct Lineage {
    /// Of each column, which group column it is.
    columns: Vec<Option<usize>>,
    groups: usize,
}

/// Positions of a plan's columns that together tell its rows apart. None where that cannot be said.
pub(super) fn key_of(plan: &LogicalPlan) -> Option<Vec<usize>> {
    let lineage = lineage(plan)?;
    let position = |group| lineage.columns.iter().position(|column| *column == Some(group));
    (0..lineage.groups).map(position).collect()
}

fn lineage(plan: &LogicalPlan) -> Option<Lineage> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let is_set = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
            let groups = aggregate.group_expr.len();
            let all = aggregate.schema.fields().len();
            (!is_set).then(|| Lineage {
                columns: (0..all)
                    .map(|column| (column < groups).then_some(column))
                    .collect(),
                groups,
            })
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let all = input.schema().fields().len();
            Some(Lineage {
                columns: (0..all).map(Some).collect(),
                groups: all,
            })
        }
        LogicalPlan::Projection(projection) => {
            let below = lineage(&projection.input)?;
            let schema = projection.input.schema();
            let group = |column: &Column| {
                let index = schema.maybe_index_of_column(column)?;
                below.columns.get(index).copied().flatten()
            };
            let columns = projection
                .expr
                .iter()
                .map(|expression| match expression.clone().unalias() {
                    Expr::Column(column) => group(&column),
                    _ => None,
                });
            Some(Lineage {
                columns: columns.collect(),
                groups: below.groups,
            })
        }
        LogicalPlan::Window(window) => {
            let mut below = lineage(&window.input)?;
            below.columns.resize(plan.schema().fields().len(), None);
            Some(below)
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::SubqueryAlias(_) => lineage(plan.inputs().first()?),
        _ => None,
    }
}
