//! `eventlake query --cluster`: what a scheduler and two executors on this machine answer is what the program answers by itself.

#![allow(clippy::disallowed_methods, reason = "tests")]

#[allow(dead_code, reason = "other cases need more of it")]
#[path = "support/shop.rs"]
mod shop;
#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use eventlake_core::names::{FilePath, StagingPaths, TableName};
use eventlake_engine::kafka::builtin::BuiltinBroker;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use shop::{Ended, Shop, accepted, code_within, shared};
use support::without_settings;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// It reads the lake, and would go on for days.
const ENDLESS: &str = "SELECT count(*) FROM orders a JOIN orders b ON a.id * b.id % 7 < 5 JOIN orders c ON a.id * c.id % 11 < 9";
const TOTALS: &str = "SELECT kind, sum(price) AS total FROM orders GROUP BY kind ORDER BY kind";

/// A scheduler and two executors with a thread each. They end with it.
struct Nodes {
    folder: TempDir,
    url: String,
    running: Vec<(&'static str, Child)>,
}

impl Nodes {
    fn start() -> Nodes {
        let mut nodes = Nodes {
            folder: tempfile::tempdir().expect("a folder"),
            url: String::new(),
            running: Vec::new(),
        };
        let scheduler = ["scheduler", "--listen", "127.0.0.1:0", "--executor-timeout", "8s"];
        nodes.node("scheduler", &scheduler);
        nodes.url = nodes.said("scheduler", "the scheduler is at ");
        let url = nodes.url.clone();
        for name in ["first", "second"] {
            let ports = ["--port", "0", "--task-port", "0"];
            let executor = [
                "executor",
                "--scheduler",
                &url,
                "--threads",
                "1",
                "--memory",
                "256MiB",
            ];
            nodes.node(name, &[&executor[..], &ports].concat());
            nodes.said(name, "the executor is at ");
        }
        nodes
    }

    fn node(&mut self, name: &'static str, arguments: &[&str]) {
        let log = fs::File::create(self.log(name)).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        let command = without_settings(&mut command).arg("cluster").args(arguments);
        let command = command.env("TMPDIR", self.folder.path()).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(log).spawn();
        self.running.push((name, child.expect("the program starts")));
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn logs(&self) -> String {
        let log = |(name, _): &(&str, _)| {
            let text = fs::read_to_string(self.log(name)).unwrap_or_default();
            format!("--- {name}\n{text}")
        };
        self.running.iter().map(log).collect()
    }

    /// The word that a node says behind this, once it does.
    fn said(&mut self, name: &str, before: &str) -> String {
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            let log = fs::read_to_string(self.log(name)).expect("a log");
            let rest = log.split(before).nth(1).filter(|rest| rest.contains('\n'));
            if let Some(word) = rest.and_then(|rest| rest.split([' ', ',', '\n']).next()) {
                return word.to_owned();
            }
            let node = self.running.iter_mut().find(|(known, _)| *known == name);
            let ended = node.expect("it was started").1.try_wait().expect("a child");
            assert!(ended.is_none(), "{name} ended: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{name} says nothing\n{}", self.logs());
    }

    fn command(&self, shop: &Shop, sql: &str) -> Command {
        shop.command(&["query", "--cluster", &self.url, sql, "--json"])
    }

    fn started(&self, shop: &Shop, sql: &str) -> Child {
        let mut query = self.command(shop, sql);
        let child = query.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child.expect("the program starts")
    }

    fn ask(&self, shop: &Shop, sql: &str) -> Ended {
        let child = self.started(shop, sql);
        let process = Pid::from_child(&child);
        let (sender, outputs) = mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let output = outputs.recv_timeout(LIMIT).unwrap_or_else(|_| {
            kill_process(process, Signal::KILL).expect("a signal");
            panic!("{sql} goes on for {LIMIT:?}\n{}", self.logs())
        });
        output.expect("its output").into()
    }

    /// A query that is under way, and will be until somebody ends it.
    #[track_caller]
    fn endless(&self) -> Child {
        let mut child = self.started(shared(), ENDLESS);
        std::thread::sleep(Duration::from_secs(3));
        let ended = child.try_wait().expect("a child");
        assert_eq!(ended, None, "it runs\n{}", self.logs());
        child
    }

    #[track_caller]
    fn rows(&self, shop: &Shop, sql: &str) -> Vec<Value> {
        let ended = self.ask(shop, sql);
        assert_eq!(ended.code, Some(0), "{sql}: {}\n{}", ended.stderr, self.logs());
        let lines = ended.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
            .collect()
    }

    /// The cluster answers as the program does by itself. Rows without an order are compared in one.
    #[track_caller]
    fn agree(&self, shop: &Shop, sql: &str) {
        let (mut here, mut there) = (shop.rows(sql), self.rows(shop, sql));
        assert!(!here.is_empty(), "{sql}: nothing to compare");
        if !sql.contains("ORDER BY") {
            here.sort_by_key(Value::to_string);
            there.sort_by_key(Value::to_string);
        }
        let same =
            here.len() == there.len() && here.iter().zip(&there).all(|(here, there)| same(here, there));
        assert!(same, "{sql}\nhere:  {here:?}\nthere: {there:?}");
    }
}

impl Drop for Nodes {
    /// Executors first, and each by its own process.
    fn drop(&mut self) {
        for (_, child) in self.running.iter_mut().rev() {
            if child.try_wait().expect("a child").is_none() {
                kill_process(Pid::from_child(child), Signal::TERM).expect("a signal");
            }
            let until = Instant::now() + Duration::from_secs(20);
            while child.try_wait().expect("a child").is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            // Whatever it waits for: it ends here.
            let _ = child.kill();
            child.wait().expect("a child");
        }
    }
}

/// Equal values; sums and means of fractions may differ in their last digits, by the order of the additions.
fn same(here: &Value, there: &Value) -> bool {
    match (here, there) {
        (Value::Object(here), Value::Object(there)) => {
            here.keys().eq(there.keys()) && here.iter().all(|(name, value)| same(value, &there[name]))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().expect("a float"), b.as_f64().expect("a float"));
            (a - b).abs() <= 1e-9 * a.abs().max(1.0)
        }
        _ => here == there,
    }
}

/// A lake of clicks and ratings by the program's own generator, as scripts/query_bench.py makes one.
fn bench() -> Shop {
    let broker = BuiltinBroker::start(&[("clicks", 3), ("ratings", 1)]).expect("a broker");
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schemas");
    let topic = |name: &str| {
        let schema = schemas.join(format!("{name}.schema.json"));
        format!(
            "[[topics]]\nname = \"{name}\"\nschema = \"{}\"\nevent_time = \"timestamp\"\n",
            schema.display()
        )
    };
    let topics = format!("{}{}", topic("clicks"), topic("ratings"));
    let shop = Shop::configured(&broker.brokers(), &topics);
    for (name, count) in [("clicks", "60000"), ("ratings", "6000")] {
        let topics = format!("{name}={name}");
        let spread = ["--seed", "7", "--start", "2026-11-01", "--span", "12h"];
        let generate = ["generate", "--topics", &topics, "--count", count];
        let ended = shop.run(&[&generate[..], &spread].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    let ended = shop.run(&["ingest", "--until-end"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    shop
}

/// The queries of scripts/query_bench.py, from there.
fn bench_queries() -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/query_bench.py");
    let script = fs::read_to_string(script).expect("the script");
    let (_, rest) = script.split_once("QUERIES = {\n").expect("the queries");
    let (queries, _) = rest.split_once("\n}").expect("their end");
    // Texts that stand one behind the other are one, in Python.
    let joined = queries.replace("\"\n    \"", "");
    let queries = joined.lines().map(|line| {
        let (_, query) = line.split_once(": \"").expect("a name and a query");
        let query = query.trim_end_matches(['"', ',']);
        query.replace("{date}", "2026-11-01").replace("{hour}", "5")
    });
    queries.collect()
}

#[test]
fn the_queries_of_the_bench_are_answered_as_they_are_here() {
    let (nodes, shop) = (Nodes::start(), bench());
    let queries = bench_queries();
    assert_eq!(queries.len(), 5, "{queries:?}");
    for sql in queries {
        nodes.agree(&shop, &sql);
    }
}

#[test]
fn rows_of_all_kinds_are_answered_as_they_are_here() {
    let nodes = Nodes::start();
    for sql in [
        "SELECT code, field, count(*) AS n FROM rejected.orders GROUP BY code, field",
        "SELECT CAST(payload AS VARCHAR) AS text, payload FROM rejected.orders WHERE _kafka_partition = 1",
        // Folders, offsets and times leave files out.
        "SELECT count(*) AS n, sum(price) AS total, min(_kafka_timestamp) AS first FROM orders WHERE date = '2026-11-21' AND hour = 3",
        "SELECT id, date, hour FROM orders WHERE _kafka_partition = 2 AND _kafka_offset BETWEEN 100 AND 120",
        "SELECT kind, count(*) AS n FROM orders WHERE at >= '2026-11-21T20:00:00Z' AND place['floor'] = 2 GROUP BY kind",
        "SELECT id, at, kind, price, \"userName\", tags, place FROM orders WHERE id % 50 = 3",
        "SELECT date, hour, _kafka_partition AS p, count(DISTINCT \"userName\") AS users, max(at) AS last FROM orders GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "SELECT count(*) AS n FROM orders a JOIN orders b ON a.\"userName\" = b.\"userName\"",
        "SELECT count(*) AS n FROM orders a LEFT JOIN idle b USING (id) WHERE b.id IS NULL",
        "SELECT id, price FROM orders WHERE price = (SELECT max(price) FROM orders) ORDER BY id LIMIT 7",
        "SELECT count(*) AS n FROM orders WHERE id NOT IN (SELECT id FROM orders WHERE kind = 'book')",
        "SELECT kind, id FROM (SELECT kind, id, row_number() OVER (PARTITION BY kind ORDER BY id) AS n FROM orders) WHERE n < 3 ORDER BY kind, id",
        "SELECT kind, id FROM orders WHERE hour = 4 UNION ALL SELECT code, _kafka_offset FROM rejected.orders",
        "WITH t(kind, weight) AS (VALUES ('book', 1), ('game', 2)) SELECT t.weight, count(*) AS n FROM orders JOIN t USING (kind) GROUP BY 1",
    ] {
        nodes.agree(shared(), sql);
    }
    assert!(
        nodes
            .rows(shared(), "SELECT id FROM orders WHERE date = '1999-01-01'")
            .is_empty()
    );
}

#[test]
fn what_reads_no_file_is_answered_without_the_cluster() {
    let shop = shared();
    // Nobody listens there.
    let answered = |sql: &str| shop.run(&["query", "--cluster", "df://127.0.0.1:1", sql, "--json"]);
    for sql in [
        "SELECT 1 AS one",
        "SELECT count(*) AS n FROM orders",
        "DESCRIBE orders",
        "SHOW TABLES",
        "SELECT table_name FROM information_schema.tables",
        "EXPLAIN SELECT kind, count(*) FROM orders GROUP BY kind",
    ] {
        let ended = answered(sql);
        assert_eq!(ended.code, Some(0), "{sql}: {}", ended.stderr);
        assert!(!ended.stdout.is_empty(), "{sql}");
    }
    let ended = answered("SELECT id FROM orders");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("the scheduler at df://127.0.0.1:1: it cannot be reached"),
        "{}",
        ended.stderr
    );
    let ended = shop.run(&["query", "--cluster", "http://127.0.0.1:1", "SELECT 1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("expected a scheduler such as"),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_cannot_go_to_the_cluster_is_refused_with_the_way_out() {
    let nodes = Nodes::start();
    let mixed = "SELECT o.id FROM orders o JOIN information_schema.tables t ON o.kind = t.table_name";
    for (sql, said) in [
        (
            "EXPLAIN ANALYZE SELECT max(id) FROM orders",
            "EXPLAIN ANALYZE measures",
        ),
        (mixed, "the cluster cannot be told a part of the statement"),
        ("SELECT prise FROM orders", "no column prise"),
    ] {
        let ended = nodes.ask(shared(), sql);
        assert_eq!(ended.code, Some(2), "{sql}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(said), "{sql}: {}", ended.stderr);
        assert!(ended.stderr.contains("hint: "), "{sql}: {}", ended.stderr);
    }
    // Found while it runs, there.
    let ended = nodes.ask(shared(), "SELECT CAST(kind AS BIGINT) FROM orders");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("the cluster failed: "), "{}", ended.stderr);
}

#[test]
fn the_snapshot_decides_and_not_the_folder() {
    let nodes = Nodes::start();
    let count = "SELECT count(id + 0) AS n FROM orders";
    let all = [json!({"n": accepted().count()})];
    let shop = shared().copy();
    let files = shop.files("data/parquet");
    fs::copy(&files[0], files[0].with_file_name("stray.parquet")).expect("copied");
    assert_eq!(nodes.rows(&shop, count), all, "a file that no commit names");
    let root = shop.path("data/parquet");
    let relative = files[0].strip_prefix(&root).expect("below the root");
    let path = FilePath::parse(&relative.to_string_lossy()).expect("a data file's name");
    let staged = StagingPaths::new(&root, &TableName::new("orders").expect("a name")).staged(&path);
    fs::create_dir_all(staged.parent().expect("a folder")).expect("made");
    fs::rename(&files[0], &staged).expect("moved");
    assert_eq!(
        nodes.rows(&shop, count),
        all,
        "a committed file without its final name"
    );
    let bytes = fs::read(&files[4]).expect("read");
    fs::write(&files[4], &bytes[..bytes.len() - 1]).expect("written");
    let ended = nodes.ask(&shop, count);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("were committed"), "{}", ended.stderr);
    fs::remove_file(&files[4]).expect("removed");
    let ended = nodes.ask(&shop, count);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("the live file is gone"), "{}", ended.stderr);
}

#[test]
fn ctrl_c_calls_the_job_off() {
    let nodes = Nodes::start();
    let mut child = nodes.endless();
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    assert_eq!(code_within(LIMIT, &mut child), Some(130));
    // Both threads are free again.
    nodes.agree(shared(), TOTALS);
}

#[test]
fn an_executor_that_dies_fails_the_query_and_not_the_next_one() {
    let mut nodes = Nodes::start();
    let mut child = nodes.endless();
    let (_, first) = &mut nodes.running[1];
    first.kill().expect("a child");
    first.wait().expect("a child");
    let code = code_within(LIMIT, &mut child);
    let ended: Ended = child.wait_with_output().expect("a child").into();
    assert_eq!(code, Some(3), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stderr.contains("an executor was lost or left"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "", "no part of an answer");
    // The other one is free for all there is to do.
    nodes.agree(shared(), TOTALS);
}
