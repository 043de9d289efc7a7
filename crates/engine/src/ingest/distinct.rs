//! Which columns hold nearly as many values as rows, found by a sample: a dictionary of them costs time and saves nothing.

use std::collections::HashSet;
use std::hash::Hash;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use parquet::schema::types::ColumnPath;

/// Values that are looked at of a column.
const SAMPLE: usize = 1024;
/// A file of fewer rows is written sooner than its columns are looked at.
const ROWS_MIN: usize = 16 * SAMPLE;

/// The Parquet columns of texts and numbers whose dictionary would be about as long as they are, where `rows` of the batch
/// go into a file.
pub(super) fn distinct_columns(batch: &RecordBatch, rows: usize) -> Vec<ColumnPath> {
    let mut found = Vec::new();
    if rows < ROWS_MIN {
        return found;
    }
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        search(&mut vec![field.name().clone()], column, &mut found);
    }
    found
}

fn search(path: &mut Vec<String>, column: &ArrayRef, found: &mut Vec<ColumnPath>) {
    match column.data_type() {
        DataType::Struct(fields) => {
            for (field, child) in fields.iter().zip(column.as_struct().columns()) {
                path.push(field.name().clone());
                search(path, child, found);
                path.pop();
            }
        }
        DataType::List(item) => {
            path.extend(["list".to_owned(), item.name().clone()]);
            search(path, column.as_list::<i32>().values(), found);
            path.truncate(path.len() - 2);
        }
        _ if column.len() < ROWS_MIN => {}
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            note(path, column, |row| texts.value(row), found);
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().values();
            note(path, column, |row| values[row], found);
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            note(path, column, |row| values[row].to_bits(), found);
        }
        _ => {}
    }
}

fn note<T: Hash + Eq>(
    path: &[String],
    column: &ArrayRef,
    value: impl Fn(usize) -> T,
    found: &mut Vec<ColumnPath>,
) {
    // Of D values that are equally frequent, a sample of n meets about n^2 / 2D twice (the birthday problem); here D is half
    // of the column's length.
    let twice_max = SAMPLE * SAMPLE / column.len();
    let step = column.len() / SAMPLE;
    let mut seen = HashSet::with_capacity(SAMPLE);
    let mut twice = 0;
    for place in 0..SAMPLE {
        let row = place * step + scattered(place) % step;
        twice += usize::from(column.is_valid(row) && !seen.insert(value(row)));
        if twice > twice_max {
            return;
        }
    }
    if seen.len() > SAMPLE / 2 {
        found.push(ColumnPath::new(path.to_vec()));
    }
}

/// A number that follows no pattern a column could have, and the same in every run (SplitMix64's mixing): of values that come
/// round in turn, a sample at equal distances would see each once.
fn scattered(place: usize) -> usize {
    let mut bits = (place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (bits ^ (bits >> 27)) as usize
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray, StructArray};
    use arrow::buffer::{OffsetBuffer, ScalarBuffer};
    use arrow::datatypes::Field;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::ingest::write_parquet;

    const ROWS: i64 = 20_000;

    /// Distinct and repeated values, at the root, in an object and in an array of objects.
    fn rows() -> RecordBatch {
        let ids = || Arc::new(Int64Array::from_iter_values(0..ROWS)) as ArrayRef;
        let kinds =
            || Arc::new(Int64Array::from_iter_values((0..ROWS).map(|n| n * 7_919 % 1_000))) as ArrayRef;
        let names = || {
            Arc::new(StringArray::from_iter_values(
                (0..ROWS).map(|n| format!("name {n}")),
            )) as ArrayRef
        };
        let nulls = Arc::new(StringArray::from_iter((0..ROWS).map(|_| None::<&str>))) as ArrayRef;
        let object = || {
            let field =
                |name, column: &ArrayRef| Arc::new(Field::new(name, column.data_type().clone(), false));
            let (id, kind, name) = (ids(), kinds(), names());
            let fields = [field("id", &id), field("kind", &kind), field("name", &name)];
            StructArray::new(Vec::from(fields).into(), vec![id, kind, name], None)
        };
        let items = object();
        let item = Arc::new(Field::new("item", items.data_type().clone(), false));
        let offsets = OffsetBuffer::new(ScalarBuffer::from_iter(0..=ROWS as i32));
        let list = ListArray::new(item, offsets, Arc::new(items), None);
        RecordBatch::try_from_iter([
            ("id", ids()),
            ("kind", kinds()),
            ("nothing", nulls),
            ("object", Arc::new(object()) as ArrayRef),
            ("list", Arc::new(list) as ArrayRef),
        ])
        .expect("columns of one length")
    }

    /// Parquet's own names of the columns that a file has a dictionary of.
    fn with_dictionary(rows: &RecordBatch, order: Option<&[u32]>) -> Vec<String> {
        let file =
            write_parquet(tempfile::tempfile().expect("a file"), rows, order, vec![]).expect("written");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("readable");
        let columns = reader.metadata().row_group(0).columns().iter();
        columns
            .filter(|column| column.dictionary_page_offset().is_some())
            .map(|column| column.column_path().string())
            .collect()
    }

    #[test]
    fn a_column_of_distinct_values_gets_no_dictionary_however_deep_it_lies() {
        let expected = ["kind", "nothing", "object.kind", "list.list.item.kind"];
        assert_eq!(with_dictionary(&rows(), None), expected);
    }

    #[test]
    fn a_small_file_of_a_large_roll_is_not_looked_at() {
        let few: Vec<u32> = (0..100).collect();
        assert_eq!(with_dictionary(&rows(), Some(&few)).len(), 9);
    }

    #[test]
    fn a_column_of_half_as_many_values_as_rows_keeps_its_dictionary() {
        for (values, expected) in [(ROWS / 20, 0), (ROWS / 5, 0), (ROWS, 1)] {
            let scattered = (0..ROWS).map(|n| n * 7_919 % values);
            let column = Arc::new(Int64Array::from_iter_values(scattered)) as ArrayRef;
            let rows = RecordBatch::try_from_iter([("n", column)]).expect("one column");
            let found = distinct_columns(&rows, rows.num_rows());
            assert_eq!(found.len(), expected, "{values} values");
        }
    }
}
