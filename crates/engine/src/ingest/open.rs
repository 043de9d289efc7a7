//! Opening a data file: by its columns as Parquet declares them, never by what else its metadata says.

use std::io::{self, Read};

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{ChunkReader, Length};

/// A reader of a data file. The library that reads it panics on some metadata that no writer makes, so that is refused
/// here; an Arrow schema embedded in the metadata is not looked at, for files of this program carry none.
///
/// # Errors
/// When the bytes are no Parquet file.
pub fn open_data_file<R: ChunkReader + 'static>(
    file: R,
) -> Result<ParquetRecordBatchReaderBuilder<DataFile<R>>, ParquetError> {
    let bytes = file.len();
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(DataFile(file), options)?;
    match fault(builder.metadata(), bytes) {
        None => Ok(builder),
        Some(fault) => Err(ParquetError::General(fault)),
    }
}

/// A file whose end is an error to whom wants more. Behind every page there is a footer, so nobody reads there unless a page header
/// lies about its length; and the library, which takes no bytes for an empty value, would go on for as long as a list claims to be.
pub struct DataFile<R>(R);

/// What is read of a [`DataFile`] from some offset on.
pub struct UpToItsEnd<R>(R);

impl<R: Length> Length for DataFile<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<R: ChunkReader> ChunkReader for DataFile<R> {
    type T = UpToItsEnd<R::T>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.0.get_read(start).map(UpToItsEnd)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.0.get_bytes(start, length)
    }
}

impl<R: Read> Read for UpToItsEnd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            length => Ok(length),
        }
    }
}

/// What no writer states of a file of so many bytes.
fn fault(metadata: &ParquetMetaData, bytes: u64) -> Option<String> {
    let mut rows = 0_i64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        rows = rows.saturating_add(group.num_rows());
        if group.num_rows() < 0 {
            return Some(format!("row group {index} has {} rows", group.num_rows()));
        }
        let misplaced = |column: &&ColumnChunkMetaData| !lies_within(column, bytes);
        if let Some(column) = group.columns().iter().find(misplaced) {
            return Some(format!(
                "row group {index}: column {} lies outside of the file's {bytes} bytes",
                column.column_path()
            ));
        }
    }
    let stated = metadata.file_metadata().num_rows();
    (stated != rows).then(|| format!("it states {stated} rows, its row groups hold {rows}"))
}

fn lies_within(column: &ColumnChunkMetaData, bytes: u64) -> bool {
    let start = column
        .dictionary_page_offset()
        .unwrap_or_else(|| column.data_page_offset());
    let end = start.checked_add(column.compressed_size());
    start >= 0
        && column.data_page_offset() >= start
        && column.num_values() >= 0
        && column.compressed_size() >= 0
        && end
            .and_then(|end| u64::try_from(end).ok())
            .is_some_and(|end| end <= bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use parquet::file::metadata::{KeyValue, ParquetMetaDataBuilder};

    use super::*;
    use crate::ingest::encode::write_parquet;

    fn data_file(footer: Vec<KeyValue>) -> File {
        let numbers = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("a", numbers as _)]).expect("a batch");
        let bytes = write_parquet(Vec::new(), &batch, None, footer).expect("a file");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("written");
        file
    }

    #[test]
    fn an_embedded_schema_is_not_looked_at() {
        let embedded = KeyValue::new("ARROW:schema".to_owned(), "no schema".to_owned());
        let file = data_file(vec![embedded]);
        let plainly = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().expect("a handle"));
        assert!(plainly.is_err(), "the library looks at it");
        let builder = open_data_file(file).expect("a data file");
        assert_eq!(builder.schema().field(0).name(), "a");
    }

    #[test]
    fn columns_outside_of_the_file_are_refused() {
        let file = data_file(vec![]);
        let bytes = file.metadata().expect("its length").len();
        let metadata = ParquetMetaData::clone(open_data_file(file).expect("a data file").metadata());
        assert_eq!(fault(&metadata, bytes), None);
        assert!(fault(&metadata, 8).is_some_and(|fault| fault.contains("outside of the file's 8 bytes")));
        for (length, offset) in [(-1, 4), (i64::MAX, 4), (4, -1), (4, i64::MAX)] {
            let group = metadata.row_group(0).clone();
            let column = group.column(0).clone().into_builder();
            let column = column
                .set_total_compressed_size(length)
                .set_dictionary_page_offset(Some(offset));
            let column = column.build().expect("a column");
            let group = group.into_builder().set_column_metadata(vec![column]).build();
            let builder = ParquetMetaDataBuilder::new(metadata.file_metadata().clone());
            let altered = builder.add_row_group(group.expect("a row group")).build();
            assert!(fault(&altered, bytes).is_some(), "{length} bytes at {offset}");
        }
    }

    #[test]
    fn rows_that_no_row_group_holds_are_refused() {
        let metadata =
            ParquetMetaData::clone(open_data_file(data_file(vec![])).expect("a data file").metadata());
        let altered = ParquetMetaDataBuilder::new(metadata.file_metadata().clone()).build();
        let said = fault(&altered, 1_000).expect("a fault");
        assert_eq!(said, "it states 3 rows, its row groups hold 0");
    }
}
