//! What a view's table is to look like, whether the one that is there does, and the statements that say so.

use std::fmt;

use arrow::datatypes::SchemaRef;

use super::connection::Row;
use super::values::type_of;

/// The longest name in bytes; PostgreSQL would cut a longer one without a word.
const NAME_BYTES_MAX: usize = 63;

/// A table's name as configured: `table` or `schema.table`, each part as it is or, where it holds a dot, in double quotes.
/// Capital letters stay what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// None: wherever the server's search path leads.
    pub schema: Option<String>,
    pub name: String,
}

impl TableName {
    /// # Errors
    /// Why the text is no name.
    pub fn parse(text: &str) -> Result<TableName, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = first_part(rest).ok_or("a quote in it is not closed")?;
            fault_of_name(&part).map_or(Ok(()), Err)?;
            parts.push(part);
            match after.strip_prefix('.') {
                Some(after) => rest = after,
                None if after.is_empty() => break,
                None => return Err("a quote may enclose the schema or the table only".to_owned()),
            }
        }
        match (parts.pop(), parts.pop(), parts.pop()) {
            (Some(name), schema, None) => Ok(TableName { schema, name }),
            _ => Err(
                "expected `table` or `schema.table`. hint: put double quotes around a name with dots"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for TableName {
    /// As SQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quoted(schema))?;
        }
        f.write_str(&quoted(&self.name))
    }
}

/// The name that a text begins with, and what follows it.
fn first_part(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut part = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None => return Some((part, after)),
        }
    }
}

fn fault_of_name(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("a name is empty".to_owned())
    } else if name.contains('\0') {
        Some(format!("{name:?} holds a NUL"))
    } else if name.len() > NAME_BYTES_MAX {
        let length = name.len();
        Some(format!(
            "the name {name:?} has {length} bytes, and PostgreSQL takes {NAME_BYTES_MAX}. hint: name it otherwise, a column with AS in the view's SQL"
        ))
    } else {
        None
    }
}

/// A name as SQL, whatever it holds.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL, with `standard_conforming_strings` on.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// As PostgreSQL spells it.
    pub type_name: String,
}

/// What the rows of a view ask of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub columns: Vec<Column>,
    /// Positions in `columns`; none: a table of at most one row.
    pub key: Vec<usize>,
}

impl Shape {
    /// # Errors
    /// Why these columns cannot be a table's, all reasons in one line.
    pub fn of(columns: &SchemaRef, key: &[usize]) -> Result<Shape, String> {
        let mut faults = Vec::new();
        let mut shape = Shape {
            columns: Vec::new(),
            key: key.to_vec(),
        };
        for field in columns.fields() {
            let name = field.name().clone();
            faults.extend(fault_of_name(&name));
            if shape.columns.iter().any(|column| column.name == name) {
                faults.push(format!(
                    "two columns are named {name:?}. hint: name one of them otherwise, with AS"
                ));
            }
            match type_of(field.data_type()) {
                Some(type_name) => shape.columns.push(Column { name, type_name }),
                None => faults.push(format!(
                    "column {name:?} is of the type {}, for which PostgreSQL has none. hint: CAST it in the view's SQL",
                    field.data_type()
                )),
            }
        }
        if faults.is_empty() {
            Ok(shape)
        } else {
            Err(faults.join("; "))
        }
    }

    /// All columns as SQL, with commas between.
    pub fn names(&self) -> String {
        list(&self.columns, |column| quoted(&column.name))
    }

    /// The key's columns as SQL; empty for a table of one row.
    pub fn key_names(&self) -> String {
        list(&self.key, |position| quoted(&self.columns[*position].name))
    }

    /// The columns that are not of the key.
    pub fn values(&self) -> Vec<&Column> {
        let positions = self.columns.iter().enumerate();
        let values = positions.filter(|(position, _)| !self.key.contains(position));
        values.map(|(_, column)| column).collect()
    }

    /// The statements that make the table. A null is a value of a key like any other: GROUP BY gives a group of nulls.
    pub fn create(&self, table: &TableName) -> String {
        let columns = list(&self.columns, |column| {
            format!("{} {}", quoted(&column.name), column.type_name)
        });
        if self.key.is_empty() {
            // Every row has the value true, so that a second one is refused, and meets the first one.
            format!("CREATE TABLE {table} ({columns}); CREATE UNIQUE INDEX ON {table} ((true))")
        } else {
            let key = self.key_names();
            format!("CREATE TABLE {table} ({columns}, UNIQUE NULLS NOT DISTINCT ({key}))")
        }
    }
}

/// What each of some things is as SQL, with commas between.
pub fn list<T>(things: &[T], sql: impl FnMut(&T) -> String) -> String {
    things.iter().map(sql).collect::<Vec<_>>().join(", ")
}

/// A table as the server describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub columns: Vec<FoundColumn>,
    pub keys: Vec<FoundKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundColumn {
    pub name: String,
    pub type_name: String,
    pub nulls: Nulls,
    /// It has a value where a row names none.
    pub has_default: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    Taken,
    Refused,
}

/// A unique index over whole columns, or over an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundKey {
    pub columns: Vec<String>,
    pub expression: String,
    pub nulls_are_equal: bool,
}

/// Asks for the columns of a table: the first half of what [`Found::of`] takes.
pub fn select_columns(oid: &str) -> String {
    format!(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef OR attidentity <> '' \
         FROM pg_attribute WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
}

/// Asks for the unique indexes of a table, a row a column of each: the other half. Those that do not hold
/// for every row, or not at every moment, cannot tell which row to replace.
pub fn select_keys(oid: &str) -> String {
    format!(
        "SELECT i.indexrelid, a.attname, pg_get_expr(i.indexprs, i.indrelid), i.indnullsnotdistinct \
         FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) \
         LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         WHERE i.indrelid = {oid} AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL \
         AND k.place <= i.indnkeyatts ORDER BY i.indexrelid, k.place"
    )
}

impl Found {
    pub fn of(columns: Vec<Row>, keys: Vec<Row>) -> Found {
        let mut found = Found::default();
        for row in columns {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || cells.next().unwrap_or_default();
            found.columns.push(FoundColumn {
                name: next(),
                type_name: next(),
                nulls: if next() == "t" {
                    Nulls::Refused
                } else {
                    Nulls::Taken
                },
                has_default: next() == "t",
            });
        }
        let mut last_index = None;
        for row in keys {
            let mut cells = row.into_iter();
            let mut next = || cells.next().flatten();
            let index = next();
            let (column, expression, nulls_are_equal) = (next(), next(), next().as_deref() == Some("t"));
            if last_index != index {
                found.keys.push(FoundKey::default());
            }
            last_index = index;
            let key = found.keys.last_mut().expect("one was pushed for this index");
            key.columns.extend(column);
            key.expression = expression.unwrap_or_default();
            key.nulls_are_equal = nulls_are_equal;
        }
        found
    }

    /// What stands between a table and the rows of a view.
    pub fn faults(&self, shape: &Shape) -> Vec<String> {
        let mut faults = Vec::new();
        for wanted in &shape.columns {
            match self.column(&wanted.name) {
                None => faults.push(format!(
                    "column {} of type {} is missing",
                    quoted(&wanted.name),
                    wanted.type_name
                )),
                Some(column) if !holds(&column.type_name, &wanted.type_name) => faults.push(format!(
                    "column {} is of type {}, expected {}",
                    quoted(&wanted.name),
                    column.type_name,
                    wanted.type_name
                )),
                Some(_) => {}
            }
        }
        for column in &self.columns {
            let known = shape.columns.iter().any(|wanted| wanted.name == column.name);
            if !known && column.nulls == Nulls::Refused && !column.has_default {
                let name = quoted(&column.name);
                faults.push(format!("column {name} is none of the view's, and takes no null"));
            }
        }
        if !self.keys.iter().any(|key| self.is_key(key, shape)) {
            let names = shape.key_names();
            faults.push(if shape.key.is_empty() {
                "the unique index ((true)) is missing, by which it holds one row".to_owned()
            } else {
                format!("UNIQUE NULLS NOT DISTINCT ({names}) is missing")
            });
        }
        faults
    }

    fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn is_key(&self, key: &FoundKey, shape: &Shape) -> bool {
        if shape.key.is_empty() {
            return key.columns.is_empty() && key.expression == "true";
        }
        let mut wanted: Vec<&str> = shape
            .key
            .iter()
            .map(|at| shape.columns[*at].name.as_str())
            .collect();
        let mut found: Vec<&str> = key.columns.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        let refuses_nulls = |name: &&str| {
            self.column(name)
                .is_some_and(|column| column.nulls == Nulls::Refused)
        };
        key.expression.is_empty()
            && wanted == found
            && (key.nulls_are_equal || wanted.iter().all(refuses_nulls))
    }
}

/// Whether every value of one type is one of another.
fn holds(found: &str, wanted: &str) -> bool {
    let wider: &[&str] = match wanted {
        "smallint" => &["integer", "bigint", "numeric"],
        "integer" => &["bigint", "numeric"],
        "bigint" => &["numeric"],
        "real" => &["double precision"],
        "text" => &["character varying"],
        decimal if decimal.starts_with("numeric(") => &["numeric"],
        _ => &[],
    };
    found == wanted || wider.contains(&found)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, IntervalUnit, Schema};

    use super::*;

    fn shape(key: &[usize]) -> Shape {
        let fields = vec![
            Field::new("city", DataType::Utf8View, true),
            Field::new("n\"o", DataType::Int32, true),
        ];
        Shape::of(&Arc::new(Schema::new(fields)), key).expect("a shape")
    }

    fn found() -> Found {
        let column = |name: &str, type_name: &str| FoundColumn {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            nulls: Nulls::Taken,
            has_default: false,
        };
        Found {
            columns: vec![column("city", "text"), column("n\"o", "bigint")],
            keys: vec![FoundKey {
                columns: vec!["city".to_owned()],
                expression: String::new(),
                nulls_are_equal: true,
            }],
        }
    }

    #[test]
    fn names_are_taken_as_they_are_written() {
        let cases = [
            ("orders", "\"orders\""),
            ("Sales.Orders 2", "\"Sales\".\"Orders 2\""),
            ("\"a.b\".\"c\"\"d\"", "\"a.b\".\"c\"\"d\""),
            ("x;DROP TABLE y--", "\"x;DROP TABLE y--\""),
        ];
        for (text, sql) in cases {
            assert_eq!(TableName::parse(text).expect(text).to_string(), sql);
        }
        let long = "é".repeat(32);
        for text in ["", "a.", ".a", "a.b.c", "\"a", "\"a\"b", "a\0", long.as_str()] {
            TableName::parse(text).expect_err(text);
        }
    }

    #[test]
    fn columns_that_no_table_can_have_are_told_at_once() {
        let fields = vec![
            Field::new("a", DataType::Int64, true),
            Field::new("a", DataType::Int64, true),
            Field::new("i", DataType::Interval(IntervalUnit::MonthDayNano), true),
            Field::new("x".repeat(64), DataType::Int64, true),
        ];
        let error = Shape::of(&Arc::new(Schema::new(fields)), &[]).expect_err("three faults");
        for part in ["two columns are named \"a\"", "column \"i\"", "64 bytes"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_table_is_made_for_its_key() {
        let table = TableName::parse("t").expect("a name");
        assert_eq!(
            shape(&[0]).create(&table),
            "CREATE TABLE \"t\" (\"city\" text, \"n\"\"o\" integer, UNIQUE NULLS NOT DISTINCT (\"city\"))"
        );
        assert!(
            shape(&[])
                .create(&table)
                .ends_with("CREATE UNIQUE INDEX ON \"t\" ((true))")
        );
    }

    #[test]
    fn a_table_that_holds_the_rows_fits() {
        assert_eq!(found().faults(&shape(&[0])), Vec::<String>::new());
        let mut more = found();
        more.columns.push(FoundColumn {
            name: "note".to_owned(),
            type_name: "text".to_owned(),
            nulls: Nulls::Refused,
            has_default: true,
        });
        // A primary key: its columns refuse nulls, so that none can stand twice.
        more.columns[0].nulls = Nulls::Refused;
        more.keys[0].nulls_are_equal = false;
        assert_eq!(more.faults(&shape(&[0])), Vec::<String>::new());
    }

    #[test]
    fn all_that_does_not_fit_is_said() {
        let mut other = found();
        other.columns[0].type_name = "integer".to_owned();
        other.columns[1].name = "other".to_owned();
        other.columns[1].nulls = Nulls::Refused;
        other.keys[0].nulls_are_equal = false;
        assert_eq!(
            other.faults(&shape(&[0])),
            [
                "column \"city\" is of type integer, expected text",
                "column \"n\"\"o\" of type integer is missing",
                "column \"other\" is none of the view's, and takes no null",
                "UNIQUE NULLS NOT DISTINCT (\"city\") is missing",
            ]
        );
        assert_eq!(
            found().faults(&shape(&[])),
            ["the unique index ((true)) is missing, by which it holds one row"]
        );
    }
}
