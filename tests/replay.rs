//! `eventlake rejected replay` as users run it: a schema is mended, and what was refused lands.

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use eventlake_engine::kafka::builtin::BuiltinBroker;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use support::without_settings;

const STRICT: &str =
    r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer","maximum":99}}}"#;
const MENDED: &str = r#"{"type":"object","required":["n"],
    "properties":{"n":{"type":"integer"},"note":{"type":"string"}}}"#;

struct Workspace {
    folder: tempfile::TempDir,
    broker: BuiltinBroker,
    sent: i64,
}

impl Workspace {
    fn new() -> Workspace {
        let broker = BuiltinBroker::start(&[("numbers", 2)]).expect("a broker");
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[kafka]\nbrokers = \"{}\"\ngroup = \"replay\"\nproperties = {{ session.timeout.ms = 1500 }}\n\
             [lake]\nroll_interval = \"200ms\"\n[http]\nlisten = \"off\"\n\
             [[topics]]\nname = \"numbers\"\ntable = \"figures\"\nschema = \"numbers.json\"\n",
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

    fn set_schema(&self, schema: &str) {
        std::fs::write(self.folder.path().join("numbers.json"), schema).expect("written");
    }

    /// `n` counts up; every tenth record is no JSON.
    fn send(&mut self, records: i64) {
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

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        command.args(arguments).current_dir(self.folder.path());
        command.args(["--config", "eventlake.toml", "--quiet"]);
        without_settings(&mut command);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        output
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.run(arguments).stdout).expect("one JSON object")
    }

    /// The positions that a reader's glob finds in a root, each once.
    fn positions(&self, root: &str) -> BTreeSet<(i32, i64)> {
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

    fn accepted(&self) -> usize {
        self.positions("data/parquet").len()
    }

    fn assert_exact(&self, accepted: usize) {
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

    fn commits(&self) -> usize {
        let entries = std::fs::read_dir(self.folder.path().join("checkpoints/numbers")).expect("a log");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".json"))
            .count()
    }
}

fn parquet_below(folder: &Path) -> Vec<PathBuf> {
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

#[test]
fn after_a_schema_is_mended_what_was_refused_lands_once() {
    let mut workspace = Workspace::new();
    let nothing = workspace.json(&["rejected", "replay", "--json"]);
    assert_eq!(nothing["tables"][0]["examined"], 0);
    assert!(
        !workspace.folder.path().join("checkpoints").exists(),
        "asking makes no log"
    );

    workspace.send(200);
    workspace.run(&["ingest", "--until-end"]);
    workspace.assert_exact(90);
    let unmended = workspace.run(&["rejected", "replay"]);
    let text = String::from_utf8_lossy(&unmended.stdout);
    assert!(text.contains("110"), "{text}");
    assert!(text.contains("20 malformed_json, 90 maximum"), "{text}");
    assert!(
        text.ends_with("nothing to do: none of them passes the present schema\n"),
        "{text}"
    );

    workspace.set_schema(MENDED);
    let before = workspace.commits();
    let dry = workspace.json(&["rejected", "replay", "--dry-run", "--json"]);
    assert_eq!(
        (dry["dry_run"].as_bool(), dry["tables"][0]["landed"].as_u64()),
        (Some(true), Some(90))
    );
    assert_eq!(
        (workspace.commits(), workspace.accepted()),
        (before, 90),
        "nothing was changed"
    );

    let done = workspace.json(&[
        "rejected", "replay", "--table", "figures", "--code", "maximum", "--json",
    ]);
    assert_eq!(done["tables"][0]["table"], "figures");
    assert_eq!(done["tables"][0]["examined"], 90);
    assert_eq!(done["tables"][0]["landed"], 90);
    assert_eq!(done["tables"][0]["still_rejected"], serde_json::json!({}));
    assert!(done["tables"][0]["commit"].is_u64(), "{done}");
    assert_eq!(workspace.commits(), before + 1);
    workspace.assert_exact(180);
    let listed = workspace.json(&["rejected", "list", "--json", "--limit", "0"]);
    assert_eq!(listed["total"], 20);

    let again = workspace.json(&["rejected", "replay", "--json"]);
    assert_eq!(
        (
            again["tables"][0]["landed"].as_u64(),
            again["tables"][0]["examined"].as_u64()
        ),
        (Some(0), Some(20))
    );
    assert_eq!(again["tables"][0]["commit"], Value::Null);
    assert_eq!(workspace.commits(), before + 1);

    // The daemon goes on from there, by the mended schema.
    workspace.send(100);
    workspace.run(&["ingest", "--until-end"]);
    workspace.assert_exact(270);
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The daemon publishes and cleans what it sees in the log, whoever committed it: neither disturbs the other.
#[test]
fn a_replay_beside_a_running_daemon_is_exact() {
    let mut workspace = Workspace::new();
    workspace.send(400);
    workspace.run(&["ingest", "--until-end"]);
    let mut command = workspace.command(&["ingest"]);
    let daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut daemon = Daemon(daemon.expect("the program starts"));
    workspace.set_schema(MENDED);
    for _ in 0..5 {
        workspace.send(100);
        workspace.run(&["rejected", "replay"]);
        assert!(
            daemon.0.try_wait().expect("asked").is_none(),
            "the daemon stopped"
        );
    }
    let sent = usize::try_from(workspace.sent).expect("positive");
    let deadline = Instant::now() + Duration::from_secs(60);
    let landed = |workspace: &Workspace| {
        let listed = workspace.json(&["rejected", "list", "--json", "--limit", "0"]);
        let status = workspace.json(&["status", "--json"]);
        let accepted = status["topics"][0]["lake"]["accepted"]["rows"].as_u64();
        usize::try_from(listed["total"].as_u64().unwrap_or(0) + accepted.unwrap_or(0)).expect("few")
    };
    while landed(&workspace) < sent {
        assert!(
            Instant::now() < deadline,
            "not landed: {} of {sent}",
            landed(&workspace)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    workspace.run(&["rejected", "replay"]);
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&daemon.0),
        rustix::process::Signal::TERM,
    )
    .expect("asked to stop");
    assert!(daemon.0.wait().expect("it ends").success());
    workspace.run(&["rejected", "replay"]);
    workspace.assert_exact(sent - sent / 10);
}
