//! One live file against its commit: its bytes, its footer, its columns, and each of its rows.

use std::collections::BTreeMap;
use std::fs::File as DiskFile;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use eventlake_core::commit::{Checksum, File, FileOffsets, Generation, GenerationOrdinal};
use eventlake_core::config::TopicConfig;
use eventlake_core::coverage::{Coverage, Met};
use eventlake_core::position::{Offset, OffsetRange, PartitionId};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest as _, Sha256};

use super::findings::{Findings, OffsetSample};
use super::places::{Opened, Places};
use super::report::{Code, Finding};
use super::rows::{RowBatch, RowsError, TimeColumn, each_batch};
use crate::ingest::{DataFile, footer, open_data_file};
use crate::lake::store::StoreError;

/// Bytes hashed at a time.
const HASH_BYTES: usize = 256 << 10;

const RESTORE_FILE: &str = "restore the file from a backup; or move it away: at its next start the ingester writes it again from Kafka, as long \
     as Kafka has its records";
const RESTORE_MISSING: &str = "put the file back from a backup, under the same name; or start the ingester: it writes it \
     again from Kafka, as long as Kafka has its records";
const FROM_BACKUP: &str = "restore the file and the commits from a backup taken at one time; if they agree there, report this as a bug";

/// What one look at a file is to find out.
pub(super) struct FileTask<'a> {
    pub file: &'a File,
    pub generation: &'a Generation,
    /// The offsets to be met in this pass, of each partition of the file's generation.
    pub coverages: &'a BTreeMap<(GenerationOrdinal, PartitionId), Coverage>,
    /// Bytes, footer, columns, counts and times are checked, too: at the first of the passes that read it.
    pub is_first: bool,
}

/// What a file was seen to hold.
#[derive(Debug, Default)]
pub(super) struct FileSeen {
    /// Offsets met for the first time, a partition.
    pub met: BTreeMap<PartitionId, u64>,
    /// Offsets that were met before, a partition.
    pub again: BTreeMap<PartitionId, OffsetSample>,
    pub rows: u64,
    pub bytes: u64,
    pub is_staged: bool,
}

/// What became of a look at a file.
pub(super) enum Look {
    Seen(FileSeen),
    /// It has neither of its names.
    Missing,
    /// It is there and its rows cannot be read. What is wrong was noted.
    Unreadable,
}

/// One partition's rows of the file at hand.
struct Slot<'a> {
    declared: FileOffsets,
    coverage: Option<&'a Coverage>,
    rows: u64,
    met: u64,
    again: OffsetSample,
}

/// Looks at a file. What is wrong with it is noted, but for its being missing: that is judged later.
pub(super) fn look(
    task: &FileTask<'_>,
    places: &Places,
    topic: &TopicConfig,
    findings: &Findings,
) -> Result<Look, StoreError> {
    let key = task.file.key();
    let Some(mut opened) = places.open(&key)? else {
        return Ok(Look::Missing);
    };
    let cannot =
        |error: io::Error| findings.unchecked(format!("{} cannot be read: {error}", opened.path.display()));
    if task.is_first {
        match check_bytes(&mut opened.file, task.file) {
            Ok(None) => {}
            Ok(Some(what)) => {
                findings.add(Finding::new(Code::FileAltered, what, RESTORE_FILE).of_file(key.clone()));
            }
            Err(error) => {
                cannot(error);
                return Ok(Look::Unreadable);
            }
        }
    }
    // Parquet's own reader may panic on bytes that were altered.
    let read = catch_unwind(AssertUnwindSafe(|| read_rows(task, opened, topic, findings)));
    let fault = match read {
        Ok(Ok(seen)) => return Ok(Look::Seen(seen)),
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => "the reader panicked on its content".to_owned(),
    };
    if task.is_first {
        let what = format!("its rows cannot be read: {fault}");
        findings.add(Finding::new(Code::FileUnreadable, what, RESTORE_FILE).of_file(key));
    }
    Ok(Look::Unreadable)
}

pub(super) fn missing(file: &File) -> Finding {
    let what = "it is committed, and neither in the table nor staged".to_owned();
    Finding::new(Code::FileMissing, what, RESTORE_MISSING).of_file(file.key())
}

/// What the bytes are not, if they are not what the commit says.
fn check_bytes(disk: &mut DiskFile, file: &File) -> io::Result<Option<String>> {
    let length = disk.metadata()?.len();
    if length != file.bytes {
        return Ok(Some(format!(
            "it has {length} bytes, its commit says {}",
            file.bytes
        )));
    }
    let found = sha256(disk)?;
    Ok((found != file.sha256).then(|| {
        format!(
            "its bytes are not those that were committed: sha256 {found}, expected {}",
            file.sha256
        )
    }))
}

/// The checksum of a whole file.
pub(super) fn sha256(disk: &mut DiskFile) -> io::Result<Checksum> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; HASH_BYTES];
    disk.seek(SeekFrom::Start(0))?;
    loop {
        let count = disk.read(&mut buffer)?;
        if count == 0 {
            return Ok(Checksum::from_digest(digest.finalize().into()));
        }
        digest.update(&buffer[..count]);
    }
}

fn read_rows(
    task: &FileTask<'_>,
    opened: Opened,
    topic: &TopicConfig,
    findings: &Findings,
) -> Result<FileSeen, RowsError> {
    let builder = open_data_file(opened.file)?;
    if task.is_first {
        check_footer(&builder, task, topic, findings);
    }
    let mut reading = Reading::new(task, findings);
    let column = TimeColumn::of(task.file.set, &topic.rules.event_time);
    each_batch(builder, &column, |batch| reading.take(batch))?;
    let mut seen = reading.finish(&column);
    seen.bytes = task.file.bytes;
    seen.is_staged = opened.is_staged;
    Ok(seen)
}

/// Holds the footer's entries and the columns against the commit.
fn check_footer(
    builder: &ParquetRecordBatchReaderBuilder<DataFile<DiskFile>>,
    task: &FileTask<'_>,
    topic: &TopicConfig,
    findings: &Findings,
) {
    let file = task.file;
    let metadata = builder.metadata().file_metadata();
    let offsets = serde_json::to_string(&file.offsets).expect("plain numbers are JSON");
    let expected = [
        (footer::TOPIC, topic.name.to_string()),
        (footer::TOPIC_ID, task.generation.topic_id.to_string()),
        (footer::GENERATION, file.generation.to_string()),
        (footer::SCHEMA_VERSION, file.schema_version.to_string()),
        (footer::OFFSETS, offsets),
    ];
    for (name, expected) in expected {
        let entries = metadata.key_value_metadata();
        let mut entries = entries.into_iter().flatten().filter(|entry| entry.key == name);
        let found = entries.next().and_then(|entry| entry.value.as_deref());
        if found != Some(&*expected) {
            let found = found.unwrap_or("nothing");
            let what = format!("its footer says {name} = {found}, its commit {expected}");
            findings.add(Finding::new(Code::FooterDiffers, what, FROM_BACKUP).of_file(file.key()));
        }
    }
    let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
    if rows != file.rows {
        let what = format!("its footer counts {rows} rows, its commit {}", file.rows);
        findings.add(Finding::new(Code::RowsDiffer, what, FROM_BACKUP).of_file(file.key()));
    }
    let version = crate::ingest::schema_version(builder.schema());
    if version != file.schema_version {
        let what = format!(
            "its columns are those of schema version {version}, its commit says {}",
            file.schema_version
        );
        findings.add(Finding::new(Code::SchemaDiffers, what, FROM_BACKUP).of_file(file.key()));
    }
}

/// The reading of one file's rows.
struct Reading<'a> {
    task: &'a FileTask<'a>,
    findings: &'a Findings,
    /// By partition.
    slots: BTreeMap<i32, Slot<'a>>,
    rows: u64,
    /// Rows of partitions or offsets that the commit does not give the file.
    strays: BTreeMap<i32, OffsetSample>,
    /// The times that belong into the file's folder.
    span_micros: (i64, i64),
    times: Option<(i64, i64)>,
    misplaced: BTreeMap<i32, OffsetSample>,
}

impl<'a> Reading<'a> {
    fn new(task: &'a FileTask<'a>, findings: &'a Findings) -> Reading<'a> {
        let slot = |offsets: &FileOffsets| {
            let slot = Slot {
                declared: *offsets,
                coverage: task.coverages.get(&(task.file.generation, offsets.partition)),
                rows: 0,
                met: 0,
                again: OffsetSample::default(),
            };
            (offsets.partition.0, slot)
        };
        Reading {
            task,
            findings,
            slots: task.file.offsets.iter().map(slot).collect(),
            rows: 0,
            strays: BTreeMap::new(),
            span_micros: super::rows::folder_span(task.file.path.time_partition()),
            times: None,
            misplaced: BTreeMap::new(),
        }
    }

    fn take(&mut self, batch: &RowBatch<'_>) {
        self.rows += batch.offsets.len() as u64;
        // Rows of one partition often stand together: the slot is looked up where it changes.
        let mut row = 0;
        while row < batch.offsets.len() {
            let partition = batch.partitions[row];
            let run = batch.partitions[row..]
                .iter()
                .take_while(|other| **other == partition)
                .count();
            let offsets = &batch.offsets[row..row + run];
            match self.slots.get_mut(&partition) {
                Some(slot) => slot.take(offsets, self.strays.entry(partition).or_default()),
                None => {
                    let strays = self.strays.entry(partition).or_default();
                    offsets.iter().for_each(|offset| strays.push(Offset(*offset)));
                }
            }
            row += run;
        }
        if self.task.is_first {
            self.take_times(batch);
        }
    }

    fn take_times(&mut self, batch: &RowBatch<'_>) {
        let Some((min, max)) = batch.time_bounds() else {
            return;
        };
        let times = self.times.get_or_insert((min, max));
        *times = (times.0.min(min), times.1.max(max));
        let (first, last) = self.span_micros;
        if first <= min && max <= last {
            return;
        }
        for row in 0..batch.offsets.len() {
            if !(first..=last).contains(&batch.time_micros(row)) {
                let misplaced = self.misplaced.entry(batch.partitions[row]).or_default();
                misplaced.push(Offset(batch.offsets[row]));
            }
        }
    }

    fn finish(self, column: &TimeColumn) -> FileSeen {
        if self.task.is_first {
            self.check_rows();
            self.check_times(column);
        }
        let mut seen = FileSeen {
            rows: self.rows,
            ..FileSeen::default()
        };
        for (partition, slot) in self.slots {
            let partition = PartitionId(partition);
            seen.met.insert(partition, slot.met);
            if slot.again.count() > 0 {
                seen.again.insert(partition, slot.again);
            }
        }
        seen
    }

    fn check_rows(&self) {
        let file = self.task.file;
        let place = |partition: i32| (file.generation, PartitionId(partition));
        for (partition, strays) in self.strays.iter().filter(|(_, strays)| strays.count() > 0) {
            let what = format!(
                "it holds {} rows of partition {partition} at offsets that its commit does not give it",
                strays.count()
            );
            let finding = Finding::new(Code::RowsDiffer, what, RESTORE_FILE).of_file(file.key());
            self.findings
                .add(finding.of_offsets(place(*partition), strays.ranges(), strays.count()));
        }
        for (partition, slot) in &self.slots {
            if slot.rows != slot.declared.rows {
                let FileOffsets { from, next, rows, .. } = slot.declared;
                let what = format!(
                    "it holds {} rows of partition {partition} in [{from}, {next}), its commit says {rows}",
                    slot.rows
                );
                let range = OffsetRange::new(from, next).ok();
                let finding = Finding::new(Code::RowsDiffer, what, RESTORE_FILE).of_file(file.key());
                self.findings.add(finding.of_offsets(
                    place(*partition),
                    range.into_iter().collect(),
                    slot.rows.abs_diff(rows),
                ));
            }
        }
    }

    fn check_times(&self, column: &TimeColumn) {
        let file = self.task.file;
        let folder = file.path.time_partition();
        for (partition, misplaced) in &self.misplaced {
            let what = format!(
                "{} of its rows of partition {partition} do not belong into {folder} by {}",
                misplaced.count(),
                column.described()
            );
            let remedy = "move the file back to where its commit says; or, if event_time was changed in the \
                          configuration, verify with the former one";
            let finding = Finding::new(Code::WrongTimePartition, what, remedy).of_file(file.key());
            self.findings.add(finding.of_offsets(
                (file.generation, PartitionId(*partition)),
                misplaced.ranges(),
                misplaced.count(),
            ));
        }
        let stated = file.times.map(|times| (times.min_micros, times.max_micros));
        if stated.is_some() && stated != self.times {
            let what = format!(
                "its rows' times by {} are {:?} (microseconds since 1970), its commit says {stated:?}",
                column.described(),
                self.times
            );
            let remedy = "restore the file from a backup; or, if event_time was changed in the configuration, verify \
                          with the former one";
            self.findings
                .add(Finding::new(Code::TimesDiffer, what, remedy).of_file(file.key()));
        }
    }
}

impl Slot<'_> {
    fn take(&mut self, offsets: &[i64], strays: &mut OffsetSample) {
        let (from, next) = (self.declared.from.0, self.declared.next.0);
        for offset in offsets {
            if *offset < from || *offset >= next {
                strays.push(Offset(*offset));
                continue;
            }
            self.rows += 1;
            if let Some(coverage) = self.coverage {
                match coverage.meet(Offset(*offset)) {
                    Met::First => self.met += 1,
                    Met::Again => self.again.push(Offset(*offset)),
                    // It is another pass's, or of before what is to be proven.
                    Met::Outside => {}
                }
            }
        }
    }
}

/// Which of these offsets a file holds, and how often.
pub(super) fn holds(
    file: &File,
    places: &Places,
    topic: &TopicConfig,
    partition: PartitionId,
    offsets: &[Offset],
) -> Result<BTreeMap<Offset, u64>, RowsError> {
    let mut held = BTreeMap::new();
    let Ok(Some(opened)) = places.open(&file.key()) else {
        return Ok(held);
    };
    let builder = open_data_file(opened.file)?;
    let column = TimeColumn::of(file.set, &topic.rules.event_time);
    each_batch(builder, &column, |batch| {
        for (found, offset) in batch.partitions.iter().zip(batch.offsets) {
            if *found == partition.0 && offsets.binary_search(&Offset(*offset)).is_ok() {
                *held.entry(Offset(*offset)).or_default() += 1;
            }
        }
    })?;
    Ok(held)
}
