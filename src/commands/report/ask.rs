//! Questions in SQL and their answers as plain numbers and texts.

use std::sync::atomic::AtomicBool;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::DataType;
use eventlake_query::Session;

use super::progress::Progress;
use crate::sql::Halt;

/// Who asks: one snapshot, and the user who may interrupt.
pub struct Asker<'s> {
    pub session: &'s Session,
    pub stop: &'s AtomicBool,
    pub progress: &'s Progress,
}

impl Asker<'_> {
    /// Hands each part of an answer on; `what` is what the user sees meanwhile.
    pub fn each(
        &self,
        what: &str,
        sql: &str,
        mut take: impl FnMut(&Rows) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        self.progress.at(what);
        let mut answer = self.session.run(sql, self.stop)?;
        while let Some(batch) = answer.next(self.stop)? {
            take(&Rows(batch))?;
        }
        Ok(())
    }

    /// A whole answer, for those that are known to be short.
    pub fn all(&self, what: &str, sql: &str) -> Result<Rows, Halt> {
        self.progress.at(what);
        let mut answer = self.session.run(sql, self.stop)?;
        let mut batches = Vec::new();
        while let Some(batch) = answer.next(self.stop)? {
            batches.push(batch);
        }
        let whole = concat_batches(answer.columns(), &batches).map_err(anyhow::Error::new)?;
        Ok(Rows(whole))
    }
}

/// Rows of an answer.
pub struct Rows(RecordBatch);

impl Rows {
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    pub fn integers(&self, column: usize) -> Result<Int64Array, Halt> {
        let array = self.of_type(column, &DataType::Int64)?;
        Ok(array
            .as_any()
            .downcast_ref::<Int64Array>()
            .expect("cast to it")
            .clone())
    }

    pub fn numbers(&self, column: usize) -> Result<Float64Array, Halt> {
        let array = self.of_type(column, &DataType::Float64)?;
        Ok(array
            .as_any()
            .downcast_ref::<Float64Array>()
            .expect("cast to it")
            .clone())
    }

    pub fn texts(&self, column: usize) -> Result<StringArray, Halt> {
        let array = self.of_type(column, &DataType::Utf8)?;
        Ok(array
            .as_any()
            .downcast_ref::<StringArray>()
            .expect("cast to it")
            .clone())
    }

    pub fn bytes(&self, column: usize) -> Result<BinaryArray, Halt> {
        let array = self.of_type(column, &DataType::Binary)?;
        Ok(array
            .as_any()
            .downcast_ref::<BinaryArray>()
            .expect("cast to it")
            .clone())
    }

    fn of_type(&self, column: usize, data_type: &DataType) -> Result<ArrayRef, Halt> {
        let array = self.0.column(column);
        // What is null throughout has no type of its own.
        if array.data_type() == &DataType::Null {
            return Ok(new_null_array(data_type, array.len()));
        }
        cast(array, data_type).map_err(|error| Halt::Other(error.into()))
    }

    /// The first row's value, as each of the three.
    pub fn integer(&self, column: usize) -> Result<Option<i64>, Halt> {
        let values = self.integers(column)?;
        Ok((!values.is_empty() && values.is_valid(0)).then(|| values.value(0)))
    }

    pub fn number(&self, column: usize) -> Result<Option<f64>, Halt> {
        let values = self.numbers(column)?;
        Ok((!values.is_empty() && values.is_valid(0)).then(|| values.value(0)))
    }

    pub fn text(&self, column: usize) -> Result<Option<String>, Halt> {
        let values = self.texts(column)?;
        Ok((!values.is_empty() && values.is_valid(0)).then(|| values.value(0).to_owned()))
    }

    /// The first row's count; there is always one.
    pub fn count(&self, column: usize) -> Result<u64, Halt> {
        let count = self.integer(column)?.unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// The expressions of a SELECT, and where each one's answer will be.
#[derive(Default)]
pub struct Picks(Vec<String>);

impl Picks {
    /// Adds an expression; gives its column.
    pub fn add(&mut self, sql: impl Into<String>) -> usize {
        self.0.push(sql.into());
        self.0.len() - 1
    }

    /// The statement. Every column has a name of its own.
    pub fn from(&self, rows: &str) -> String {
        let named = self.0.iter().enumerate();
        let named: Vec<String> = named.map(|(index, sql)| format!("{sql} AS p{index}")).collect();
        format!("SELECT {} FROM {rows}", named.join(", "))
    }
}
