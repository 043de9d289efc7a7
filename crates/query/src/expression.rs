//! Expressions on the rows of one table, made ready to run.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;

/// Compiles an expression for rows of these columns. Sums and products that leave their type are errors.
///
/// # Errors
/// When its types do not go together.
pub(crate) fn compile(
    state: &SessionState,
    expression: Expr,
    columns: &DFSchema,
) -> Result<Arc<dyn PhysicalExpr>> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(columns.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(expression, columns)?;
    // Some functions are only ever worked out in another form, which this gives them.
    let simpler = simplifier.simplify(coerced)?;
    let physical = state.create_physical_expr(simpler, columns)?;
    let checked = physical.transform_up(|node| {
        Ok(match node.downcast_ref::<BinaryExpr>() {
            // Wrapped around they would be wrong values that nobody hears of.
            Some(binary) => Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true)) as _),
            None => Transformed::no(node),
        })
    })?;
    Ok(checked.data)
}
