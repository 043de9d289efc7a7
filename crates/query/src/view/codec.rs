//! A running view's state as bytes: one Arrow IPC stream.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

pub(super) fn to_bytes(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}

/// Fails when the bytes are no stream of these columns.
pub(super) fn of_bytes(bytes: &[u8], columns: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let reader = StreamReader::try_new(bytes, None)?;
    if reader.schema() != *columns {
        return Err(ArrowError::SchemaError(format!(
            "the state has the columns {}, expected {columns}",
            reader.schema()
        )));
    }
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    concat_batches(columns, &batches)
}
