//! A small topic on the built-in broker, the program run on it, and what is found in its lake.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use eventlake_engine::kafka::builtin::BuiltinBroker;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use crate::daemon::Daemon;
use crate::support::without_settings;

pub const STRICT: &str =
    r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer","maximum":99}}}"#;
pub const MENDED: &str = r#"{"type":"object","required":["n"],
    "properties":{"n":{"type":"integer"},"note":{"type":"string"}}}"#;

/// A topic of two partitions, and the configuration to land it.
pub struct Workspace {
    pub folder: tempfile::TempDir,
    pub broker: BuiltinBroker,
    pub sent: i64,
}

impl Workspace {
    pub fn new() -> Workspace {
        let broker = BuiltinBroker::start(&[("numbers", 2)]).expect("a broker");
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[kafka]\nbrokers = \"{}\"\ngroup = \"replay\"\nproperties = {{ session.timeout.ms = 1500 }}\n\
             [lake]\nroll_interval = \"200ms\"\n[http]\nlisten = \"off\"\n\
             [[topics]]\nname = \"numbers\"\ntable = \"figures\"\nschema = \"numbers.json\"\n# topic\n",
            broker.brokers()
        );
        std::fs::write(folder.path().join("eventlake.toml"), text).expect("written");
        let workspace = Workspace {
            folder,
            broker,
            sent: 0,
        };
        workspace.set_schema(STRICT);
        workspace
    }

    /// Adds to the topic's settings.
    pub fn set_topic(&self, settings: &str) {
        let path = self.folder.path().join("eventlake.toml");
        let text = std::fs::read_to_string(&path).expect("written before");
        let (own, _) = text.split_once("# topic\n").expect("marked");
        std::fs::write(path, format!("{own}# topic\n{settings}\n")).expect("written");
    }

    pub fn set_schema(&self, schema: &str) {
        std::fs::write(self.folder.path().join("numbers.json"), schema).expect("written");
    }

    /// `n` counts up; every tenth record is no JSON.
    pub fn send(&mut self, records: i64) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.brokers())
            .create()
            .expect("a producer");
        for n in self.sent..self.sent + records {
            let payload = if n % 10 == 0 {
                "{".to_owned()
            } else {
                format!("{{\"n\":{n},\"note\":\"x\"}}")
            };
            let record = BaseRecord::<(), str>::to("numbers").payload(&payload);
            producer
                .send(record.partition(i32::from(n % 2 == 1)))
                .expect("queued");
        }
        producer.flush(Duration::from_secs(30)).expect("delivered");
        self.sent += records;
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        command.args(arguments).current_dir(self.folder.path());
        command.args(["--config", "eventlake.toml", "--quiet"]);
        without_settings(&mut command);
        command
    }

    /// Starts the daemon.
    pub fn start(&self) -> Daemon {
        Daemon::of(self.command(&["ingest"]))
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        output
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.run(arguments).stdout).expect("one JSON object")
    }

    /// The positions that a reader's glob finds in a root, each once.
    pub fn positions(&self, root: &str) -> BTreeSet<(i32, i64)> {
        let mut found = BTreeSet::new();
        for path in parquet_below(&self.folder.path().join(root)) {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("there"));
            for batch in reader.expect("parquet").build().expect("a reader") {
                let batch = batch.expect("a batch");
                let column = |name| batch.column_by_name(name).expect("a column");
                let partitions = column("_kafka_partition").as_primitive::<Int32Type>().values();
                let offsets = column("_kafka_offset").as_primitive::<Int64Type>().values();
                for position in partitions.iter().copied().zip(offsets.iter().copied()) {
                    assert!(found.insert(position), "{position:?} is in {root} twice");
                }
            }
        }
        found
    }

    pub fn accepted(&self) -> usize {
        self.positions("data/parquet").len()
    }

    pub fn assert_exact(&self, accepted: usize) {
        let proof = self.json(&["verify", "--json"]);
        assert_eq!(proof["verdict"], "proven", "{proof}");
        let (landed, rejected) = (self.positions("data/parquet"), self.positions("data/rejected"));
        assert_eq!(landed.intersection(&rejected).next(), None, "in both sets");
        let half = self.sent / 2;
        let all: BTreeSet<_> = (0..2)
            .flat_map(|partition| (0..half).map(move |offset| (partition, offset)))
            .collect();
        assert_eq!(&landed | &rejected, all);
        assert_eq!(landed.len(), accepted);
    }

    pub fn commits(&self) -> usize {
        let entries = std::fs::read_dir(self.folder.path().join("checkpoints/numbers")).expect("a log");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".json"))
            .count()
    }
}

pub fn parquet_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(parquet_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files
}
