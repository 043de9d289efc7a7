//! SQL to a transform: parsing, planning, and every refusal.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::catalog::empty::EmptyTable;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, SelectItem, SetExpr, Statement as Sql};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use eventlake_core::config::TransformPart;
use eventlake_core::schema::name_fault;

use super::{Column, Frame, RowTransform, TransformError, types};
use crate::expression;
use crate::fault::{Fault, quoted};
use crate::statement::DEPTH_MAX;

/// What the events are called as a table.
const EVENTS: &str = "events";

pub(super) fn compile(
    select: Option<&str>,
    condition: Option<&str>,
    frame: &Frame,
) -> Result<RowTransform, Vec<TransformError>> {
    let planner = Planner::new(frame);
    let fault = |part| move |fault: Fault| TransformError { part, fault };
    // Each piece is planned by itself, so that it is known whose fault a fault is.
    let condition = condition
        .map(|sql| planner.condition(sql))
        .transpose()
        .map_err(fault(TransformPart::Where));
    let columns = planner
        .columns(select.unwrap_or("*"))
        .map_err(fault(TransformPart::Select));
    match (condition, columns) {
        (Ok(condition), Ok(columns)) => Ok(assemble(condition, columns, frame)),
        (condition, columns) => Err(condition.err().into_iter().chain(columns.err()).collect()),
    }
}

fn assemble(
    condition: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<(Column, bool)>,
    frame: &Frame,
) -> RowTransform {
    let mut fields: Vec<Arc<Field>> = columns
        .iter()
        .map(|(column, nullable)| Arc::new(Field::new(&column.name, column.kept_as.clone(), *nullable)))
        .collect();
    let all = frame.columns.fields();
    fields.extend(all[all.len() - frame.traced..].iter().cloned());
    RowTransform {
        condition,
        columns: columns.into_iter().map(|(column, _)| column).collect(),
        traced: frame.traced,
        schema: Arc::new(Schema::new(fields)),
    }
}

struct Planner<'f> {
    frame: &'f Frame,
    state: SessionState,
}

impl Planner<'_> {
    fn new(frame: &Frame) -> Planner<'_> {
        let mut config = SessionConfig::new();
        config.options_mut().sql_parser.collect_spans = true;
        let context = SessionContext::new_with_config(config);
        let events = EmptyTable::new(Arc::clone(&frame.columns));
        context
            .register_table(EVENTS, Arc::new(events))
            .expect("a new session has no table yet");
        Planner {
            frame,
            state: context.state(),
        }
    }

    /// What holds of a row that stays.
    fn condition(&self, sql: &str) -> Result<Arc<dyn PhysicalExpr>, Fault> {
        let parsed = parse(sql, |parser| parser.parse_expr())?;
        let projection = self.plan(sql, vec![SelectItem::Wildcard(Default::default())], Some(parsed))?;
        let LogicalPlan::Filter(filter) = projection.input.as_ref() else {
            return Err(looks_at_more());
        };
        let LogicalPlan::TableScan(_) = filter.input.as_ref() else {
            return Err(looks_at_more());
        };
        decides_by_the_row(&filter.predicate)?;
        self.physical(sql, filter.predicate.clone(), filter.input.schema())
    }

    /// What each row that stays becomes, and whether it may be null; without the columns that trace a row.
    fn columns(&self, sql: &str) -> Result<Vec<(Column, bool)>, Fault> {
        let parsed = parse(sql, |parser| parser.parse_projection())?;
        let projection = self.plan(sql, parsed, None)?;
        let LogicalPlan::TableScan(scan) = projection.input.as_ref() else {
            return Err(looks_at_more());
        };
        let mut columns: Vec<(Column, bool)> = Vec::new();
        for (expression, field) in projection.expr.iter().zip(projection.schema.fields()) {
            let name = field.name();
            if passes_as_it_is(expression, name) && self.frame.is_traced(name) {
                continue;
            }
            self.may_be_called(expression, name, &columns)?;
            decides_by_the_row(expression)?;
            let kept_as = types::kept_as(field.data_type()).ok_or_else(|| {
                let which = match field.data_type() {
                    arrow::datatypes::DataType::Null => "is always null, of no type".to_owned(),
                    other => format!("is {other}, which the lake does not keep"),
                };
                Fault::new(format!("column {} {which}", quoted(name)))
                    .hint("cast it, as in CAST(x AS VARCHAR)")
            })?;
            let expression = self.physical(sql, expression.clone().unalias(), &scan.projected_schema)?;
            let column = Column {
                name: name.clone(),
                expression,
                kept_as,
            };
            columns.push((column, field.is_nullable()));
        }
        match &self.frame.event_time {
            Some(event_time) if !columns.iter().any(|(column, _)| column.name == *event_time) => {
                Err(Fault::new(format!(
                    "it leaves out {}, the event time, by which rows are put into time partitions",
                    quoted(event_time)
                ))
                .hint("name it, too"))
            }
            _ => Ok(columns),
        }
    }

    /// What is wrong with a column's name beside those before it.
    fn may_be_called(&self, expression: &Expr, name: &str, before: &[(Column, bool)]) -> Result<(), Fault> {
        if self.frame.event_time.as_deref() == Some(name) && !passes_as_it_is(expression, name) {
            return Err(Fault::new(format!(
                "{} is the event time, which must pass as it is: rows are put into time partitions by it",
                quoted(name)
            ))
            .hint("give what is made of it another name"));
        }
        if passes_as_it_is(expression, name) {
            // The schema, or `extra`, has given it that name.
            return Ok(());
        }
        if !matches!(expression, Expr::Alias(_) | Expr::Column(_)) {
            return Err(
                Fault::new(format!("the column made by {name} has no name")).hint("add AS and a name")
            );
        }
        let before = before.iter().map(|(column, _)| column.name.as_str());
        match name_fault(name, before, true) {
            Some(fault) => Err(Fault::new(fault.split("; hint:").next().unwrap_or_default())),
            None => Ok(()),
        }
    }

    /// The plan of a query over the events with this projection and condition, types settled.
    fn plan(
        &self,
        sql: &str,
        projection: Vec<SelectItem>,
        condition: Option<SqlExpr>,
    ) -> Result<Projection, Fault> {
        let fault = |error: DataFusionError| Fault::of_planner(sql, &error);
        let statement = query(projection, condition);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| Fault::new(format!("no thread to plan on: {error}")))?;
        let plan = runtime
            .block_on(self.state.statement_to_plan(statement))
            .map_err(fault)?;
        let analyzer = self.state.analyzer();
        let plan = analyzer.execute_and_check(plan, self.state.config_options(), |_, _| {});
        match plan.map_err(fault)? {
            LogicalPlan::Projection(projection) => Ok(projection),
            _ => Err(looks_at_more()),
        }
    }

    fn physical(
        &self,
        sql: &str,
        expression: Expr,
        columns: &DFSchema,
    ) -> Result<Arc<dyn PhysicalExpr>, Fault> {
        let fault = |error: DataFusionError| Fault::of_planner(sql, &error);
        expression::compile(&self.state, expression, columns).map_err(fault)
    }
}

/// The whole text by one of the parser's rules.
fn parse<T>(sql: &str, rule: impl Fn(&mut Parser<'_>) -> Result<T, ParserError>) -> Result<T, Fault> {
    let parse = || {
        let mut parser = Parser::new(&GenericDialect {})
            .with_recursion_limit(DEPTH_MAX)
            .try_with_sql(sql)?;
        let parsed = rule(&mut parser)?;
        parser.expect_token(&Token::EOF)?;
        Ok(parsed)
    };
    parse().map_err(|error: ParserError| {
        let error = DataFusionError::SQL(Box::new(error), None);
        Fault::of_parser(sql, &error)
    })
}

fn query(projection: Vec<SelectItem>, condition: Option<SqlExpr>) -> Statement {
    let template = format!("SELECT * FROM {EVENTS}");
    let mut parser = DFParserBuilder::new(template.as_str())
        .build()
        .expect("it is SQL");
    let mut statement = parser.parse_statement().expect("it is a statement");
    let Statement::Statement(sql) = &mut statement else {
        unreachable!("a query is a statement of SQL");
    };
    let Sql::Query(query) = sql.as_mut() else {
        unreachable!("it is a query");
    };
    let SetExpr::Select(select) = query.body.as_mut() else {
        unreachable!("it is a select");
    };
    select.projection = projection;
    select.selection = condition;
    statement
}

/// Whether the expression is the column of that name.
fn passes_as_it_is(expression: &Expr, name: &str) -> bool {
    matches!(expression, Expr::Column(column) if column.name == name)
}

fn looks_at_more() -> Fault {
    Fault::new(
        "a transform makes one row, or none, of each event: it cannot look at other rows or other tables",
    )
    .hint("what aggregates, or looks at several rows, is for eventlake query")
}

/// Refuses what is not the same for the same event, always.
fn decides_by_the_row(expression: &Expr) -> Result<(), Fault> {
    let mut fault = None;
    let _ = expression.exists(|inner| {
        let found = match inner {
            Expr::ScalarFunction(ScalarFunction { func, .. })
                if func.signature().volatility != Volatility::Immutable =>
            {
                Some(
                    Fault::new(format!(
                        "{}() is not the same for the same event each time, and a transform must be",
                        func.name()
                    ))
                    .hint("Kafka's own time of the record is in _kafka_timestamp"),
                )
            }
            Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::Unnest(_) => Some(looks_at_more()),
            Expr::Placeholder(placeholder) => Some(Fault::new(format!(
                "there is nothing that {} could stand for",
                placeholder.id
            ))),
            _ => None,
        };
        let is_found = found.is_some();
        fault = fault.take().or(found);
        Ok(is_found)
    });
    fault.map_or(Ok(()), Err)
}
