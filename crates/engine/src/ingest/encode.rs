//! Rows to Parquet bytes: encodings, statistics and the footer that makes a file provable.

use std::io::Write;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Fields};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::distinct::distinct_columns;

/// Rows copied into event-time order at a time: bounds the memory that sorting a roll takes.
const CHUNK_ROWS: usize = 16 * 1024;
/// Rows of a row group: large enough to scan well, small enough to skip well.
const ROW_GROUP_ROWS: usize = 1024 * 1024;
const CREATED_BY: &str = concat!("eventlake version ", env!("CARGO_PKG_VERSION"));

/// The names of the footer's entries, and of their values the meaning (see docs/commit-log.md).
pub mod footer {
    pub const TOPIC: &str = "eventlake.topic";
    pub const TOPIC_ID: &str = "eventlake.topic_id";
    pub const GENERATION: &str = "eventlake.generation";
    pub const SCHEMA_VERSION: &str = "eventlake.schema_version";
    /// JSON: `[{"partition":0,"from":10,"next":20,"rows":9}]`.
    pub const OFFSETS: &str = "eventlake.offsets";
}

/// Writes the rows at `order` (all rows as they stand when None) of a batch as one Parquet file.
///
/// # Errors
/// What the sink says, always as `ParquetError::External` of its `io::Error`; anything else is about the rows.
pub fn write_parquet<W: Write + Send>(
    mut sink: W,
    batch: &RecordBatch,
    order: Option<&[u32]>,
    footer: Vec<KeyValue>,
) -> Result<W, ParquetError> {
    let rows = order.map_or(batch.num_rows(), <[u32]>::len);
    let properties = writer_properties(batch, rows, footer)?;
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    // Borrowed: given away, it would come back through `into_inner`, which turns an error of the sink into a mere text.
    let mut writer = ArrowWriter::try_new_with_options(&mut sink, batch.schema(), options)?;
    match order {
        None => writer.write(batch)?,
        Some(order) => {
            for chunk in order.chunks(CHUNK_ROWS) {
                let rows = UInt32Array::from(chunk.to_vec());
                writer.write(&take_record_batch(batch, &rows)?)?;
            }
        }
    }
    writer.finish()?;
    drop(writer);
    Ok(sink)
}

/// How a file of so many rows of a batch is encoded, with these entries in the footer.
///
/// # Errors
/// None that can happen: the level of compression is one that zstd has.
pub fn writer_properties(
    batch: &RecordBatch,
    rows: usize,
    footer: Vec<KeyValue>,
) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(footer));
    for path in distinct_columns(batch, rows) {
        builder = builder.set_column_dictionary_enabled(path, false);
    }
    for path in delta_columns(batch.schema().fields()) {
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(builder.build())
}

/// The columns that rise row by row, or nearly: times and offsets. Ids keep the dictionary, which is smaller for them.
fn delta_columns(fields: &Fields) -> Vec<ColumnPath> {
    let rises = |field: &&std::sync::Arc<Field>| {
        matches!(field.data_type(), DataType::Timestamp(..)) || field.name() == "_kafka_offset"
    };
    fields
        .iter()
        .filter(rises)
        .map(|field| ColumnPath::from(field.name().as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Schema;

    use super::*;

    /// Takes so many bytes and no more.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_an_error_of_the_disk_wherever_it_strikes() {
        let schema = Schema::new(vec![
            Field::new("_kafka_offset", DataType::Int64, false),
            Field::new("text", DataType::Utf8, false),
        ]);
        let offsets = Int64Array::from_iter_values(0..40_000);
        let text = StringArray::from_iter_values((0..40_000_u64).map(|n| {
            let scrambled = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            format!("{scrambled:x}")
        }));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(offsets), Arc::new(text)]);
        let batch = batch.expect("a batch");
        let footer = || vec![KeyValue::new("padding".to_owned(), "x".repeat(20_000))];
        let room = 64 << 20;
        let left = write_parquet(Full(room), &batch, None, footer())
            .expect("room enough")
            .0;
        let length = room - left;
        assert!(length > 200_000, "{length}");
        for room in (0..length).step_by(4_999).chain(length - 200..length) {
            match write_parquet(Full(room), &batch, None, footer()) {
                Err(ParquetError::External(cause)) => {
                    let io = cause.downcast_ref::<io::Error>().expect("of the disk");
                    assert_eq!(io.kind(), io::ErrorKind::StorageFull, "{room}");
                }
                Err(other) => panic!("with room for {room} of {length} bytes: {other}"),
                Ok(_) => panic!("with room for {room} of {length} bytes it worked"),
            }
        }
    }
}
