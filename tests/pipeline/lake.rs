//! An independent reader of the lake: the plain glob of Parquet files, with none of the engine's code.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

/// One row, and the file it is in.
#[derive(Clone, Debug)]
pub struct Row {
    pub columns: Map<String, Value>,
    /// Binary columns, as they are.
    pub bytes: BTreeMap<String, Vec<u8>>,
    pub file: PathBuf,
}

impl Row {
    pub fn position(&self) -> (i32, i64) {
        let partition = self.columns["_kafka_partition"]
            .as_i64()
            .expect("a partition is a number");
        let offset = self.columns["_kafka_offset"]
            .as_i64()
            .expect("an offset is a number");
        (i32::try_from(partition).expect("a partition is an i32"), offset)
    }

    /// `date=2026-11-21/hour=01`
    pub fn time_partition(&self) -> String {
        let folder = self.file.parent().expect("a file is in a folder");
        let hour = folder
            .file_name()
            .expect("a folder has a name")
            .to_string_lossy()
            .into_owned();
        if !hour.starts_with("hour=") {
            return hour;
        }
        let date = folder
            .parent()
            .and_then(Path::file_name)
            .expect("an hour is in a date")
            .to_string_lossy();
        format!("{date}/{hour}")
    }

    /// The last part of the file's name: which generation it is of.
    pub fn topic_id(&self) -> String {
        let name = self
            .file
            .file_stem()
            .expect("a file has a name")
            .to_string_lossy()
            .into_owned();
        // <uuid: five groups>-<sequence>-<topic id>, and a topic id may hold a dash itself.
        name.splitn(7, '-')
            .last()
            .expect("a split has a last part")
            .to_owned()
    }
}

/// What `<table>/**/*.parquet` finds, in the order of the paths.
pub fn files(table: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_below(table, &mut found);
    found.sort();
    found
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("the lake can be listed").path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
}

/// Every row of a table.
pub fn rows(table: &Path) -> Vec<Row> {
    files(table).iter().flat_map(|file| rows_in(file)).collect()
}

/// Every row of one file.
pub fn rows_in(file: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    // A file may be exchanged between the listing and the look; none of these cases does that.
    let open = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(open)
        .unwrap_or_else(|error| panic!("{} is no Parquet file: {error}", file.display()));
    for batch in reader.build().expect("a reader can be built") {
        let batch = batch.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let schema = batch.schema();
        for index in 0..batch.num_rows() {
            let mut row = Row {
                columns: Map::new(),
                bytes: BTreeMap::new(),
                file: file.to_owned(),
            };
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                if let (DataType::Binary, false) = (field.data_type(), column.is_null(index)) {
                    row.bytes.insert(
                        field.name().clone(),
                        column.as_binary::<i32>().value(index).to_vec(),
                    );
                } else {
                    row.columns.insert(field.name().clone(), value(column, index));
                }
            }
            rows.push(row);
        }
    }
    rows
}

/// Rows by (partition, offset).
///
/// # Panics
/// When a position is there twice.
pub fn rows_by_position(table: &Path) -> BTreeMap<(i32, i64), Row> {
    by_position(rows(table))
}

pub fn by_position(rows: Vec<Row>) -> BTreeMap<(i32, i64), Row> {
    let mut found: BTreeMap<(i32, i64), Row> = BTreeMap::new();
    for row in rows {
        let position = row.position();
        if let Some(first) = found.get(&position) {
            panic!(
                "{position:?} is there twice: in {} and in {}",
                first.file.display(),
                row.file.display()
            );
        }
        found.insert(position, row);
    }
    found
}

/// One cell; times are microseconds since 1970, dates are days.
fn value(column: &ArrayRef, index: usize) -> Value {
    if column.is_null(index) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => json!(column.as_string::<i32>().value(index)),
        DataType::Int32 => json!(column.as_primitive::<Int32Type>().value(index)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(index)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(index)),
        DataType::Boolean => json!(column.as_boolean().value(index)),
        DataType::Date32 => json!(column.as_primitive::<Date32Type>().value(index)),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
            json!(column.as_primitive::<TimestampMicrosecondType>().value(index))
        }
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let pairs = fields
                .iter()
                .zip(columns)
                .map(|(field, inner)| (field.name().clone(), value(inner, index)));
            Value::Object(pairs.collect())
        }
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(index);
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        DataType::Binary => json!(column.as_binary::<i32>().value(index)),
        other => panic!("the lake has a column of type {other}, which no reader was promised"),
    }
}
