//! What Kafka has against what the lake has, offset by offset and value by value.

use std::collections::BTreeMap;

use arrow::array::{Array as _, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::{Int32Type, Int64Type};
use eventlake_core::commit::{File, FileKey, FileSet, Generation, GenerationOrdinal};
use eventlake_core::config::KafkaConfig;
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};

use super::cover::{Spans, sets};
use super::findings::{Findings, OffsetSample};
use super::kafka::{Opened, open};
use super::log::PinnedLog;
use super::places::Places;
use super::report::{Code, Finding, KafkaReport};
use super::rows::RowsError;
use super::stretch::{Kind, Stretch};
use super::walk::walk;
use super::{Request, Stage};
use crate::ingest::decode::{OFFSET_COLUMN, PARTITION_COLUMN};
use crate::ingest::open_data_file;
use crate::ingest::rejected::column;
use crate::lake::store::StoreError;

/// Bytes of rows of a file decoded at a time, about.
const BATCH_BYTES: u64 = 4 << 20;
/// How much larger rows are when they are decoded, about.
const EXPANSION: u64 = 10;

const SCHEMA_CHANGED: &str = "if the topic's schema, transform or limits were changed since the record landed, verify with the former \
    ones (or see `eventlake rejected replay`); otherwise report this as a bug, with the record";
const NOT_LANDED: &str = "keep the topic, report this as a bug; to have the record in the lake now, land the topic again into a \
    new table";

/// Of rejected rows the columns that say what came; the wording of a violation may change with the program.
const REJECTED_COLUMNS: [&str; 7] = [
    column::KEY,
    column::PAYLOAD,
    column::HEADERS,
    column::CODE,
    column::KAFKA_PARTITION,
    column::KAFKA_OFFSET,
    column::KAFKA_TIMESTAMP,
];

/// What the log names of a partition without a row: tombstones, filtered, absent, lost.
type NamedSets = [IntervalSet; 4];

/// One comparison of a topic.
pub(super) struct Comparison<'a> {
    pub request: &'a Request<'a>,
    pub kafka: &'a KafkaConfig,
    pub places: &'a Places,
    pub log: &'a PinnedLog,
    pub spans: &'a Spans,
    pub findings: &'a Findings,
    /// For the stretches and Kafka's client.
    pub memory_bytes: u64,
}

impl Comparison<'_> {
    /// Compares what Kafka still has. What cannot be read is noted as unchecked.
    ///
    /// # Errors
    /// When a file of the log cannot be read.
    pub fn run(&self) -> Result<KafkaReport, StoreError> {
        let mut report = KafkaReport::of_nothing();
        let Some(generation) = self.log.fold.generation() else {
            return Ok(report);
        };
        let mut ranges = BTreeMap::new();
        for ((ordinal, partition), range) in self.spans {
            if *ordinal == generation.ordinal {
                ranges.insert(*partition, *range);
            } else if !range.is_empty() {
                report.not_checkable += range.count();
                report.reasons.push(format!(
                    "{} offsets of partition {partition} are of generation {ordinal}, an earlier life of the topic",
                    range.count()
                ));
            }
        }
        if ranges.values().all(|range| range.is_empty()) {
            return Ok(report);
        }
        if let Err(error) = self.read_again(generation, &ranges, &mut report)? {
            report.complete = false;
            self.findings.unchecked(error);
        }
        Ok(report)
    }

    fn read_again(
        &self,
        generation: &Generation,
        ranges: &BTreeMap<PartitionId, OffsetRange>,
        report: &mut KafkaReport,
    ) -> Result<Result<(), String>, StoreError> {
        let topic = self.request.topic;
        let mut reader = match open(self.kafka, topic, generation, ranges, self.memory_bytes, report) {
            Ok(Opened::Reader(reader)) => reader,
            Ok(Opened::Nothing) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        let named = self.named(generation.ordinal)?;
        let all = reader.offsets_left();
        loop {
            match reader.next(topic, self.request.rules) {
                Ok(None) => return Ok(Ok(())),
                Ok(Some(stretch)) => self.compare(generation.ordinal, &stretch, &named, report),
                Err(error) => return Ok(Err(error)),
            }
            let done = all - reader.offsets_left();
            self.request.progress.step(Stage::Kafka, done, all);
        }
    }

    fn named(&self, ordinal: GenerationOrdinal) -> Result<BTreeMap<PartitionId, NamedSets>, StoreError> {
        let mut named: BTreeMap<PartitionId, NamedSets> = BTreeMap::new();
        walk(self.log, None, |append| {
            if append.append.generation == ordinal {
                for taken in &append.append.taken {
                    let all = named.entry(taken.partition).or_default();
                    for (known, more) in all.iter_mut().zip(sets(&taken.named)) {
                        add(known, more);
                    }
                }
            }
        })?;
        Ok(named)
    }

    fn compare(
        &self,
        ordinal: GenerationOrdinal,
        stretch: &Stretch,
        named: &BTreeMap<PartitionId, NamedSets>,
        report: &mut KafkaReport,
    ) {
        let mut seen = vec![false; stretch.delivered.len()];
        for file in self.log.fold.files().values() {
            let mut offsets = file.offsets.iter();
            let concerns = offsets.any(|offsets| {
                let range = stretch.ranges.get(&offsets.partition);
                range.is_some_and(|range| offsets.from < range.next() && range.from() < offsets.next)
            });
            if file.generation == ordinal && concerns {
                let mut check = FileCheck {
                    comparison: self,
                    stretch,
                    file,
                    seen: &mut seen,
                    report,
                    others: BTreeMap::new(),
                };
                // A file that cannot be read was refuted by the proof before.
                if let Err(error) = check.run() {
                    self.findings
                        .unchecked(format!("{} was not compared with Kafka: {error}", file.key()));
                }
            }
        }
        self.compare_named(ordinal, stretch, named, &seen, report);
    }

    /// What Kafka handed out and no row stands for, and what the log names.
    fn compare_named(
        &self,
        ordinal: GenerationOrdinal,
        stretch: &Stretch,
        named: &BTreeMap<PartitionId, NamedSets>,
        seen: &[bool],
        report: &mut KafkaReport,
    ) {
        let empty = NamedSets::default();
        let mut more: BTreeMap<(PartitionId, &str, &str), OffsetSample> = BTreeMap::new();
        for (delivered, _) in stretch.delivered.iter().zip(seen).filter(|(_, seen)| !**seen) {
            let [tombstones, filtered, absent, lost] = named.get(&delivered.partition).unwrap_or(&empty);
            let lake = if tombstones.contains(delivered.offset) {
                if delivered.kind == Kind::Tombstone {
                    report.compared += 1;
                    continue;
                }
                Kind::Tombstone.described()
            } else if filtered.contains(delivered.offset) {
                if delivered.kind == Kind::Filtered {
                    report.compared += 1;
                    continue;
                }
                Kind::Filtered.described()
            } else if absent.contains(delivered.offset) {
                "nothing, as absent"
            } else if lost.contains(delivered.offset) {
                "nothing, as lost"
            } else {
                "nothing"
            };
            let key = (delivered.partition, delivered.kind.described(), lake);
            more.entry(key).or_default().push(delivered.offset);
        }
        for ((partition, kafka, lake), sample) in more {
            let (code, remedy) = if lake.starts_with("nothing") {
                (Code::KafkaHasMore, NOT_LANDED)
            } else {
                (Code::KafkaDiffers, SCHEMA_CHANGED)
            };
            let what = format!("Kafka has {kafka} there, the lake {lake}");
            let finding = Finding::new(code, what, remedy);
            self.findings
                .add(finding.of_offsets((ordinal, partition), sample.ranges(), sample.count()));
        }
        for partition in stretch.ranges.keys() {
            let [tombstones, filtered, absent, _] = named.get(partition).unwrap_or(&empty);
            let (delivered, all) = stretch.delivered_of(*partition, absent);
            report.absent_proven += all - delivered;
            for set in [tombstones, filtered] {
                let (delivered, all) = stretch.delivered_of(*partition, set);
                report.not_checkable += all - delivered;
            }
        }
    }
}

/// The comparison of one file's rows with a stretch.
struct FileCheck<'a> {
    comparison: &'a Comparison<'a>,
    stretch: &'a Stretch,
    file: &'a File,
    /// Which records of the stretch a row was found for.
    seen: &'a mut [bool],
    report: &'a mut KafkaReport,
    /// Rows for which Kafka has something else, by partition and by what it has.
    others: BTreeMap<(i32, String), OffsetSample>,
}

impl FileCheck<'_> {
    fn run(&mut self) -> Result<(), RowsError> {
        let key = self.file.key();
        let Ok(Some(opened)) = self.comparison.places.open(&key) else {
            return Ok(());
        };
        let row_bytes = (self.file.bytes / self.file.rows.max(1)).max(1) * EXPANSION;
        let rows = usize::try_from((BATCH_BYTES / row_bytes).clamp(1, 8192)).expect("a few thousand");
        let reader = open_data_file(opened.file)?.with_batch_size(rows).build()?;
        for batch in reader {
            self.compare(&batch?)?;
        }
        self.note(&key);
        Ok(())
    }

    fn compare(&mut self, batch: &RecordBatch) -> Result<(), RowsError> {
        let wrong = |name: &str| RowsError::Column(name.to_owned());
        let partitions = batch
            .column_by_name(PARTITION_COLUMN)
            .and_then(|array| array.as_primitive_opt::<Int32Type>())
            .ok_or_else(|| wrong(PARTITION_COLUMN))?;
        let offsets = batch
            .column_by_name(OFFSET_COLUMN)
            .and_then(|array| array.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| wrong(OFFSET_COLUMN))?;
        let (kind, kafka) = match self.file.set {
            FileSet::Accepted => (Kind::Accepted, &self.stretch.accepted),
            FileSet::Rejected => (Kind::Rejected, &self.stretch.rejected),
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (row, (partition, offset)) in partitions.values().iter().zip(offsets.values()).enumerate() {
            if !self.stretch.contains(*partition, *offset) {
                continue;
            }
            let Some(at) = self.stretch.find(*partition, *offset) else {
                // It landed, and Kafka has compacted it away since.
                self.report.not_checkable += 1;
                continue;
            };
            self.seen[at] = true;
            let delivered = self.stretch.delivered[at];
            if delivered.kind == kind {
                ours.push(u32::try_from(row).expect("a batch is bounded"));
                theirs.push(delivered.row);
            } else {
                let has = (*partition, format!("{} there", delivered.kind.described()));
                self.others.entry(has).or_default().push(Offset(*offset));
            }
        }
        if ours.is_empty() {
            return Ok(());
        }
        let ours = take_record_batch(batch, &UInt32Array::from(ours))?;
        self.compare_values(&ours, kafka, &UInt32Array::from(theirs))
    }

    /// Compares rows of the file with the records at the same offsets, column by column. A column that the file has not was
    /// added to the schema since.
    fn compare_values(
        &mut self,
        ours: &RecordBatch,
        kafka: &RecordBatch,
        rows: &UInt32Array,
    ) -> Result<(), RowsError> {
        let mut differ = vec![false; ours.num_rows()];
        for (field, theirs) in kafka.schema().fields().iter().zip(kafka.columns()) {
            if self.file.set == FileSet::Rejected && !REJECTED_COLUMNS.contains(&field.name().as_str()) {
                continue;
            }
            let Some(ours) = ours.column_by_name(field.name()) else {
                continue;
            };
            let theirs = take(theirs, rows, None)?;
            if ours.as_ref() == theirs.as_ref() {
                continue;
            }
            for (row, differs) in differ.iter_mut().enumerate() {
                if ours.slice(row, 1).as_ref() != theirs.slice(row, 1).as_ref() {
                    *differs = true;
                    let (partition, offset) = position(kafka, rows, row);
                    let key = (partition, format!("another value in column {}", field.name()));
                    self.others.entry(key).or_default().push(offset);
                }
            }
        }
        let same = differ.iter().filter(|differs| !**differs).count() as u64;
        self.report.compared += same;
        self.report.rows += same;
        Ok(())
    }

    fn note(&self, key: &FileKey) {
        for ((partition, has), sample) in &self.others {
            let what = format!("Kafka has {has}, the lake's row is {}", self.file.set);
            let finding = Finding::new(Code::KafkaDiffers, what, SCHEMA_CHANGED).of_file(key.clone());
            let place = (self.file.generation, PartitionId(*partition));
            self.comparison
                .findings
                .add(finding.of_offsets(place, sample.ranges(), sample.count()));
        }
    }
}

/// Adds what lies behind a set. A forged log may name offsets out of order, which the proof has refuted before.
fn add(known: &mut IntervalSet, more: &IntervalSet) {
    for range in more.ranges() {
        if known
            .ranges()
            .last()
            .is_none_or(|last| last.next() <= range.from())
        {
            known.push(*range);
        }
    }
}

/// Where row `row` of the selection stands in Kafka.
fn position(kafka: &RecordBatch, rows: &UInt32Array, row: usize) -> (i32, Offset) {
    let at = rows.value(row) as usize;
    let column = |name| {
        kafka
            .column_by_name(name)
            .expect("decoded rows have their position")
    };
    (
        column(PARTITION_COLUMN).as_primitive::<Int32Type>().value(at),
        Offset(column(OFFSET_COLUMN).as_primitive::<Int64Type>().value(at)),
    )
}
