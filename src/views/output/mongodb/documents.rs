//! Rows as documents, and documents as the statements of `update` commands.

use std::collections::HashSet;

use anyhow::{Context as _, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use mongodb::bson::raw::{CString, RawArrayBuf, RawBson, RawDocumentBuf, cstr};
use mongodb::bson::{RawDocument, rawdoc};

use super::values::{Cells, Form, cells_of, has_floats, is_known, names_within};
use super::{Covers, Stamp};

/// The longest document that a server takes, in bytes.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Fields that every document has beside the view's.
const OWN_FIELDS: [&str; 3] = ["_id", "_as_of", "_lake"];
/// The `_id` of a view of one row.
const ONE_ROW: &str = "row";

/// How much goes into one command; the server takes 100,000 statements and 48 MB.
#[derive(Clone, Copy, Debug)]
pub struct Bulk {
    pub statements_max: usize,
    pub bytes_max: usize,
}

/// Why these columns cannot be a document's fields.
pub fn faults(columns: &SchemaRef) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    for field in columns.fields() {
        let name = field.name();
        if !seen.insert(name) {
            faults.push(format!(
                "two columns are named {name:?}; hint: name one of them otherwise, with AS"
            ));
        }
        if OWN_FIELDS.contains(&name.as_str()) {
            faults.push(format!(
                "a document has a field {name} of its own; hint: name the column otherwise, with AS"
            ));
        }
        if let Some(why) = fault_of_name(name) {
            faults.push(format!(
                "the column {name:?} cannot be a field of a document: {why}; hint: name it otherwise, with AS"
            ));
        }
        for inner in names_within(field.data_type()) {
            if let Some(why) = fault_of_name(inner) {
                faults.push(format!(
                    "within the column {name:?}, {inner:?} cannot be a field of a document: {why}; hint: select what it holds by columns of their own, column['field'] AS name"
                ));
            }
        }
        if !is_known(field.data_type()) {
            faults.push(format!(
                "the column {name:?} is of the type {}, for which MongoDB has none; hint: CAST it in the view's SQL",
                field.data_type()
            ));
        }
    }
    faults
}

fn fault_of_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a name is empty")
    } else if name.starts_with('$') {
        Some("a name that begins with $ means something else there")
    } else if name.contains('.') {
        Some("a dot in a name means a field within a field there")
    } else if name.contains('\0') {
        Some("a name holds a NUL")
    } else {
        None
    }
}

/// What the rows of an emission become.
pub struct Shape {
    names: Vec<CString>,
    key: Vec<usize>,
    keys_may_meet: bool,
}

impl Shape {
    /// # Errors
    /// Why these columns cannot be a document's fields, all reasons in one line.
    pub fn of(columns: &SchemaRef, key: &[usize]) -> anyhow::Result<Shape> {
        let faults = faults(columns);
        if !faults.is_empty() {
            bail!("{}", faults.join("; "));
        }
        let names = columns.fields().iter().map(|field| field.name().as_str());
        Ok(Shape {
            names: names.map(CString::try_from).collect::<Result<_, _>>()?,
            key: key.to_vec(),
            keys_may_meet: key.iter().any(|at| has_floats(columns.field(*at).data_type())),
        })
    }

    /// The documents of these rows.
    fn documents(&self, rows: &RecordBatch) -> anyhow::Result<Documents<'_>> {
        let cells = |form: Form, at: usize| {
            let name = &self.names[at];
            cells_of(rows.column(at), form)
                .with_context(|| format!("column {:?} cannot be read", name.as_str()))
        };
        let keys = self.key.iter().map(|at| cells(Form::Key, *at));
        let fields = (0..self.names.len()).map(|at| cells(Form::Field, at));
        Ok(Documents {
            shape: self,
            keys: keys.collect::<Result<_, _>>()?,
            fields: fields.collect::<Result<_, _>>()?,
        })
    }
}

struct Documents<'s> {
    shape: &'s Shape,
    keys: Vec<Cells>,
    fields: Vec<Cells>,
}

impl Documents<'_> {
    /// The values of the key's columns by their names, in the key's order: a server tells `_id`s apart by it, too.
    fn id(&self, row: usize) -> RawBson {
        if self.keys.is_empty() {
            return RawBson::String(ONE_ROW.to_owned());
        }
        let names = self.shape.key.iter().map(|at| &self.shape.names[*at]);
        let fields = names.zip(self.keys.iter().map(|key| key(row)));
        RawBson::Document(fields.collect::<RawDocumentBuf>())
    }

    fn document(&self, row: usize, id: &RawBson, stamp: &Stamp) -> RawDocumentBuf {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id.clone());
        for (name, field) in self.shape.names.iter().zip(&self.fields) {
            document.append(name, field(row));
        }
        document.append(cstr!("_as_of"), stamp.as_of);
        document.append(cstr!("_lake"), stamp.lake.as_str());
        document
    }
}

/// The statements that show the rows of an emission, by commands.
pub struct Updates<'e> {
    shape: &'e Shape,
    stamp: &'e Stamp,
    covers: Covers,
    bulk: Bulk,
    rows: std::slice::Iter<'e, RecordBatch>,
    /// The batch that is being worked on, how many rows it has, and which is next.
    current: Option<(Documents<'e>, usize, usize)>,
    /// The `_id`s so far, where two may be the same.
    seen: Option<HashSet<Vec<u8>>>,
    /// Documents so far.
    pub count: u64,
}

impl<'e> Updates<'e> {
    pub fn of(
        rows: &'e [RecordBatch],
        covers: Covers,
        shape: &'e Shape,
        stamp: &'e Stamp,
        bulk: Bulk,
    ) -> Updates<'e> {
        Updates {
            shape,
            stamp,
            covers,
            bulk,
            rows: rows.iter(),
            current: None,
            seen: shape.keys_may_meet.then(HashSet::new),
            count: 0,
        }
    }

    /// The statements of the next command; none are left when there are none.
    ///
    /// # Errors
    /// When a row cannot be a document.
    pub fn next_command(&mut self) -> anyhow::Result<Vec<RawDocumentBuf>> {
        let mut statements = Vec::new();
        let mut bytes = 0;
        while statements.len() < self.bulk.statements_max && bytes < self.bulk.bytes_max {
            let Some(statement) = self.next_statement()? else {
                break;
            };
            bytes += statement.as_bytes().len();
            statements.push(statement);
        }
        Ok(statements)
    }

    fn next_statement(&mut self) -> anyhow::Result<Option<RawDocumentBuf>> {
        loop {
            let Some((documents, count, row)) = &mut self.current else {
                let Some(rows) = self.rows.next() else {
                    return Ok(None);
                };
                self.current = Some((self.shape.documents(rows)?, rows.num_rows(), 0));
                continue;
            };
            if row == count {
                self.current = None;
                continue;
            }
            let id = documents.id(*row);
            let document = documents.document(*row, &id, self.stamp);
            *row += 1;
            let length = document.as_bytes().len();
            if length > DOCUMENT_BYTES_MAX {
                bail!(
                    "a row is a document of {length} bytes, and MongoDB takes {DOCUMENT_BYTES_MAX}. hint: select fewer columns, or shorten its texts and lists in the view's SQL"
                );
            }
            let is_new = match (&mut self.seen, &id) {
                (Some(seen), RawBson::Document(id)) => seen.insert(id.as_bytes().to_vec()),
                _ => true,
            };
            if is_new {
                self.count += 1;
                return Ok(Some(self.statement(id, &document)));
            }
        }
    }

    /// The document takes the place of the one with its `_id`, unless that one is of a newer emission: then there is none to take
    /// the place of, and to add one is refused, since its `_id` is there.
    fn statement(&self, id: RawBson, document: &RawDocument) -> RawDocumentBuf {
        let mut filter = RawDocumentBuf::new();
        filter.append(cstr!("_id"), id);
        if self.covers != Covers::NewRows {
            filter.append(cstr!("$or"), self.stamp.not_newer("_lake", "_as_of"));
        }
        rawdoc! { "q": filter, "u": document.to_owned(), "upsert": true }
    }
}

impl Stamp {
    /// What holds for documents that this emission may replace: those of other lakes, and of this one those that are not newer.
    pub fn not_newer(&self, lake: &str, as_of: &str) -> RawArrayBuf {
        self.compared(lake, as_of, "$lte")
    }

    /// What holds for documents of other lakes and of older emissions.
    pub fn older(&self, lake: &str, as_of: &str) -> RawArrayBuf {
        self.compared(lake, as_of, "$lt")
    }

    fn compared(&self, lake: &str, as_of: &str, operator: &str) -> RawArrayBuf {
        let name = |name: &str| CString::try_from(name).expect("a name of ours holds no NUL");
        let condition = |field: &str, condition: RawDocumentBuf| {
            let mut document = RawDocumentBuf::new();
            document.append(name(field), condition);
            document
        };
        let mut number = RawDocumentBuf::new();
        number.append(name(operator), self.as_of);
        let mut either = RawArrayBuf::new();
        either.push(condition(lake, rawdoc! { "$ne": self.lake.as_str() }));
        either.push(condition(as_of, number));
        either
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, StructArray, UnionArray};
    use arrow::datatypes::{DataType, Field, Schema, UnionFields};
    use mongodb::bson::Document;

    use super::*;

    const BULK: Bulk = Bulk {
        statements_max: 2,
        bytes_max: 1 << 20,
    };

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
        let fields: Vec<Field> = columns.iter().map(field).collect();
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows")
    }

    fn commands(
        rows: &[RecordBatch],
        key: &[usize],
        covers: Covers,
        bulk: Bulk,
    ) -> anyhow::Result<Vec<Vec<Document>>> {
        let shape = Shape::of(&rows[0].schema(), key)?;
        let stamp = Stamp {
            as_of: 7,
            lake: "lake".to_owned(),
        };
        let mut updates = Updates::of(rows, covers, &shape, &stamp, bulk);
        let mut commands = Vec::new();
        loop {
            let command = updates.next_command()?;
            if command.is_empty() {
                return Ok(commands);
            }
            let document = |raw: &RawDocumentBuf| Document::try_from(raw.as_ref()).expect("a document");
            commands.push(command.iter().map(document).collect());
        }
    }

    #[test]
    fn a_row_is_a_document_whose_id_is_its_key() {
        let rows = batch(vec![
            ("total", Arc::new(Int64Array::from(vec![3]))),
            ("city", Arc::new(StringArray::from(vec!["Oslo"]))),
            ("part", Arc::new(StringArray::from(vec![None::<&str>]))),
        ]);
        let commands = commands(&[rows], &[2, 1], Covers::Everything, BULK).expect("documents");
        assert_eq!(
            commands[0][0].to_string(),
            "{ \"q\": { \"_id\": { \"part\": null, \"city\": \"Oslo\" }, \"$or\": [{ \"_lake\": { \"$ne\": \"lake\" } }, { \"_as_of\": { \"$lte\": 7 } }] }, \
             \"u\": { \"_id\": { \"part\": null, \"city\": \"Oslo\" }, \"total\": 3, \"city\": \"Oslo\", \"part\": null, \"_as_of\": 7, \"_lake\": \"lake\" }, \
             \"upsert\": true }"
        );
    }

    #[test]
    fn a_command_holds_no_more_than_it_may() {
        let numbers = |from: i64| {
            batch(vec![(
                "n",
                Arc::new(Int64Array::from_iter_values(from..from + 3)),
            )])
        };
        let rows = [numbers(0), numbers(3)];
        let lengths = |bulk| -> Vec<usize> {
            let commands = commands(&rows, &[0], Covers::NewRows, bulk).expect("documents");
            commands.iter().map(Vec::len).collect()
        };
        assert_eq!(lengths(BULK), [2, 2, 2]);
        let small = Bulk {
            statements_max: 1000,
            bytes_max: 1,
        };
        assert_eq!(lengths(small), [1; 6]);
    }

    #[test]
    fn of_keys_that_are_one_for_the_server_one_row_is_shown() {
        let floats = Float64Array::from(vec![0.0, -0.0, 1.0, f64::NAN, f64::NAN]);
        let rows = [batch(vec![("f", Arc::new(floats))])];
        let commands = commands(&rows, &[0], Covers::Everything, BULK).expect("documents");
        assert_eq!(commands.concat().len(), 3);
    }

    #[test]
    fn a_document_that_no_server_takes_is_refused_here() {
        let long = "x".repeat(DOCUMENT_BYTES_MAX);
        let rows = [batch(vec![(
            "t",
            Arc::new(StringArray::from(vec![long.as_str()])),
        )])];
        let error = commands(&rows, &[], Covers::Everything, BULK)
            .expect_err("too long")
            .to_string();
        assert!(
            error.contains("MongoDB takes 16777216") && error.contains("hint:"),
            "{error}"
        );
    }

    #[test]
    fn columns_that_no_document_can_have_are_told_at_once() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let inner = StructArray::from(vec![(
            Arc::new(Field::new("x.y", DataType::Int64, true)),
            Arc::clone(&column),
        )]);
        let union = UnionArray::try_new(
            UnionFields::try_new([0], [Field::new("u", DataType::Int64, true)]).expect("a union"),
            vec![0].into(),
            None,
            vec![Arc::clone(&column)],
        );
        let names = ["a", "a", "_id", "_lake", "$v", "avg(t.x)", ""];
        let mut columns: Vec<(&str, ArrayRef)> = names.map(|name| (name, Arc::clone(&column))).into();
        columns.push(("s", Arc::new(inner)));
        columns.push(("u", Arc::new(union.expect("a union"))));
        let error = Shape::of(&batch(columns).schema(), &[])
            .err()
            .expect("many faults")
            .to_string();
        for part in [
            "two columns are named \"a\"",
            "a field _id of its own",
            "a field _lake of its own",
            "column \"$v\" cannot be a field of a document: a name that begins with $",
            "column \"avg(t.x)\" cannot be a field of a document: a dot",
            "column \"\" cannot be a field",
            "within the column \"s\", \"x.y\" cannot be",
            "the column \"u\" is of the type Union",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
