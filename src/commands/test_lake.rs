//! A lake for tests of the commands that read one: made by the real commit log, the rejected rows by the real builder.

use std::path::Path;

use eventlake_core::commit::{
    Append, Body, ClusterId, File, FileOffsets, FileSet, GenerationOrdinal, GenerationReason, Moment,
    OpenGeneration, PartitionAppend, PartitionStart, SchemaVersion, StagePlan, TimeSpan, TopicId, WriterId,
};
use eventlake_core::config::{self, Config, PartitionBy};
use eventlake_core::names::TimePartition;
use eventlake_core::position::{IntervalSet, Offset, PartitionId};
use eventlake_core::violation::{Code, Violation};
use eventlake_engine::ingest::decode::RecordMeta;
use eventlake_engine::ingest::rejected::{RejectedRows, arrow_schema};
use eventlake_engine::lake::{FileContents, LakePaths, Outcome, Stage, TopicLog};
use parquet::arrow::ArrowWriter;

pub const P0: PartitionId = PartitionId(0);

/// A configuration of one topic, `clicks`, which lands in table `taps`, with its lake below `folder`.
pub fn config_in(folder: &Path, brokers: &str, listen: &str) -> Config {
    let text = format!(
        "[kafka]\nbrokers = \"{brokers}\"\n\
         [lake]\ndata = \"{0}/data\"\nrejected = \"{0}/rejected\"\ncheckpoints = \"{0}/checkpoints\"\n\
         [http]\nlisten = \"{listen}\"\n\
         [[topics]]\nname = \"clicks\"\ntable = \"taps\"\nschema = \"clicks.json\"\n",
        folder.display()
    );
    let schema = r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#;
    config::resolve(&text, Path::new("eventlake.toml"), &|_| None, &|_| {
        Ok(schema.to_owned())
    })
    .expect("a config")
}

/// One rejected record of partition 0.
pub struct Refused<'a> {
    pub offset: i64,
    pub payload: &'a [u8],
    pub code: Code,
    /// What the violation quotes of the record.
    pub found: &'a str,
}

/// The log of the only topic of a configuration.
pub struct TestLake {
    log: TopicLog,
}

impl TestLake {
    /// Opens the log and its first generation.
    pub fn start(config: &Config, topic_id: &str, now_micros: i64) -> TestLake {
        let paths = LakePaths {
            data: config.lake.data.clone(),
            rejected: config.lake.rejected.clone(),
            checkpoints: config.lake.checkpoints.clone(),
        };
        let topic = &config.topics[0];
        let writer = WriterId::new("writer-1").expect("an id");
        let log = TopicLog::open(&paths, &topic.name, &topic.table, &writer).expect("a log");
        let mut lake = TestLake { log };
        let opened = OpenGeneration {
            ordinal: GenerationOrdinal(1),
            cluster_id: ClusterId::new("cluster").expect("an id"),
            topic_id: TopicId::new(topic_id).expect("an id"),
            reason: GenerationReason::FirstStart,
            starts: vec![],
            after: None,
        };
        lake.commit(Body::Generation(opened), now_micros);
        lake
    }

    /// Lands the next `records` of partition 0: those refused are rejected, the others accepted. Kafka's timestamps are
    /// `now`, less a second for each record before the last.
    pub fn land(&mut self, records: i64, refused: &[Refused<'_>], now_micros: i64) {
        let from = self.log.fold().expect("a fold").next(P0);
        let next = Offset(from.0 + records);
        let generation = GenerationOrdinal(1);
        let starts = vec![PartitionStart { partition: P0, from }];
        let now = Moment::from_unix_micros(now_micros);
        let stage = self
            .log
            .stage(
                StagePlan::Append {
                    generation,
                    from: starts,
                },
                now,
            )
            .expect("a stage");
        let rejected = refused.len() as u64;
        let accepted = u64::try_from(records).expect("positive") - rejected;
        let time_of = |offset: i64| now_micros - (next.0 - 1 - offset) * 1_000_000;
        let mut files = Vec::new();
        if accepted > 0 {
            let span = TimeSpan {
                min_micros: time_of(from.0),
                max_micros: time_of(next.0 - 1),
            };
            files.push(file(
                &stage,
                FileSet::Accepted,
                (from, next, accepted),
                span,
                b"not read here",
            ));
        }
        if rejected > 0 {
            let span = TimeSpan {
                min_micros: time_of(refused[0].offset),
                max_micros: time_of(refused[refused.len() - 1].offset),
            };
            let bytes = parquet_of(refused, time_of);
            files.push(file(
                &stage,
                FileSet::Rejected,
                (from, next, rejected),
                span,
                &bytes,
            ));
        }
        stage.sync().expect("synced");
        let taken = PartitionAppend {
            partition: P0,
            from,
            next,
            leader_epoch: None,
            accepted,
            rejected,
            tombstones: IntervalSet::new(),
            filtered: IntervalSet::new(),
            absent: IntervalSet::new(),
            lost: IntervalSet::new(),
        };
        self.commit(
            Body::Append(Append {
                generation,
                partitions: vec![taken],
                files,
            }),
            now_micros,
        );
    }

    /// Gives the files their final names.
    pub fn publish(&mut self) {
        self.log.publish().expect("published");
    }

    fn commit(&mut self, body: Body, now_micros: i64) {
        let outcome = self
            .log
            .propose(body, Moment::from_unix_micros(now_micros))
            .expect("proposed");
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    }
}

fn file(
    stage: &Stage,
    set: FileSet,
    (from, next, rows): (Offset, Offset, u64),
    times: TimeSpan,
    bytes: &[u8],
) -> File {
    use std::io::Write as _;
    let hour = TimePartition::of(times.max_micros, PartitionBy::Hour).expect("a year of four digits");
    let mut file = stage.create_file(set, hour).expect("a file");
    file.write_all(bytes).expect("written");
    let contents = FileContents {
        rows,
        offsets: vec![FileOffsets {
            partition: P0,
            from,
            next,
            rows,
        }],
        times: Some(times),
        schema_version: SchemaVersion::new("v1").expect("a version"),
    };
    file.finish(contents).expect("finished")
}

fn parquet_of(refused: &[Refused<'_>], time_of: impl Fn(i64) -> i64) -> Vec<u8> {
    let mut rows = RejectedRows::new();
    for record in refused {
        let violation = Violation {
            code: record.code,
            field: "a".into(),
            expected: "an integer".into(),
            found: record.found.into(),
        };
        let offset = Offset(record.offset);
        let meta = RecordMeta {
            partition: P0,
            offset,
            timestamp_micros: Some(time_of(record.offset)),
        };
        let headers = [("trace".to_owned(), Some(record.payload.to_vec()))];
        rows.push(Some(record.payload), record.payload, &headers, &violation, &meta);
    }
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, arrow_schema(), None).expect("a writer");
    writer.write(&rows.finish().batch).expect("written");
    writer.close().expect("closed");
    bytes
}
