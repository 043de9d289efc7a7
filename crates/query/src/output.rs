//! Answers as bytes that programs read: JSON lines, CSV, Parquet.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::csv;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json;
use arrow::json::writer::LineDelimited;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::error::QueryError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object a row and line, nulls included.
    JsonLines,
    /// RFC 4180, with a line of names.
    Csv,
    Parquet,
}

/// Turns batches into bytes, which its caller takes after each. Nothing is complete before [`Writer::finish`].
pub struct Writer {
    columns: SchemaRef,
    bytes: Buffer,
    kind: Kind,
}

enum Kind {
    JsonLines(json::Writer<Buffer, LineDelimited>),
    Csv(Box<csv::Writer<Buffer>>),
    Parquet(Box<ArrowWriter<Buffer>>),
}

impl Writer {
    /// # Errors
    /// When the format has no place for a type.
    pub fn new(format: Format, columns: &SchemaRef) -> Result<Writer, QueryError> {
        let columns = distinct(columns);
        let bytes = Buffer::default();
        let kind = match format {
            Format::JsonLines => {
                let builder = json::WriterBuilder::new().with_explicit_nulls(true);
                Kind::JsonLines(builder.build(bytes.clone()))
            }
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(bytes.clone());
                // Names are written with the first rows: an answer without rows has names, too.
                let names = RecordBatch::new_empty(Arc::clone(&columns));
                writer.write(&names).map_err(|error| of_arrow(&error))?;
                Kind::Csv(Box::new(writer))
            }
            Format::Parquet => {
                let level = ZstdLevel::try_new(3).expect("a level of zstd");
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(level))
                    .build();
                let writer = ArrowWriter::try_new(bytes.clone(), Arc::clone(&columns), Some(properties));
                Kind::Parquet(Box::new(writer.map_err(|error| of_parquet(&error))?))
            }
        };
        Ok(Writer { columns, bytes, kind })
    }

    /// The bytes that are ready once these rows were added.
    ///
    /// # Errors
    /// When the format has no place for a type or a value.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, QueryError> {
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let values = batch.columns().to_vec();
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.columns), values, &rows);
        let batch = batch.map_err(|error| of_arrow(&error))?;
        match &mut self.kind {
            Kind::JsonLines(writer) => writer.write(&batch).map_err(|error| of_arrow(&error))?,
            Kind::Csv(writer) => writer.write(&batch).map_err(|error| of_arrow(&error))?,
            Kind::Parquet(writer) => writer.write(&batch).map_err(|error| of_parquet(&error))?,
        }
        Ok(self.bytes.take())
    }

    /// The bytes that are left.
    ///
    /// # Errors
    /// As for [`Writer::write`].
    pub fn finish(self) -> Result<Vec<u8>, QueryError> {
        match self.kind {
            Kind::JsonLines(mut writer) => writer.finish().map_err(|error| of_arrow(&error))?,
            Kind::Csv(writer) => drop(writer),
            Kind::Parquet(writer) => {
                writer.close().map_err(|error| of_parquet(&error))?;
            }
        }
        Ok(self.bytes.take())
    }
}

/// What was written and not taken yet.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().expect("no panic under the lock"))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().expect("no panic under the lock");
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Columns whose names differ: of equal ones the later get a number, `user_id` and `user_id_1`.
fn distinct(columns: &SchemaRef) -> SchemaRef {
    let all: BTreeSet<&String> = columns.fields().iter().map(|field| field.name()).collect();
    if all.len() == columns.fields().len() {
        return Arc::clone(columns);
    }
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let fields = columns.fields().iter().map(|field| {
        let mut name = field.name().clone();
        let mut number = 0;
        while taken.contains(&name) || number > 0 && all.contains(&name) {
            number += 1;
            name = format!("{}_{number}", field.name());
        }
        taken.insert(name.clone());
        field.as_ref().clone().with_name(name)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn of_arrow(error: &ArrowError) -> QueryError {
    QueryError::Failed(format!("the answer cannot be written in this format: {error}"))
}

fn of_parquet(error: &ParquetError) -> QueryError {
    QueryError::Failed(format!("the answer cannot be written as Parquet: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};
    use arrow::datatypes::{DataType, Field};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;

    /// Rows as a join gives them: three columns of one name, and one that has the name a second of them would get.
    fn rows() -> RecordBatch {
        let names = ["id", "id", "id_1", "id"];
        let mut fields: Vec<Field> = names
            .iter()
            .map(|name| Field::new(*name, DataType::Int64, true))
            .collect();
        fields.push(Field::new("text", DataType::Utf8View, true));
        let numbers = |n| Arc::new(Int64Array::from(vec![Some(n), None])) as _;
        let text = Arc::new(StringViewArray::from(vec![Some("a\"b,c\nd"), None])) as _;
        let columns = vec![numbers(1), numbers(2), numbers(3), numbers(4), text];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows")
    }

    fn written(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
        let mut writer = Writer::new(format, &rows().schema()).expect("a writer");
        let mut bytes = Vec::new();
        for batch in batches {
            bytes.extend(writer.write(batch).expect("written"));
        }
        bytes.extend(writer.finish().expect("finished"));
        bytes
    }

    #[test]
    fn every_format_holds_the_rows_under_names_that_differ() {
        let json = String::from_utf8(written(Format::JsonLines, &[rows()])).expect("UTF-8");
        assert_eq!(
            json,
            "{\"id\":1,\"id_2\":2,\"id_1\":3,\"id_3\":4,\"text\":\"a\\\"b,c\\nd\"}\n\
             {\"id\":null,\"id_2\":null,\"id_1\":null,\"id_3\":null,\"text\":null}\n"
        );
        let csv = String::from_utf8(written(Format::Csv, &[rows(), rows()])).expect("UTF-8");
        let row = "1,2,3,4,\"a\"\"b,c\nd\"\n,,,,\n";
        assert_eq!(csv, format!("id,id_2,id_1,id_3,text\n{row}{row}"));
        let parquet = bytes::Bytes::from(written(Format::Parquet, &[rows()]));
        let mut reader = ParquetRecordBatchReader::try_new(parquet, 10).expect("Parquet");
        let read = reader.next().expect("a batch").expect("rows");
        assert_eq!(read.columns(), rows().columns());
        assert_eq!(read.schema().field(1).name(), "id_2");
    }

    #[test]
    fn no_rows_have_names_all_the_same() {
        assert_eq!(written(Format::Csv, &[]), b"id,id_2,id_1,id_3,text\n");
        assert!(written(Format::JsonLines, &[]).is_empty());
        let parquet = bytes::Bytes::from(written(Format::Parquet, &[]));
        let reader = ParquetRecordBatchReader::try_new(parquet, 10).expect("Parquet");
        assert_eq!(reader.count(), 0);
    }
}
