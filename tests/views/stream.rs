//! Two topics on the built-in broker, a configuration with views over them, daemons that run it, and what was sent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use eventlake_engine::kafka::builtin::BuiltinBroker;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use crate::daemon::Daemon;
use crate::support::without_settings;

const SCHEMA: &str = r#"{"type":"object","required":["n","user","item","at"],"properties":{
    "n":{"type":"integer"},"user":{"type":"integer"},"item":{"type":"string"},"at":{"type":"string","format":"date-time"}}}"#;
pub const PARTITIONS: i64 = 3;

/// One record that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub topic: &'static str,
    pub partition: i64,
    pub offset: i64,
    pub user: i64,
    pub item: String,
    /// Seconds since 1970.
    pub at: i64,
}

pub struct Stream {
    pub folder: tempfile::TempDir,
    broker: BuiltinBroker,
    producer: BaseProducer,
    pub sent: Vec<Sent>,
    offsets: BTreeMap<(&'static str, i64), i64>,
    /// What the program takes from its environment.
    pub variables: Vec<(&'static str, String)>,
    /// Whether every 37th record comes late.
    pub some_are_late: bool,
}

impl Stream {
    pub fn new(views: &str) -> Stream {
        let topics = [("clicks", PARTITIONS as i32), ("ratings", PARTITIONS as i32)];
        let broker = BuiltinBroker::start(&topics).expect("a broker");
        let producer = ClientConfig::new()
            .set("bootstrap.servers", broker.brokers())
            .create()
            .expect("a producer");
        let stream = Stream {
            folder: tempfile::tempdir().expect("a folder"),
            broker,
            producer,
            sent: Vec::new(),
            offsets: BTreeMap::new(),
            variables: Vec::new(),
            some_are_late: true,
        };
        std::fs::write(stream.path("events.json"), SCHEMA).expect("written");
        stream.set_views(views);
        stream
    }

    pub fn set_views(&self, views: &str) {
        let topic = |name: &str| {
            format!("[[topics]]\nname = \"{name}\"\nschema = \"events.json\"\nevent_time = \"at\"\n")
        };
        let text = format!(
            "[kafka]\nbrokers = \"{}\"\ngroup = \"views\"\nproperties = {{ session.timeout.ms = 1500 }}\n\
             [lake]\nroll_interval = \"200ms\"\nsnapshot_every = 5\nmax_future = \"36500d\"\n[http]\nlisten = \"off\"\n{}{}{views}",
            self.broker.brokers(),
            topic("clicks"),
            topic("ratings"),
        );
        std::fs::write(self.path("eventlake.toml"), text).expect("written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends this many records: four clicks to a rating, a second apart, every 37th some minutes late.
    pub fn send(&mut self, records: i64) {
        let first = self.sent.len() as i64;
        for n in first..first + records {
            let topic = if n % 5 == 4 { "ratings" } else { "clicks" };
            let partition = (n / 5 + n % 5) % PARTITIONS;
            let late = if self.some_are_late && n % 37 == 36 {
                100 + n % 300
            } else {
                0
            };
            let (user, item, at) = (n * n % 11, format!("item-{}", n % 13), n - late);
            let time = chrono::DateTime::from_timestamp(at, 0).expect("a time");
            let payload = serde_json::json!({"n": n, "user": user, "item": item, "at": time.to_rfc3339()});
            let payload = payload.to_string();
            let record = BaseRecord::<(), str>::to(topic).payload(&payload);
            self.producer
                .send(record.partition(partition as i32))
                .expect("queued");
            let next = self.offsets.entry((topic, partition)).or_default();
            self.sent.push(Sent {
                topic,
                partition,
                offset: *next,
                user,
                item,
                at,
            });
            *next += 1;
        }
        self.producer.flush(Duration::from_secs(30)).expect("delivered");
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        command.args(arguments).current_dir(self.folder.path());
        command.args(["--config", "eventlake.toml"]);
        without_settings(&mut command);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command that must succeed.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        output
    }

    /// Starts a daemon.
    pub fn start(&self) -> Daemon {
        Daemon::of(self.command(&["ingest"]))
    }

    /// Takes in all that was sent.
    pub fn ingest(&self) -> String {
        let output = self.run(&["ingest", "--until-end"]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The rows of a query, as objects.
    pub fn query(&self, sql: &str) -> Vec<Value> {
        let output = self.run(&["query", "--quiet", sql, "--format", "json"]);
        objects(&String::from_utf8_lossy(&output.stdout))
    }

    /// The rows of an output of JSON.
    pub fn rows(&self, name: &str) -> Vec<Value> {
        let path = self.path(name);
        objects(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    pub fn commits(&self) -> usize {
        let commits = |topic: &str| {
            let entries = std::fs::read_dir(self.path(&format!("checkpoints/{topic}")));
            let names = entries
                .into_iter()
                .flatten()
                .map(|entry| entry.expect("an entry").file_name());
            names
                .filter(|name| name.to_string_lossy().ends_with(".json"))
                .count()
        };
        commits("clicks") + commits("ratings")
    }
}

pub fn objects(text: &str) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    text.lines().map(object).collect()
}
