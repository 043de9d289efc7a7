//! Whether a file of another version of the schema can be read as the table: the same types wherever both have a column.

use std::fs::File;

use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use crate::lake::{LiveFile, Table};

/// # Errors
/// With the columns that changed their types, and what to do. A file that cannot be opened is no fault of its columns: who
/// reads it says so.
pub(crate) fn check(live: &LiveFile, table: &Table) -> Result<(), String> {
    let Some(file) = live.places.iter().find_map(|place| File::open(place).ok()) else {
        return Ok(());
    };
    let metadata = ArrowReaderMetadata::load(&file, Default::default())
        .map_err(|error| format!("{}: {error}", live.file.path.as_str()))?;
    let mut changed = Vec::new();
    for field in metadata.schema().fields() {
        if let Ok(column) = table.columns.field_with_name(field.name())
            && !is_same(field.data_type(), column.data_type())
        {
            changed.push(format!(
                "column {} is {} there and {} in the configuration's schema",
                field.name(),
                field.data_type(),
                column.data_type()
            ));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} was written under another schema: {}\nhint: query the table with the configuration that wrote it",
        live.file.path.as_str(),
        changed.join("; ")
    ))
}

/// Inner fields may come and go as columns do. The name of a list's element is not part of its type.
fn is_same(left: &DataType, right: &DataType) -> bool {
    match (left, right) {
        (DataType::List(left), DataType::List(right)) => is_same(left.data_type(), right.data_type()),
        (DataType::Struct(left), DataType::Struct(right)) => left.iter().all(|field| {
            let other = right.iter().find(|other| other.name() == field.name());
            other.is_none_or(|other| is_same(field.data_type(), other.data_type()))
        }),
        (left, right) => left == right,
    }
}
