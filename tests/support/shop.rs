//! The lake the cases ask: orders with known values, landed in two runs of the program; and the program run in its folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use eventlake_engine::kafka::builtin::BuiltinBroker;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::without_settings;

pub const PARTITIONS: i32 = 3;
/// Orders sent, in two halves; every 50th of them is refused.
pub const ORDERS: i64 = 20_000;
const REFUSED_EVERY: i64 = 50;
/// The time of the first order, 2026-11-20T22:00:00Z, in microseconds; the others follow at this distance, over 30 hours.
const FIRST_MICROS: i64 = 1_795_212_000_000_000;
const STEP_MICROS: i64 = 5_400_000;
const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["id", "at", "kind"],
  "properties": {
    "id": {"type": "integer", "minimum": 0},
    "at": {"type": "string", "format": "date-time"},
    "kind": {"type": "string", "enum": ["book", "game", "tool"]},
    "price": {"type": ["number", "null"]},
    "userName": {"type": "string"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "place": {"type": "object", "properties": {"city": {"type": "string"}, "floor": {"type": "integer"}}}
  }
}"#;

/// One order, as sent and as it must come back.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: i64,
    pub at_micros: i64,
    pub kind: &'static str,
    pub price: Option<f64>,
    pub city: &'static str,
}

impl Order {
    fn new(id: i64) -> Order {
        Order {
            id,
            at_micros: FIRST_MICROS + id * STEP_MICROS,
            kind: ["book", "game", "tool"][(id % 7 % 3) as usize],
            price: (id % 11 != 0).then_some((id % 400) as f64 / 4.0),
            city: ["Paris", "Rabat", "東京"][(id % 5 % 3) as usize],
        }
    }

    /// The hour of its event time, as (day of November, hour).
    pub fn hour(&self) -> (i64, i64) {
        let hours = (self.at_micros - FIRST_MICROS) / 3_600_000_000 + 22;
        (20 + hours / 24, hours % 24)
    }

    fn is_refused(&self) -> bool {
        self.id % REFUSED_EVERY == 7
    }

    fn payload(&self) -> String {
        let secs = self.at_micros.div_euclid(1_000_000);
        let at =
            chrono::DateTime::from_timestamp(secs, (self.at_micros.rem_euclid(1_000_000) * 1_000) as u32);
        let at = at.expect("a time").format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let kind = if self.is_refused() {
            "\u{1b}[31mcar"
        } else {
            self.kind
        };
        json!({
            "id": self.id, "at": at, "kind": kind, "price": self.price, "userName": format!("user {}", self.id % 97),
            "tags": ["new", format!("t{}", self.id % 3)], "place": {"city": self.city, "floor": self.id % 4},
        })
        .to_string()
    }
}

/// The orders that were accepted.
pub fn accepted() -> impl Iterator<Item = Order> {
    (0..ORDERS).map(Order::new).filter(|order| !order.is_refused())
}

pub struct Shop {
    folder: TempDir,
}

/// A topic of a lake of its own.
pub struct Topic<'t> {
    pub name: &'t str,
    pub schema: &'t str,
    /// More of its settings, in TOML.
    pub settings: &'t str,
    /// Payloads, and Kafka's timestamps in milliseconds.
    pub records: Vec<(String, i64)>,
}

/// The lake that cases share which change nothing in it.
pub fn shared() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(Shop::land)
}

impl Shop {
    fn land() -> Shop {
        let broker = BuiltinBroker::start(&[("orders", PARTITIONS), ("idle", 1)]).expect("a broker");
        let shop = Shop {
            folder: tempfile::tempdir().expect("a folder"),
        };
        fs::write(shop.path("orders.json"), SCHEMA).expect("written");
        shop.configure(&broker.brokers());
        for half in [0..ORDERS / 2, ORDERS / 2..ORDERS] {
            send(&broker, half);
            let ended = shop.run(&["ingest", "--until-end"]);
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
        shop
    }

    /// A lake of other topics, a partition each: their records, sent at their times, landed in one run.
    pub fn of(topics: &[Topic<'_>]) -> Shop {
        let names: Vec<(&str, i32)> = topics.iter().map(|topic| (topic.name, 1)).collect();
        let broker = BuiltinBroker::start(&names).expect("a broker");
        let configured = |topic: &Topic<'_>| {
            let Topic { name, settings, .. } = topic;
            format!("[[topics]]\nname = \"{name}\"\nschema = \"{name}.json\"\n{settings}\n")
        };
        let text: String = topics.iter().map(configured).collect();
        let shop = Shop::configured(&broker.brokers(), &text);
        for topic in topics {
            let name = topic.name;
            fs::write(shop.path(&format!("{name}.json")), topic.schema).expect("written");
            let producer = producer(&broker);
            for (payload, millis) in &topic.records {
                let record = BaseRecord::<str, str>::to(name)
                    .payload(payload)
                    .timestamp(*millis);
                producer.send(record).expect("queued");
            }
            producer.flush(Duration::from_secs(30)).expect("delivered");
        }
        let ended = shop.run(&["ingest", "--until-end"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        shop
    }

    /// A folder with the general settings and these, as its configuration.
    pub fn configured(brokers: &str, topics: &str) -> Shop {
        let shop = Shop {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let text = format!("{}{topics}", settings(brokers));
        fs::write(shop.path("eventlake.toml"), text).expect("written");
        shop
    }

    fn configure(&self, brokers: &str) {
        let settings = settings(brokers);
        let text = format!(
            "{settings}\
             [[topics]]\nname = \"orders\"\nschema = \"orders.json\"\nevent_time = \"at\"\n\
             [[topics]]\nname = \"idle\"\nschema = \"orders.json\"\nevent_time = \"at\"\n"
        );
        fs::write(self.path("eventlake.toml"), text).expect("written");
    }

    /// The same lake in a folder of its own.
    pub fn copy(&self) -> Shop {
        let copy = Shop {
            folder: tempfile::tempdir().expect("a folder"),
        };
        copy_below(self.folder.path(), copy.folder.path());
        copy
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        without_settings(&mut command);
        command.args(arguments).args(["--config", "eventlake.toml"]);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments)
            .output()
            .expect("the program starts")
            .into()
    }

    /// The rows of an answer, as JSON.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        let ended = self.run(&["query", sql, "--json"]);
        assert_eq!(ended.code, Some(0), "{sql}: {}", ended.stderr);
        let lines = ended.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
            .collect()
    }

    /// The only value of an answer.
    #[track_caller]
    pub fn value(&self, sql: &str) -> Value {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        let row = rows[0].as_object().expect("an object");
        assert_eq!(row.len(), 1, "{sql}: {rows:?}");
        row.values().next().expect("one").clone()
    }

    /// The data files below one of the roots, in order.
    pub fn files(&self, root: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        files_below(&self.path(root), &mut found);
        found.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
        found.sort();
        found
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub bytes: Vec<u8>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }
}

fn settings(brokers: &str) -> String {
    format!(
        "[kafka]\nbrokers = \"{brokers}\"\n[kafka.properties]\nsession.timeout.ms = 1500\n[http]\nlisten = \"off\"\n"
    )
}

fn producer(broker: &BuiltinBroker) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", broker.brokers())
        .create()
        .expect("a producer")
}

fn send(broker: &BuiltinBroker, ids: std::ops::Range<i64>) {
    let producer = producer(broker);
    for id in ids {
        let payload = Order::new(id).payload();
        let partition = i32::try_from(id).expect("small") % PARTITIONS;
        let record = BaseRecord::to("orders").key("k").partition(partition);
        producer.send(record.payload(&payload)).expect("queued");
        if id % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(30)).expect("delivered");
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
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

/// The exit code of a program that has so long to end by itself.
pub fn code_within(limit: Duration, child: &mut Child) -> Option<i32> {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("a child");
    panic!("it goes on for {limit:?}");
}
