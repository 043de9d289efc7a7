//! `eventlake tail` and `eventlake schema infer` on a topic, run as users run them.

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use eventlake_engine::kafka::builtin::BuiltinBroker;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use support::without_settings;

struct Shop {
    folder: tempfile::TempDir,
    broker: BuiltinBroker,
}

impl Shop {
    fn new() -> Shop {
        let broker = BuiltinBroker::start(&[("orders", 3), ("visits", 1)]).expect("a broker");
        let folder = tempfile::tempdir().expect("a folder");
        let schema = r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}"#;
        std::fs::write(folder.path().join("n.json"), schema).expect("written");
        let text = format!(
            "[kafka]\nbrokers = \"{}\"\n[[topics]]\nname = \"orders\"\nschema = \"n.json\"\n\
             [[topics]]\nname = \"visits\"\nschema = \"n.json\"\n",
            broker.brokers()
        );
        std::fs::write(folder.path().join("eventlake.toml"), text).expect("written");
        Shop { folder, broker }
    }

    /// Sends payloads in turn to the topic's partitions.
    fn send(&self, topic: &str, partitions: i32, payloads: &[Option<String>]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.brokers())
            .create()
            .expect("a producer");
        for (index, payload) in (0..).zip(payloads) {
            let mut record = BaseRecord::<str, str>::to(topic)
                .key("k")
                .partition(index % partitions);
            if let Some(payload) = payload {
                record = record.payload(payload);
            }
            producer.send(record).expect("queued");
        }
        producer.flush(Duration::from_secs(30)).expect("delivered");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        command.args(arguments).current_dir(self.folder.path());
        command.args(["--config", "eventlake.toml"]);
        without_settings(&mut command);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        output
    }
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone())
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
        .collect()
}

fn numbers(range: std::ops::Range<i32>) -> Vec<Option<String>> {
    range.map(|n| Some(format!("{{\"n\":{n}}}"))).collect()
}

#[test]
fn what_is_in_the_topics_is_shown_with_its_verdict() {
    let shop = Shop::new();
    let mut payloads = numbers(0..9);
    payloads.push(Some("{\"n\":\"\\u001b[2J\u{1b}\"}".to_owned()));
    payloads.push(None);
    shop.send("orders", 3, &payloads);
    shop.send("visits", 1, &numbers(0..5));
    let all = ["tail", "--from", "earliest", "--until-end", "--json"];
    let shown = lines(&shop.run(&all));
    assert_eq!(shown.len(), 16);
    let of = |verdict: &str| shown.iter().filter(|line| line["verdict"] == verdict).count();
    assert_eq!((of("accepted"), of("rejected"), of("tombstone")), (14, 1, 1));
    let rejected = shown
        .iter()
        .find(|line| line["verdict"] == "rejected")
        .expect("one");
    assert_eq!(
        rejected["violation"]["code"], "malformed_json",
        "a bare escape code is no JSON"
    );
    assert_eq!(
        (&rejected["topic"], &rejected["partition"], &rejected["offset"]),
        (&"orders".into(), &0.into(), &3.into())
    );
    assert_eq!(rejected["key"]["text"], "k");

    let refused = shop.run(&[
        "tail",
        "--topic",
        "orders",
        "--from",
        "earliest",
        "--until-end",
        "--rejected",
    ]);
    let text = String::from_utf8(refused.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.starts_with("orders/0@3 ") && text.contains("REJECTED"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "nothing moves the terminal: {text:?}");

    let newest = lines(&shop.run(&[
        "tail",
        "--topic",
        "visits",
        "--last",
        "2",
        "--until-end",
        "--json",
    ]));
    let offsets: Vec<&Value> = newest.iter().map(|line| &line["offset"]).collect();
    assert_eq!(offsets, [3, 4]);
    let none = shop.run(&["tail", "--until-end", "--json"]);
    assert!(none.stdout.is_empty(), "from the latest on there is nothing");
}

#[test]
fn a_condition_chooses_among_accepted_events() {
    let shop = Shop::new();
    let mut payloads = numbers(0..30);
    payloads.extend([Some("no json".to_owned()), None]);
    shop.send("orders", 3, &payloads);
    let tail = |condition: &str| {
        let arguments = [
            "tail",
            "--topic=orders",
            "--from=earliest",
            "--until-end",
            "--json",
        ];
        let mut command = shop.command(&arguments);
        command.args(["--where", condition]);
        command.output().expect("the program starts")
    };
    let chosen = tail("n % 7 = 3 AND _kafka_partition < 2");
    assert_eq!(chosen.status.code(), Some(0));
    let mut shown: Vec<i64> = lines(&chosen)
        .iter()
        .map(|line| {
            let payload = line["payload"]["text"].as_str().expect("a text");
            let event: Value = serde_json::from_str(payload).expect("JSON");
            event["n"].as_i64().expect("a number")
        })
        .collect();
    shown.sort_unstable();
    let expected: Vec<i64> = (0..30).filter(|n| n % 7 == 3 && n % 3 < 2).collect();
    assert_eq!(shown, expected);

    for (condition, code, said) in [
        ("m = 3", 2, "no column m"),
        ("n +", 2, "--where, for topic orders"),
        ("n + 1", 2, "true or false"),
        ("10 / n > 1", 3, "orders/0@0"),
    ] {
        let output = tail(condition);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{condition}: {error}");
        assert!(error.contains(said), "{condition}: {error}");
    }
}

#[test]
fn what_arrives_is_shown_as_it_arrives() {
    let shop = Shop::new();
    shop.send("visits", 1, &numbers(0..3));
    let mut child = shop
        .command(&[
            "tail", "--last", "1", "--count", "3", "--topic", "visits", "--json",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut shown = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || -> Value {
        let line = shown.next().expect("a line").expect("UTF-8");
        serde_json::from_str(&line).expect("one JSON object")
    };
    assert_eq!(next()["offset"], 2, "it has begun");
    shop.send("visits", 1, &numbers(3..9));
    assert_eq!(
        (next()["offset"].clone(), next()["offset"].clone()),
        (3.into(), 4.into())
    );
    assert_eq!(
        child.wait().expect("it ends").code(),
        Some(0),
        "three were asked for"
    );
}

#[test]
fn what_cannot_be_tailed_is_said() {
    let shop = Shop::new();
    for (arguments, code, said) in [
        (
            ["tail", "--topic", "order"],
            2,
            "order is not in the configuration; it has orders, visits",
        ),
        (["tail", "--from", "noon"], 2, "or latest, or earliest"),
        (
            ["schema", "infer", "--topic=nowhere"],
            3,
            "topic nowhere does not exist on this cluster",
        ),
    ] {
        let output = shop.command(&arguments).output().expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_schema_is_inferred_from_a_topic_and_accepts_it() {
    let shop = Shop::new();
    let record = |index: i32| {
        let kind = ["new", "paid"][index as usize % 2];
        Some(format!(
            "{{\"kind\":\"{kind}\",\"n\":{index},\"at\":\"2026-11-21T01:02:{:02}Z\",\"date\":\"x\"}}",
            index % 60
        ))
    };
    let mut payloads: Vec<Option<String>> = (0..90).map(record).collect();
    payloads.extend([Some("no json".to_owned()), Some("[]".to_owned()), None]);
    shop.send("orders", 3, &payloads);
    let output = shop.run(&[
        "schema",
        "infer",
        "--topic",
        "orders",
        "--examples",
        "0",
        "--output",
        "orders.json",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.stdout.is_empty());
    for part in [
        "93 events looked at, 90 used (1 not JSON, 1 not a JSON object, 1 tombstones)",
        "not declared: date: \"date\" cannot be a column",
        "schema = \"orders.json\"\nevent_time = \"at\"",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let schema: Value = serde_json::from_str(&read(&shop, "orders.json")).expect("JSON");
    assert_eq!(
        schema["properties"]["kind"],
        serde_json::json!({"enum": ["new", "paid"]})
    );
    assert_eq!(schema["required"], serde_json::json!(["kind", "n", "at"]));
    let again = shop
        .command(&[
            "schema",
            "infer",
            "--topic",
            "orders",
            "--examples",
            "0",
            "--output",
            "orders.json",
        ])
        .output()
        .expect("the program starts");
    assert_eq!(again.status.code(), Some(2), "a schema is never overwritten");

    let events: String = payloads[..90]
        .iter()
        .flatten()
        .map(|payload| format!("{payload}\n"))
        .collect();
    std::fs::write(shop.folder.path().join("orders.jsonl"), events).expect("written");
    let from_file = shop.run(&["schema", "infer", "orders.jsonl", "--examples", "0"]);
    assert_eq!(
        String::from_utf8_lossy(&from_file.stdout),
        read(&shop, "orders.json"),
        "a file's title is its name"
    );
    shop.run(&["schema", "check", "orders.json", "orders.jsonl"]);
    std::fs::write(shop.folder.path().join("none.jsonl"), "1\n").expect("written");
    let none = shop
        .command(&["schema", "infer", "none.jsonl"])
        .output()
        .expect("the program starts");
    assert_eq!((none.status.code(), none.stdout.len()), (Some(1), 0));
}

fn read(shop: &Shop, file: impl AsRef<Path>) -> String {
    std::fs::read_to_string(shop.folder.path().join(file)).expect("readable")
}
