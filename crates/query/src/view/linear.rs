//! Which parts of a plan give of new rows what they give of all rows, less what they gave of the old ones.

use datafusion::logical_expr::{Aggregate, LogicalPlan};

use crate::fault::Fault;

/// Looking at some rows at a time is as good as looking at all at once.
pub(super) fn is_linear(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_) => {
            plan.inputs().into_iter().all(is_linear) && plan.expressions().iter().all(looks_at_its_row)
        }
        _ => false,
    }
}

fn looks_at_its_row(expression: &datafusion::logical_expr::Expr) -> bool {
    use datafusion::common::tree_node::TreeNode as _;
    use datafusion::logical_expr::Expr;
    let looks_further = expression.exists(|inner| {
        Ok(matches!(
            inner,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::OuterReferenceColumn(..)
        ))
    });
    !looks_further.unwrap_or(true)
}

/// The aggregation that everything else in the plan rests on, if it looks at a linear part alone.
///
/// # Errors
/// What makes the plan one that new rows alone do not keep up to date.
pub(super) fn base_of(plan: &LogicalPlan) -> Result<&Aggregate, Fault> {
    match plan {
        LogicalPlan::Aggregate(aggregate) if is_linear(&aggregate.input) => Ok(aggregate),
        LogicalPlan::Join(_) => Err(Fault::new(
            "a join needs a window: rows that belong together are committed at different times",
        )
        .hint("add window.size, such as \"60s\"; the join then looks at the rows of each window")),
        LogicalPlan::Window(_) if !has_groups(plan) => Err(Fault::new(
            "a function with OVER needs a window or groups below it: it looks at all rows at once",
        )
        .hint("add window.size, or aggregate in a subquery and use OVER on its groups")),
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) if !has_groups(plan) => {
            Err(Fault::new(
                "a view of plain rows shows each row once, when it is committed: there is nothing to sort or to limit",
            )
            .hint("take ORDER BY and LIMIT out, or add GROUP BY or window.size"))
        }
        other => match other.inputs().as_slice() {
            [input] => base_of(input),
            _ => Err(Fault::new(
                "a view without window.size looks at one stream of rows, which may be several by UNION ALL",
            )
            .hint("add window.size, such as \"60s\", to look at several tables within each window")),
        },
    }
}

fn has_groups(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Aggregate(_)) || plan.inputs().into_iter().any(has_groups)
}
