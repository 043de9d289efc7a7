//! A folder with a copy of `config`, a broker with the example's topics, and the program run there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, Utc};
use eventlake_engine::kafka::builtin::BuiltinBroker;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use crate::daemon::Daemon;
use crate::support::without_settings;

pub const PARTITIONS: i32 = 4;
/// When the first generated event happens.
pub const START: &str = "2025-11-20T12:00:00Z";

pub struct Place {
    folder: tempfile::TempDir,
    broker: BuiltinBroker,
    example: &'static str,
    variables: Vec<(&'static str, String)>,
}

/// A record that is in the topic.
#[derive(Clone, Debug)]
pub struct Sent {
    pub topic: String,
    pub partition: i64,
    pub offset: i64,
    pub event: Value,
}

impl Sent {
    pub fn text(&self, field: &str) -> &str {
        self.event[field]
            .as_str()
            .unwrap_or_else(|| panic!("{field} of {}", self.event))
    }

    pub fn number(&self, field: &str) -> i64 {
        self.event[field]
            .as_i64()
            .unwrap_or_else(|| panic!("{field} of {}", self.event))
    }

    /// When it happened.
    pub fn at(&self) -> DateTime<Utc> {
        let field = if self.topic == "client_tickets" {
            "created_at"
        } else {
            "timestamp"
        };
        time(&self.event[field])
    }
}

/// What a command that succeeded said.
pub struct Said {
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new(example: &'static str, topics: &[&str]) -> Place {
        let topics: Vec<(&str, i32)> = topics.iter().map(|topic| (*topic, PARTITIONS)).collect();
        let place = Place {
            folder: tempfile::tempdir().expect("a folder"),
            broker: BuiltinBroker::start(&topics).expect("a broker"),
            example,
            variables: Vec::new(),
        };
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        copy_below(&config, &place.path("config"));
        place.shorten_sessions();
        place
    }

    /// The built-in broker misses a member of a group that has left only when its session is over, by default after 45 s.
    fn shorten_sessions(&self) {
        let path = self.path("config/examples").join(self.example);
        let text = fs::read_to_string(&path).expect("an example");
        assert_eq!(text.matches("\n[kafka]\n").count(), 1);
        let text = text.replace(
            "\n[kafka]\n",
            "\n[kafka]\nproperties = { session.timeout.ms = 1500 }\n",
        );
        fs::write(path, text).expect("written");
    }

    /// Gives the program one variable more.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.variables.push((name, value));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        without_settings(&mut command);
        let config = format!("config/examples/{}", self.example);
        command.args(["--config", &config]).args(arguments);
        command.env("EVENTLAKE_KAFKA_BROKERS", self.broker.brokers());
        command.env("EVENTLAKE_HTTP_LISTEN", "off");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command on the example that must succeed.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        let output = command.output().expect("the program starts");
        let said = Said {
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        };
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said.stderr);
        said
    }

    /// Starts the daemon on the example.
    pub fn start(&self) -> Daemon {
        Daemon::of(self.command(&["ingest"]))
    }

    /// `eventlake check` finds nothing, and no variable looks like a setting and is none.
    pub fn check(&self) {
        let said = self.run(&["check"]);
        assert_eq!(said.stderr, "");
        assert!(said.stdout.ends_with("\nok\n"), "{}", said.stdout);
    }

    /// Generates so many events to each of these topics, and answers what the cluster has confirmed: the events that the same seed
    /// prints.
    pub fn generate(&self, topics: &[&str], count: usize, seed: &str, span: &str) -> Vec<Sent> {
        let (count, names) = (count.to_string(), topics.join(","));
        let events = [
            "--count", &count, "--seed", seed, "--start", START, "--span", span,
        ];
        let confirmed = ["generate", "--topics", &names, "--deliveries", "confirmed.jsonl"];
        self.run(&[&confirmed[..], &events].concat());
        let mut sent: Vec<(i64, String, Sent)> =
            self.rows("confirmed.jsonl").iter().map(confirmation).collect();
        sent.sort_by_key(|(sequence, _, sent)| (sent.topic.clone(), *sequence));
        for topic in topics {
            let printed = self.run(&[&["generate", "--topics", topic, "--stdout"][..], &events].concat());
            let of_topic = sent.iter().filter(|(_, _, sent)| sent.topic == *topic);
            let payloads: Vec<&str> = of_topic.map(|(_, payload, _)| payload.as_str()).collect();
            assert_eq!(payloads, printed.stdout.lines().collect::<Vec<_>>(), "{topic}");
            assert_eq!(payloads.len().to_string(), count, "{topic}");
        }
        sent.into_iter().map(|(_, _, sent)| sent).collect()
    }

    /// Sends events of the test's own, each to its partition and at its own time.
    pub fn send(&self, topic: &str, events: &[(i32, Value)]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.brokers())
            .create()
            .expect("a producer");
        for (partition, event) in events {
            let payload = event.to_string();
            let field = ["timestamp", "created_at"]
                .into_iter()
                .find(|field| event.get(*field).is_some());
            let millis = time(&event[field.expect("an event has a time")]).timestamp_millis();
            let record = BaseRecord::<(), str>::to(topic)
                .payload(&payload)
                .partition(*partition)
                .timestamp(millis);
            producer.send(record).expect("queued");
        }
        producer.flush(Duration::from_secs(30)).expect("delivered");
    }

    /// The objects of a file of JSON lines.
    pub fn rows(&self, name: &str) -> Vec<Value> {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let object =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        text.lines().map(object).collect()
    }

    /// The names in a folder, in order.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

/// A line of `--deliveries`: its sequence, its payload, and the record.
fn confirmation(line: &Value) -> (i64, String, Sent) {
    let number = |name: &str| line[name].as_i64().unwrap_or_else(|| panic!("{name}: {line}"));
    let payload = line["payload"].as_str().expect("text").to_owned();
    let sent = Sent {
        topic: line["topic"].as_str().expect("a topic").to_owned(),
        partition: number("partition"),
        offset: number("offset"),
        event: serde_json::from_str(&payload).expect("JSON"),
    };
    (number("sequence"), payload, sent)
}

/// A time of JSON.
pub fn time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("a time: {value}"));
    let time = DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    time.with_timezone(&Utc)
}

fn copy_below(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_below(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
