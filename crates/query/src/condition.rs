//! A condition on the rows of one table, compiled once and held against batches.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::ExprSchemable as _;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::QueryError;
use crate::expression;
use crate::fault::Fault;

/// A SQL expression that is true, false or null of a row; only where it is true does it hold.
#[derive(Clone, Debug)]
pub struct Condition {
    expression: Arc<dyn PhysicalExpr>,
}

impl Condition {
    /// Compiles what could stand after `WHERE`, for rows of these columns.
    ///
    /// # Errors
    /// When it cannot be parsed, names no column of these, or is not boolean.
    pub fn compile(sql: &str, columns: &SchemaRef) -> Result<Condition, QueryError> {
        let mut config = SessionConfig::new();
        config.options_mut().sql_parser.collect_spans = true;
        let context = SessionContext::new_with_config(config);
        let fault = |error: DataFusionError| QueryError::Sql(Fault::of_planner(sql, &error));
        let columns = DFSchema::try_from(Arc::clone(columns)).map_err(fault)?;
        let logical = context.parse_sql_expr(sql, &columns).map_err(fault)?;
        match logical.get_type(&columns).map_err(fault)? {
            DataType::Boolean | DataType::Null => {}
            other => {
                let is_what = format!("the condition must be true or false of a row; this one is {other}");
                return Err(QueryError::Sql(Fault::new(is_what)));
            }
        }
        let expression = expression::compile(&context.state(), logical, &columns).map_err(fault)?;
        Ok(Condition { expression })
    }

    /// Of each row, whether the condition holds; never null.
    ///
    /// # Errors
    /// When it cannot be worked out for a row: a division by zero, a cast that fails.
    pub fn holds(&self, batch: &RecordBatch) -> Result<BooleanArray, QueryError> {
        let failed = |error: DataFusionError| QueryError::running(&error, None);
        let value = self.expression.evaluate(batch).map_err(failed)?;
        let array = value.into_array(batch.num_rows()).map_err(failed)?;
        let is_true = |index| {
            array
                .as_boolean_opt()
                .is_some_and(|held| held.is_valid(index) && held.value(index))
        };
        Ok((0..array.len()).map(|index| Some(is_true(index))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    fn tickets() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("priority", DataType::Utf8, true),
        ]);
        let ids = Arc::new(Int64Array::from(vec![0, 1, 2, 3]));
        let priorities = Arc::new(StringArray::from(vec![
            Some("haute"),
            None,
            Some("critique"),
            Some("basse"),
        ]));
        RecordBatch::try_new(Arc::new(schema), vec![ids, priorities]).expect("it fits")
    }

    fn held(sql: &str) -> Vec<bool> {
        let rows = tickets();
        let condition = Condition::compile(sql, &rows.schema()).expect(sql);
        condition
            .holds(&rows)
            .expect(sql)
            .iter()
            .map(|held| held == Some(true))
            .collect()
    }

    #[test]
    fn null_is_not_true() {
        assert_eq!(held("priority <> 'basse'"), [true, false, true, false]);
        assert_eq!(held("priority IS NULL OR id > 2"), [false, true, false, true]);
        assert_eq!(held("NULL"), [false; 4]);
        assert_eq!(held("true"), [true; 4]);
        assert_eq!(held("arrow_cast(id, 'Utf8') = '3'"), [false, false, false, true]);
        assert_eq!(
            held("upper(priority) LIKE 'C%' AND id IN (1, 2)"),
            [false, false, true, false]
        );
    }

    #[test]
    fn what_cannot_be_a_condition_is_refused_with_what_was_meant() {
        let schema = tickets().schema();
        for (sql, words) in [
            ("priorty = 'haute'", "priority"),
            ("id +", "expected"),
            ("id + 1", "true or false"),
            ("", "expected"),
            ("id > 1; DROP TABLE x", ";"),
            ("id = 'x' AND", "expected"),
            ("count(*) > 1", "aggregate"),
            ("id IN (SELECT 1)", "ubquer"),
        ] {
            let fault = Condition::compile(sql, &schema).expect_err(sql).to_string();
            assert!(fault.to_lowercase().contains(words), "{sql}: {fault}");
        }
    }

    #[test]
    fn a_row_of_which_it_cannot_be_told_is_an_error() {
        let rows = tickets();
        let condition = Condition::compile("10 / id > 1", &rows.schema()).expect("compiles");
        let error = condition.holds(&rows).expect_err("by zero").to_string();
        assert!(error.to_lowercase().contains("zero"), "{error}");
    }
}
