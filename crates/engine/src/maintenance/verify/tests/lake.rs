//! A lake in a temporary folder, landed by the real commit log, decoder and file writer, one letter a record.

use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use eventlake_core::commit::{
    Append, Body, ClusterId, File, FileKey, FileOffsets, FileSet, GenerationOrdinal, GenerationReason,
    Moment, OpenGeneration, PartitionAppend, PartitionStart, Replace, ReplaceReason, StagePlan, TopicId,
    WriterId,
};
use eventlake_core::config::{self, Config, PartitionBy};
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::super::{Code, Progress, Refutation, Request, Stage, TopicReport, Verdict, verify};
use crate::ingest::decode::{self, Decoder, EventRows, RecordMeta};
use crate::ingest::rejected::{self, RejectedRows};
use crate::ingest::{FileFacts, schema_version, write_parquet, write_set};
use crate::lake::{LakePaths, Outcome, SnapshotPolicy, TopicLog};

pub const SCHEMA: &str = r#"{"type":"object","required":["at","n"],"properties":{
    "at":{"type":"string","format":"date-time"},"n":{"type":"integer"},
    "tags":{"type":"array","items":{"type":"string"}},
    "inner":{"type":"object","properties":{"x":{"type":["number","null"]},"day":{"type":"string","format":"date"}}}}}"#;
/// 2026-11-21T01:00:00Z
pub const START: i64 = 1_795_222_800_000_000;
pub const HOUR: i64 = 3_600_000_000;

pub struct Silent;

impl Progress for Silent {
    fn step(&self, _stage: Stage, _done: u64, _of: u64) {}
}

pub struct Lake {
    pub rules: crate::ingest::RowRules,
    _dir: tempfile::TempDir,
    pub config: Config,
    pub log: TopicLog,
    pub now: i64,
    topic_id: String,
    generation: u32,
}

impl Lake {
    pub fn new() -> Lake {
        Lake::of("127.0.0.1:1", "topic-one")
    }

    pub fn of(brokers: &str, topic_id: &str) -> Lake {
        let dir = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("a folder");
        let text = format!(
            "[kafka]\nbrokers = \"{brokers}\"\n[lake]\nmemory_limit = \"64MiB\"\ndata = \"{0}/data\"\nrejected = \"{0}/rejected\"\ncheckpoints = \"{0}/checkpoints\"\n\
             [[topics]]\nname = \"clicks\"\ntable = \"taps\"\nschema = \"clicks.json\"\nevent_time = \"at\"\n",
            dir.path().display()
        );
        let config = config::resolve(&text, Path::new("eventlake.toml"), &|_| None, &|_| {
            Ok(SCHEMA.to_owned())
        })
        .expect("a config");
        let mut lake = Lake {
            log: open(&config),
            rules: config.topics[0].rules.clone().into(),
            _dir: dir,
            config,
            now: START,
            topic_id: topic_id.to_owned(),
            generation: 1,
        };
        lake.open_generation(GenerationReason::FirstStart);
        lake
    }

    fn open_generation(&mut self, reason: GenerationReason) {
        let opened = OpenGeneration {
            ordinal: GenerationOrdinal(self.generation),
            cluster_id: ClusterId::new("cluster").expect("an id"),
            topic_id: TopicId::new(&self.topic_id).expect("an id"),
            reason,
            starts: vec![],
            after: None,
        };
        self.commit(Body::Generation(opened));
    }

    /// The topic was deleted and created again.
    pub fn recreate(&mut self) {
        self.generation += 1;
        self.topic_id = format!("topic-{}", self.generation);
        self.open_generation(GenerationReason::TopicRecreated);
    }

    pub fn commit(&mut self, body: Body) {
        let outcome = self
            .log
            .propose(body, Moment::from_unix_micros(self.now))
            .expect("proposed");
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    }

    fn facts(&self) -> FileFacts {
        let topic = &self.config.topics[0];
        FileFacts {
            topic: topic.name.clone(),
            partition_by: PartitionBy::Hour,
            accepted_version: schema_version(&decode::arrow_schema(&topic.rules)),
            rejected_version: schema_version(&rejected::arrow_schema()),
        }
    }

    /// Lands the next records of some partitions, a letter each: `a` accepted in this hour and `b` in the next, `r` rejected,
    /// `t` tombstone, `x` absent, `l` lost, `f` filtered. Not yet published.
    pub fn land(&mut self, records: &[(i32, &str)]) {
        self.land_altered(records, |batch| batch);
    }

    /// As `land`, but the accepted rows are altered behind the back of whoever describes them.
    pub fn land_altered(&mut self, records: &[(i32, &str)], alter: impl Fn(RecordBatch) -> RecordBatch) {
        let body = self.stage_append(records, &alter);
        self.commit(body);
        self.now += 10_000_000;
    }

    fn stage_append(&mut self, records: &[(i32, &str)], alter: &dyn Fn(RecordBatch) -> RecordBatch) -> Body {
        let generation = GenerationOrdinal(self.generation);
        let fold = self.log.fold().expect("a fold").clone();
        let rules = self.config.topics[0].rules.clone();
        let mut decoder = Decoder::new(&rules);
        let (mut events, mut refused) = (EventRows::new(&rules), RejectedRows::new());
        let (mut starts, mut partitions) = (Vec::new(), Vec::new());
        for (partition, letters) in records {
            let partition = PartitionId(*partition);
            let from = fold.next(partition);
            starts.push(PartitionStart { partition, from });
            let mut taken = PartitionAppend {
                partition,
                from,
                next: Offset(from.0 + i64::try_from(letters.len()).expect("few")),
                leader_epoch: None,
                accepted: 0,
                rejected: 0,
                tombstones: IntervalSet::new(),
                filtered: IntervalSet::new(),
                absent: IntervalSet::new(),
                lost: IntervalSet::new(),
            };
            for (offset, letter) in (from.0..).zip(letters.chars()) {
                let meta = RecordMeta {
                    partition,
                    offset: Offset(offset),
                    timestamp_micros: Some(START + 1_000 * offset),
                };
                let one = OffsetRange::one(Offset(offset));
                match letter {
                    'a' | 'b' | 'r' => {
                        let payload = payload(letter, offset);
                        match decoder.decode(payload.as_bytes(), &meta, &mut events) {
                            Ok(()) => taken.accepted += 1,
                            Err(violation) => {
                                taken.rejected += 1;
                                refused.push(None, payload.as_bytes(), &[], &violation, &meta);
                            }
                        }
                    }
                    't' => taken.tombstones.push(one),
                    'x' => taken.absent.push(one),
                    'l' => taken.lost.push(one),
                    'f' => taken.filtered.push(one),
                    other => panic!("no record is called {other}"),
                }
            }
            partitions.push(taken);
        }
        let now = Moment::from_unix_micros(self.now);
        let plan = StagePlan::Append {
            generation,
            from: starts,
        };
        let stage = self.log.stage(plan, now).expect("a stage");
        let facts = self.facts();
        let mut files = Vec::new();
        let (events, refused) = (events.finish(), refused.finish());
        if events.batch.num_rows() > 0 {
            let times = &events.event_times_micros;
            write_set(
                &stage,
                FileSet::Accepted,
                &events.batch,
                times,
                &facts,
                &mut files,
            )
            .expect("written");
        }
        if refused.batch.num_rows() > 0 {
            let times = &refused.times_micros;
            write_set(
                &stage,
                FileSet::Rejected,
                &refused.batch,
                times,
                &facts,
                &mut files,
            )
            .expect("written");
        }
        stage.sync().expect("synced");
        for file in files.iter_mut().filter(|file| file.set == FileSet::Accepted) {
            self.alter_staged(file, alter);
        }
        Body::Append(Append {
            generation,
            partitions,
            files,
        })
    }

    /// Rewrites a staged file, and has its commit state the bytes that are there now.
    fn alter_staged(&self, file: &mut File, alter: &dyn Fn(RecordBatch) -> RecordBatch) {
        let path = self.staged(&file.key());
        let before = std::fs::read(&path).expect("staged");
        rewrite(&path, alter);
        let after = std::fs::read(&path).expect("staged");
        if before != after {
            file.bytes = after.len() as u64;
            file.sha256 = eventlake_core::commit::Checksum::of(&after);
        }
    }

    pub fn publish(&mut self) {
        self.log.publish().expect("published");
    }

    /// Compacts all live files of a set and hour into one.
    pub fn compact(&mut self, set: FileSet, folder: &str) {
        let fold = self.log.fold().expect("a fold").clone();
        let inputs: Vec<File> = fold
            .files()
            .values()
            .filter(|file| file.set == set && file.path.folder().as_str().ends_with(folder))
            .cloned()
            .collect();
        let removed: Vec<FileKey> = inputs.iter().map(File::key).collect();
        let generation = GenerationOrdinal(self.generation);
        let plan = StagePlan::Replace {
            generation,
            inputs: removed.clone(),
        };
        let batches: Vec<RecordBatch> = inputs
            .iter()
            .flat_map(|file| read(&self.published(&file.key())))
            .collect();
        let batch = concat_batches(&batches[0].schema(), &batches).expect("one schema");
        let time = inputs[0].path.time_partition().span_micros().0;
        let times: Vec<i64> = event_times(&batch, set, time);
        let stage = self
            .log
            .stage(plan, Moment::from_unix_micros(self.now))
            .expect("a stage");
        let mut files = Vec::new();
        write_set(&stage, set, &batch, &times, &self.facts(), &mut files).expect("written");
        stage.sync().expect("synced");
        self.commit(Body::Replace(Replace {
            reason: ReplaceReason::Compaction,
            removed,
            files,
        }));
    }

    /// A snapshot, and every published commit below it that it may delete.
    pub fn snapshot(&mut self) {
        let policy = SnapshotPolicy {
            every: 1,
            log_retention: Duration::ZERO,
        };
        let now = Moment::from_unix_micros(self.now + 1);
        self.log.snapshot(&policy, now).expect("a snapshot");
    }

    pub fn live(&mut self) -> Vec<File> {
        self.log
            .fold()
            .expect("a fold")
            .files()
            .values()
            .cloned()
            .collect()
    }

    pub fn root(&self, set: FileSet) -> &Path {
        match set {
            FileSet::Accepted => &self.config.lake.data,
            FileSet::Rejected => &self.config.lake.rejected,
        }
    }

    pub fn published(&self, key: &FileKey) -> PathBuf {
        self.root(key.set).join(key.path.as_str())
    }

    pub fn staged(&self, key: &FileKey) -> PathBuf {
        let stage = self
            .root(key.set)
            .join("_staging/taps")
            .join(key.path.stage().to_string());
        stage.join(format!("{}.staged", key.path.file_name()))
    }

    pub fn log_file(&self, relative: &str) -> PathBuf {
        self.config.lake.checkpoints.join("clicks").join(relative)
    }

    pub fn commit_file(&self, number: u64) -> PathBuf {
        self.log_file(&format!("{number:020}.json"))
    }

    pub fn verify(&self) -> TopicReport {
        self.verify_since(None)
    }

    pub fn verify_since(&self, since_micros: Option<i64>) -> TopicReport {
        verify(&Request {
            since_micros,
            ..self.request()
        })
    }

    pub fn verify_with_kafka(&self) -> TopicReport {
        verify(&Request {
            kafka: Some(&self.config.kafka),
            ..self.request()
        })
    }

    fn request(&self) -> Request<'_> {
        Request {
            lake: &self.config.lake,
            topic: &self.config.topics[0],
            rules: &self.rules,
            since_micros: None,
            kafka: None,
            progress: &Silent,
            threads: 2,
        }
    }

    #[track_caller]
    pub fn assert_proven(&self) -> TopicReport {
        let report = self.verify();
        assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
        report
    }

    /// The refutations, which are of exactly these kinds.
    #[track_caller]
    pub fn assert_refuted(&self, codes: &[Code]) -> Vec<Refutation> {
        let report = self.verify();
        assert_eq!(report.verdict, Verdict::Refuted, "{report:#?}");
        let found: Vec<Code> = report.refuted.keys().copied().collect();
        let mut wanted = codes.to_vec();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{report:#?}");
        for refutation in &report.refutations {
            assert!(
                !refutation.remedy.is_empty() && !refutation.what.is_empty(),
                "{refutation:?}"
            );
            assert_eq!(refutation.table.as_str(), "taps");
        }
        report.refutations
    }
}

fn open(config: &Config) -> TopicLog {
    let paths = LakePaths {
        data: config.lake.data.clone(),
        rejected: config.lake.rejected.clone(),
        checkpoints: config.lake.checkpoints.clone(),
    };
    let topic = &config.topics[0];
    let writer = WriterId::new("writer").expect("an id");
    TopicLog::open(&paths, &topic.name, &topic.table, &writer).expect("a log")
}

/// The record of a letter.
pub fn payload(letter: char, offset: i64) -> String {
    let hour = if letter == 'b' { 2 } else { 1 };
    match letter {
        'c' => payload('a', offset).replace("\"n\":", "\"n\":7"),
        'r' => format!("{{\"at\":\"late\",\"n\":{offset}}}"),
        _ => format!(
            "{{\"at\":\"2026-11-21T0{hour}:00:00.{:06}Z\",\"n\":{offset},\"tags\":[\"x\"],\"inner\":{{\"x\":1.5}}}}",
            offset % 1_000_000
        ),
    }
}

pub fn read(path: &Path) -> Vec<RecordBatch> {
    let file = std::fs::File::open(path).expect("there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("parquet")
        .build()
        .expect("parquet");
    reader.map(|batch| batch.expect("rows")).collect()
}

/// Writes a file again with other rows and the same footer.
pub fn rewrite(path: &Path, alter: &dyn Fn(RecordBatch) -> RecordBatch) {
    let file = std::fs::File::open(path).expect("there");
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet");
    let footer = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .cloned()
        .expect("a footer");
    let batches = read(path);
    let batch = concat_batches(&batches[0].schema(), &batches).expect("one schema");
    let altered = alter(batch.clone());
    if altered == batch {
        return;
    }
    let bytes = write_parquet(Vec::new(), &altered, None, footer).expect("written");
    std::fs::write(path, bytes).expect("written");
}

/// A batch without one row, or with only some of them.
pub fn without(batch: RecordBatch, row: usize) -> RecordBatch {
    let kept: Vec<bool> = (0..batch.num_rows()).map(|at| at != row).collect();
    filter_record_batch(&batch, &BooleanArray::from(kept)).expect("one flag a row")
}

/// A batch with one row twice.
pub fn doubled(batch: RecordBatch, row: usize) -> RecordBatch {
    concat_batches(&batch.schema(), [&batch, &batch.slice(row, 1)]).expect("one schema")
}

fn event_times(batch: &RecordBatch, set: FileSet, _folder: i64) -> Vec<i64> {
    use arrow::array::AsArray as _;
    let name = match set {
        FileSet::Accepted => "at",
        FileSet::Rejected => "_kafka_timestamp",
    };
    let times = batch.column_by_name(name).expect("a time");
    let times = times.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    times.values().to_vec()
}

/// The ranges that a file says it holds.
pub fn ranges(file: &File) -> Vec<(i32, i64, i64)> {
    let range = |offsets: &FileOffsets| (offsets.partition.0, offsets.from.0, offsets.next.0);
    file.offsets.iter().map(range).collect()
}
