//! A table's columns over time: the version of a schema, and what a new version may change.

use std::path::Path;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use eventlake_core::commit::{FileSet, Fold, SchemaVersion};
use sha2::{Digest, Sha256};

use crate::ingest::open::open_data_file;
use crate::lake::store::Store;

/// The version of a schema: a short hash of its columns, in their order, with types and nullability.
#[must_use]
pub fn schema_version(schema: &Schema) -> SchemaVersion {
    let mut digest = Sha256::new();
    for field in schema.fields() {
        digest.update(format!(
            "{}:{}:{}\n",
            field.name(),
            field.data_type(),
            field.is_nullable()
        ));
    }
    let hex: String = digest.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    SchemaVersion::new(&hex).expect("hexadecimal digits")
}

/// Checks the schema that is about to be written against the newest file of the table: a new version may add nullable
/// columns and let a column be null, nothing else, or readers of all files would trip.
///
/// # Errors
/// With a message that names each column that may not change so, and what to do. A file that cannot be read right
/// now is no objection: it was written by this program and is checked by `eventlake verify`.
pub fn check(fold: &Fold, data: &Path, schema: &SchemaRef) -> Result<(), String> {
    if fold.schema_version() == Some(&schema_version(schema)) {
        return Ok(());
    }
    let accepted = fold.files().values().filter(|file| file.set == FileSet::Accepted);
    let Some(newest) = accepted.max_by_key(|file| file.stage) else {
        return Ok(());
    };
    let path = data.join(newest.path.as_str());
    let opened = Store::new().open(&path).map_err(|error| error.to_string());
    let before = opened.and_then(|file| {
        let file = file.ok_or("there is no such file")?;
        let builder = open_data_file(file).map_err(|error| error.to_string())?;
        Ok(builder.schema().clone())
    });
    let before = match before {
        Ok(before) => before,
        Err(error) => {
            tracing::warn!(
                "the columns of {} cannot be compared with the schema: {error}",
                path.display()
            );
            return Ok(());
        }
    };
    let faults = faults(&before, schema);
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the schema no longer fits the table, whose columns are those of {}: {}; hint: a new version may only add \
         nullable columns (not listed as required); for any other change, land the topic in a new table",
        path.display(),
        faults.join("; "),
    ))
}

fn faults(before: &Schema, after: &Schema) -> Vec<String> {
    let mut faults = Vec::new();
    for old in before.fields() {
        match after.field_with_name(old.name()) {
            Err(_) => faults.push(format!("column {} is gone", old.name())),
            Ok(new) if !fits(old.data_type(), new.data_type()) => {
                let (old_type, new_type) = (old.data_type(), new.data_type());
                faults.push(format!(
                    "column {} was {old_type} and is now {new_type}",
                    old.name()
                ));
            }
            Ok(new) if old.is_nullable() && !new.is_nullable() => {
                faults.push(format!("column {} may be null and now may not", old.name()));
            }
            Ok(_) => {}
        }
    }
    for new in after.fields() {
        if before.field_with_name(new.name()).is_err() && !new.is_nullable() {
            faults.push(format!("column {} is new and not nullable", new.name()));
        }
    }
    faults
}

/// Whether values of the old type are values of the new one: equal, but that inner fields may be added or become
/// nullable by the same rule as columns. The name of a list's element is not part of its type.
fn fits(old: &DataType, new: &DataType) -> bool {
    let field_fits = |old: &Field, new: &Field| {
        fits(old.data_type(), new.data_type()) && (new.is_nullable() || !old.is_nullable())
    };
    match (old, new) {
        (DataType::List(old), DataType::List(new)) => field_fits(old, new),
        (DataType::Struct(old), DataType::Struct(new)) => {
            let kept = old.iter().all(|old| {
                new.iter()
                    .any(|new| new.name() == old.name() && field_fits(old, new))
            });
            let added = new
                .iter()
                .filter(|new| !old.iter().any(|old| old.name() == new.name()));
            kept && added.into_iter().all(|field| field.is_nullable())
        }
        (old, new) => old == new,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Fields;

    use super::*;

    fn schema(fields: Vec<Field>) -> Schema {
        Schema::new(Fields::from(fields))
    }

    #[test]
    fn nullable_columns_may_be_added_and_nothing_else_changes() {
        let id = || Field::new("id", DataType::Int64, false);
        let before = schema(vec![id(), Field::new("name", DataType::Utf8, true)]);
        let added = schema(vec![
            Field::new("more", DataType::Boolean, true),
            id(),
            Field::new("name", DataType::Utf8, true),
        ]);
        assert_eq!(faults(&before, &added), Vec::<String>::new());
        assert_ne!(schema_version(&before), schema_version(&added));
        for (after, fault) in [
            (vec![id()], "column name is gone"),
            (
                vec![id(), Field::new("name", DataType::Int64, true)],
                "was Utf8 and is now Int64",
            ),
            (
                vec![id(), Field::new("name", DataType::Utf8, false)],
                "may be null and now may not",
            ),
            (
                vec![
                    id(),
                    Field::new("name", DataType::Utf8, true),
                    Field::new("must", DataType::Int64, false),
                ],
                "column must is new and not nullable",
            ),
        ] {
            let faults = faults(&before, &schema(after));
            assert!(faults.len() == 1 && faults[0].contains(fault), "{faults:?}");
        }
    }
}
