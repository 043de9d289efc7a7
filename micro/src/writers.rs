//! The contenders for files: each makes a Parquet file of the same rows, with the same properties, and syncs it.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Schema;
use eventlake_core::commit::{File as Written, FileSet};
use eventlake_engine::ingest::decode::EventBatch;
use eventlake_engine::ingest::{FileFacts, write_set, writer_properties};
use eventlake_engine::lake::Stage;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use crate::lake::{facts, stage};
use crate::records::Records;

const WRITTEN: &str = "there is room for a file";

/// Ours: sorted by event time, cut by hour, hashed, described for the commit.
pub struct Eventlake<'a> {
    folder: &'a Path,
    stage: RefCell<Stage>,
    facts: FileFacts,
}

impl Eventlake<'_> {
    #[must_use]
    pub fn new<'a>(folder: &'a Path, records: &Records) -> Eventlake<'a> {
        Eventlake {
            folder,
            stage: RefCell::new(stage(folder)),
            facts: facts(records),
        }
    }

    /// Removes what was written before.
    ///
    /// # Panics
    /// When it cannot.
    pub fn clear(&self) {
        self.stage.borrow_mut().start_over().expect(WRITTEN);
    }

    /// # Panics
    /// When the files cannot be written, or are more than one: the rows are of one hour.
    #[must_use]
    pub fn write(&self, rows: &EventBatch) -> Written {
        let mut files = Vec::new();
        let (stage, times) = (self.stage.borrow(), &rows.event_times_micros);
        write_set(
            &stage,
            FileSet::Accepted,
            &rows.batch,
            times,
            &self.facts,
            &mut files,
        )
        .expect(WRITTEN);
        assert_eq!(files.len(), 1, "all rows are of one hour");
        files.remove(0)
    }

    /// Where the file of the last `write` is.
    ///
    /// # Panics
    /// When there is none, or another beside it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.join("data")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect(WRITTEN) {
                let path = entry.expect(WRITTEN).path();
                match path.is_dir() {
                    true => folders.push(path),
                    false if path.metadata().expect(WRITTEN).len() > 1_000 => found.push(path),
                    false => {}
                }
            }
        }
        assert_eq!(
            found.len(),
            1,
            "the staged file, and what marks the folder as ours: {found:?}"
        );
        found.remove(0)
    }
}

/// The Arrow project's own writer, rows as they stand.
///
/// # Panics
/// When the file cannot be written.
pub fn arrow(path: &Path, rows: &RecordBatch) {
    let properties = writer_properties(rows, rows.num_rows(), vec![]).expect("they are good ones");
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut file = File::create(path).expect(WRITTEN);
    let mut writer = ArrowWriter::try_new_with_options(&mut file, rows.schema(), options).expect(WRITTEN);
    writer.write(rows).expect(WRITTEN);
    writer.close().expect(WRITTEN);
    file.sync_all().expect(WRITTEN);
}

/// The same, sorted by event time first.
///
/// # Panics
/// When the file cannot be written.
pub fn arrow_sorted(path: &Path, rows: &EventBatch) {
    arrow(path, &sorted(rows).batch);
}

/// The rows in the order of their event times.
///
/// # Panics
/// With 2^32 rows or more.
#[must_use]
pub fn sorted(rows: &EventBatch) -> EventBatch {
    let times = &rows.event_times_micros;
    let mut order: Vec<u32> = (0..u32::try_from(times.len()).expect("few rows")).collect();
    order.sort_by_key(|row| times[*row as usize]);
    let event_times_micros = order.iter().map(|row| times[*row as usize]).collect();
    let batch = take_record_batch(&rows.batch, &UInt32Array::from(order)).expect("rows that are there");
    EventBatch {
        batch,
        event_times_micros,
    }
}

/// A file's rows, and how each column is encoded: its path, compression and encodings.
///
/// # Panics
/// When the file cannot be read.
#[must_use]
pub fn read(path: &Path) -> (RecordBatch, Vec<String>) {
    const READABLE: &str = "what was written can be read";
    let file = File::open(path).expect(READABLE);
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect(READABLE);
    let columns = builder
        .metadata()
        .row_groups()
        .iter()
        .flat_map(|group| group.columns());
    let encoded = columns.map(|column| {
        let encodings: Vec<_> = column.encodings().collect();
        let (path, compression) = (column.column_path(), column.compression());
        format!(
            "{path} {compression:?} {encodings:?} {}",
            column.column_index_length().is_some()
        )
    });
    let encoded = encoded.collect();
    let schema = builder.schema().clone();
    let batches: Result<Vec<_>, _> = builder.build().expect(READABLE).collect();
    let rows = concat_batches(&schema, &batches.expect(READABLE)).expect(READABLE);
    // Without the footer's entries, which only ours has.
    let schema = Arc::new(Schema::new(schema.fields().clone()));
    let rows = RecordBatch::try_new(schema, rows.columns().to_vec()).expect(READABLE);
    (rows, encoded)
}
