//! The columns that a report looks at: those of the schema, the fields of objects each for itself, lists by their lengths.

use arrow::datatypes::{DataType, Field, Schema};
use eventlake_engine::ingest::decode::{OFFSET_COLUMN, PARTITION_COLUMN, TIMESTAMP_COLUMN};

use super::figures::Kind;

/// A column, or a field inside of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// As it is shown: `place.city`.
    pub name: String,
    /// As SQL reads it: `"place"['city']`.
    pub sql: String,
    pub kind: Kind,
}

/// All leaves of a table, in the schema's order.
pub fn of(schema: &Schema) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for field in schema.fields() {
        descend(field, field.name().clone(), quoted(field.name()), &mut leaves);
    }
    leaves
}

/// Whether it came with the record and not in it.
pub fn is_kafkas(leaf: &Leaf) -> bool {
    [PARTITION_COLUMN, OFFSET_COLUMN, TIMESTAMP_COLUMN].contains(&leaf.name.as_str())
}

fn descend(field: &Field, name: String, sql: String, leaves: &mut Vec<Leaf>) {
    let kind = match field.data_type() {
        DataType::Struct(fields) => {
            for inner in fields {
                let name = format!("{name}.{}", inner.name());
                let sql = format!("{sql}[{}]", literal(inner.name()));
                descend(inner, name, sql, leaves);
            }
            return;
        }
        DataType::Boolean => Kind::Boolean,
        DataType::Float64 => Kind::Number,
        DataType::Timestamp(_, _) => Kind::Time,
        DataType::Date32 => Kind::Date,
        DataType::List(_) => Kind::List,
        integer if integer.is_integer() => Kind::Integer,
        _ => Kind::Text,
    };
    leaves.push(Leaf { name, sql, kind });
}

/// A name as SQL takes it, whatever it is.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL takes it, whatever it is.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Leaf {
    /// What is measured, as plain numbers and texts: times in microseconds, dates in days, lists by their lengths.
    pub fn measured(&self) -> String {
        let sql = &self.sql;
        match self.kind {
            Kind::Time => format!("CAST({sql} AS BIGINT)"),
            Kind::Date => format!("CAST(CAST({sql} AS INTEGER) AS BIGINT)"),
            Kind::List => format!("CAST(array_length({sql}) AS BIGINT)"),
            Kind::Integer => format!("CAST({sql} AS BIGINT)"),
            Kind::Number | Kind::Boolean | Kind::Text => sql.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn fields_of_objects_stand_for_themselves_and_names_cannot_break_out() {
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let city = Field::new("ci'ty", DataType::Utf8, true);
        let schema = Schema::new(vec![
            Field::new("a\"b", DataType::Int64, true),
            Field::new("place", DataType::Struct(vec![city].into()), true),
            Field::new("tags", DataType::List(item), true),
            Field::new(OFFSET_COLUMN, DataType::Int64, true),
        ]);
        let leaves = of(&schema);
        let names: Vec<&str> = leaves.iter().map(|leaf| leaf.name.as_str()).collect();
        assert_eq!(names, ["a\"b", "place.ci'ty", "tags", OFFSET_COLUMN]);
        let sql: Vec<String> = leaves.iter().map(Leaf::measured).collect();
        assert_eq!(
            sql[..3],
            [
                "CAST(\"a\"\"b\" AS BIGINT)",
                "\"place\"['ci''ty']",
                "CAST(array_length(\"tags\") AS BIGINT)"
            ]
        );
        assert_eq!(leaves.iter().filter(|leaf| is_kafkas(leaf)).count(), 1);
    }
}
