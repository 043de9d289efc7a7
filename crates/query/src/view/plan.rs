//! SQL to a view: planning, what kind it is, and every refusal.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Sql;
use eventlake_core::names::TableName;

use super::{View, ViewKind, WINDOW_END, WINDOW_START, key, linear, rows};
use crate::error::QueryError;
use crate::fault::Fault;
use crate::lake::ACCEPTED;
use crate::session::{Inner, Session};
use crate::statement;

/// A state that an older version wrote in another way is none of this one's.
const STATE_FORMAT: u32 = 1;
/// Whose results depend on the order in which rows come.
const ORDERED: [&str; 6] = [
    "array_agg",
    "first_value",
    "last_value",
    "nth_value",
    "string_agg",
    "listagg",
];
/// Whose state holds every value it has seen.
const UNBOUNDED: [&str; 3] = ["median", "percentile_cont", "quantile_cont"];

impl Session {
    /// Finds out whether and how this SQL over the tables shown can be kept up to date.
    ///
    /// # Errors
    /// [`QueryError::Sql`] with what is wrong with it.
    pub fn view(&self, sql: &str, by_window: bool) -> Result<View, QueryError> {
        let planned = self.block_on(compile(self.inner(), self.tables(), sql, by_window));
        planned.map_err(|error| match error {
            // Whatever planning stumbles over, the SQL is what can be changed.
            QueryError::Failed(text) => QueryError::Sql(Fault::new(text)),
            other => other,
        })
    }
}

async fn compile(inner: &Inner, known: &[String], sql: &str, by_window: bool) -> Result<View, QueryError> {
    let statement = statement::parse(sql)?;
    let is_query = matches!(&statement, Statement::Statement(sql) if matches!(**sql, Sql::Query(_)));
    if !is_query {
        return Err(Fault::new("a view is a SELECT").into());
    }
    let logical = inner.logical(statement, sql, known).await?;
    decides_by_the_rows(&logical)?;
    let tables = tables_of(&logical)?;
    let optimized = inner.optimize(logical.clone(), sql)?;
    let (kind, columns, key, kept) = if by_window {
        let (columns, key) = windowed(&logical)?;
        (ViewKind::Windows, columns, key, String::new())
    } else if linear::is_linear(&optimized) {
        let (columns, key) = rows::columns(&logical)?;
        (ViewKind::Rows, columns, Some(key), String::new())
    } else {
        let base = linear::base_of(&optimized)?;
        keeps_little(&logical)?;
        let kept = super::running::form(inner, base).await?;
        let columns = Arc::clone(logical.schema().inner());
        (ViewKind::Running, columns, key::key_of(&logical), kept)
    };
    Ok(View {
        sql: sql.to_owned(),
        kind,
        columns,
        key,
        tables,
        state_form: format!("{STATE_FORMAT} {kind:?} {sql} {kept}"),
    })
}

/// The columns of windows, and what tells their rows apart: first of all the window.
fn windowed(logical: &LogicalPlan) -> Result<(SchemaRef, Option<Vec<usize>>), Fault> {
    let fields = logical.schema().inner().fields();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut all: Vec<Arc<Field>> = Vec::new();
    for name in [WINDOW_START, WINDOW_END] {
        if fields.iter().any(|field| field.name() == name) {
            return Err(Fault::new(format!(
                "a view with windows has a column {name} of its own; give yours another name"
            )));
        }
        all.push(Arc::new(Field::new(name, time.clone(), false)));
    }
    all.extend(fields.iter().cloned());
    let key = key::key_of(logical).map(|key| {
        let own = key.into_iter().map(|position| position + 2);
        std::iter::once(0).chain(own).collect()
    });
    Ok((Arc::new(Schema::new(all)), key))
}

/// The tables it reads, each once.
fn tables_of(plan: &LogicalPlan) -> Result<Vec<TableName>, Fault> {
    let mut tables = BTreeSet::new();
    let mut fault = None;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let name = TableName::new(scan.table_name.table());
            match (scan.table_name.schema(), name) {
                (None | Some(ACCEPTED), Ok(name)) => {
                    tables.insert(name);
                }
                _ => {
                    fault = Some(Fault::new(format!(
                        "a view looks at accepted rows alone, and {} holds others",
                        scan.table_name
                    )));
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    match fault {
        Some(fault) => Err(fault),
        None if tables.is_empty() => Err(Fault::new(
            "it reads no table: there is nothing to keep up to date",
        )),
        None => Ok(tables.into_iter().collect()),
    }
}

/// Refuses what is not a function of the committed rows.
fn decides_by_the_rows(plan: &LogicalPlan) -> Result<(), Fault> {
    each_expression(plan, |inner| match inner {
        Expr::ScalarFunction(ScalarFunction { func, .. })
            if func.signature().volatility != Volatility::Immutable =>
        {
            Some(
                Fault::new(format!(
                    "{}() is not the same each time it is asked, and a view says the same of the same rows",
                    func.name()
                ))
                .hint("window.size and the rows' own times say what is recent"),
            )
        }
        Expr::AggregateFunction(AggregateFunction { func, .. }) if ORDERED.contains(&func.name()) => Some(
            Fault::new(format!(
                "{}() depends on the order in which rows come, and a view must not",
                func.name()
            ))
            .hint("min, max, count, sum, avg and the like do not"),
        ),
        Expr::Placeholder(placeholder) => Some(Fault::new(format!(
            "there is nothing that {} could stand for",
            placeholder.id
        ))),
        _ => None,
    })
}

/// Refuses aggregates that would keep every value for ever.
fn keeps_little(plan: &LogicalPlan) -> Result<(), Fault> {
    each_expression(plan, |inner| {
        match inner {
        Expr::AggregateFunction(AggregateFunction { func, .. }) if UNBOUNDED.contains(&func.name()) => Some(
            Fault::new(format!("{}() would have to keep every value for ever", func.name()))
                .hint("approx_median() and approx_percentile_cont() keep little; with window.size it is possible, too"),
        ),
        _ => None,
    }
    })
}

fn each_expression(plan: &LogicalPlan, judge: impl Fn(&Expr) -> Option<Fault>) -> Result<(), Fault> {
    let mut fault = None;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                fault = fault.take().or_else(|| judge(inner));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    fault.map_or(Ok(()), Err)
}
