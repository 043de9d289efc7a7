//! The situations in which the program is made to die: a lake, a broker with records to land, and what must come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use eventlake_core::commit::{FileKey, FileSet};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::compaction::{compact_one_hour_and_drop_another, rows_of};
use super::crash::{assert_holds, fold_of, root};
use crate::cluster::Cluster;
use crate::events::{SCHEMA, mixed_stream};
use crate::producer::{Sent, Verdict, produce};
use crate::wait::until;
use crate::workspace::{Ended, Topic, Workspace};

pub const TOPIC: &str = "seams";
pub const TABLE: &str = "seams";
const REPLAY: &[&str] = &["rejected", "replay"];
const PARTITIONS: i32 = 2;
/// Over two hours of event time, with broken records and a tombstone.
const RECORDS: i64 = 120;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `eventlake ingest --until-end`.
    UntilEnd,
    /// The daemon, until the group takes partitions from it.
    Revoked,
    /// `eventlake rejected replay`.
    Replay,
}

pub struct Scenario {
    pub name: &'static str,
    /// For the table in the documentation.
    pub what: &'static str,
    /// What each run starts from.
    pub space: Workspace,
    /// Further failpoints of the run that is to die.
    pub faults: &'static str,
    /// It starts from a crash: everything it does is recovery, to be cut short as well.
    pub is_recovery: bool,
    /// Files are missing from its lake, and are written again from Kafka.
    pub rewrites: bool,
    pub way: Way,
    /// What was sent, a generation each.
    sent: Vec<Vec<Sent>>,
    /// Positions of rows that its lake no longer has.
    gone: BTreeSet<(i32, i64)>,
    cluster: Arc<Cluster>,
}

/// How each scenario is prepared, in the order in which a seam looks for one that reaches it.
pub fn all() -> Vec<fn() -> Scenario> {
    vec![
        first_start,
        young,
        grown,
        || crashed("crashed while staging", "staged-file:write:during#2"),
        || crashed("crashed while committing", "commit:write:during"),
        || crashed("crashed after the commit", "commit:link:after"),
        || crashed("crashed in a rename of two steps", "publish:rename:during"),
        file_gone,
        compacted,
        recreated,
        revoked,
        replayed,
        || faulty("a write fails", "staged-file:write:before=eio"),
        || faulty("a reply gets lost", "manifest:link:after=eexist"),
        || faulty("an assignment is refused", "take-assignment=eio"),
    ]
}

impl Scenario {
    /// Runs the program as the scenario has it; with orders to die, until then.
    pub fn run(&self, space: &Workspace, orders: &str) -> Ended {
        match self.way {
            Way::UntilEnd => space.ingest_until_end_with(orders),
            Way::Revoked => run_until_revoked(space, &self.cluster, orders),
            Way::Replay => space.run_with(REPLAY, orders),
        }
    }

    /// What whoever finds the program dead does: starts it again. Gives back what it said.
    pub fn recover(&self, space: &Workspace) -> String {
        if self.way == Way::Replay {
            space.run(REPLAY).expect_code(0);
        }
        space.ingest_until_end().expect_code(0).stderr
    }

    /// How often an undisturbed run reaches each seam; it must also leave an exact lake.
    pub fn trace(&self) -> BTreeMap<String, u64> {
        let space = self.space.copy();
        let trace = space.path("trace");
        let ended = self.run(&space, &format!("trace={};{}", trace.display(), self.faults));
        assert_eq!(ended.code, Some(0), "{}:\n{}", self.name, ended.stderr);
        if self.way == Way::Replay {
            // It proposes; whoever ingests carries it out.
            self.recover(&space);
        }
        self.assert_exact(&space);
        let mut reached = BTreeMap::new();
        for name in fs::read_to_string(trace).expect("a trace was written").lines() {
            *reached.entry(name.to_owned()).or_default() += 1;
        }
        reached
    }

    pub fn assert_exact(&self, space: &Workspace) {
        assert_holds(space, &self.sent, &self.gone);
    }

    /// Seams that decide something in each scenario of its own: they are struck in all of them.
    pub fn turns_at(&self, place: &str) -> bool {
        [
            "commit:link:",
            "publish:rename:",
            "publish-anew:rename:",
            "stage-names:sync-folder:after",
        ]
        .iter()
        .any(|turn| place.starts_with(turn))
    }

    fn on(name: &'static str, what: &'static str, lake: Lake) -> Scenario {
        let Lake { space, cluster, sent } = lake;
        Scenario {
            name,
            what,
            space,
            faults: "",
            is_recovery: false,
            rewrites: false,
            way: Way::UntilEnd,
            sent: vec![sent],
            gone: BTreeSet::new(),
            cluster,
        }
    }
}

/// A lake, and the broker it grows from.
struct Lake {
    space: Workspace,
    cluster: Arc<Cluster>,
    sent: Vec<Sent>,
}

impl Lake {
    /// Nothing has run yet.
    fn new() -> Lake {
        let cluster = Cluster::builtin();
        cluster.create_topic(TOPIC, PARTITIONS);
        let topic = Topic::new(TOPIC, TABLE).with("event_time = \"at\"");
        let mut space = Workspace::in_memory(&cluster, vec![topic]);
        space.lake_settings = "snapshot_every = 1\nlog_retention = \"0s\"\n".to_owned();
        Lake {
            space,
            cluster: Arc::new(cluster),
            sent: Vec::new(),
        }
    }

    /// Sends the same events once more: they land in the same hours.
    fn send(&mut self) {
        let sent = produce(&self.cluster, TOPIC, mixed_stream(0, RECORDS, PARTITIONS));
        self.sent.extend(sent);
    }

    fn land(&self) {
        self.space.ingest_until_end().expect_code(0);
    }

    /// Has landed three rolls and has records to land.
    fn grown() -> Lake {
        Lake::after(3)
    }

    fn after(rolls: u32) -> Lake {
        let mut lake = Lake::new();
        for _ in 0..rolls {
            lake.send();
            lake.land();
        }
        lake.send();
        lake
    }
}

fn first_start() -> Scenario {
    let mut lake = Lake::new();
    lake.send();
    Scenario::on("first start", "an empty lake takes its first roll", lake)
}

fn young() -> Scenario {
    let what = "a lake takes its second roll, and commits are deleted for the first time";
    Scenario::on("second roll", what, Lake::after(1))
}

fn grown() -> Scenario {
    let what = "a lake takes another roll, writes a snapshot, deletes old ones and old commits";
    Scenario::on("roll", what, Lake::grown())
}

fn crashed(name: &'static str, at: &'static str) -> Scenario {
    let lake = Lake::grown();
    let ended = lake.space.ingest_until_end_with(&format!("{at}=abort"));
    assert_eq!(ended.code, None, "{}", ended.stderr);
    Scenario {
        is_recovery: true,
        ..Scenario::on(name, "recovery from that", lake)
    }
}

fn file_gone() -> Scenario {
    let lake = Lake::grown();
    for set in [FileSet::Accepted, FileSet::Rejected] {
        let file = crate::lake::files(&root(&lake.space, set).join(TABLE)).remove(0);
        fs::remove_file(file).expect("a file can be removed");
    }
    Scenario {
        rewrites: true,
        ..Scenario::on(
            "rewrite",
            "committed files are gone and are written again from Kafka",
            lake,
        )
    }
}

/// Another writer has committed a compaction and a removal by retention, and died before it carried them out.
fn compacted() -> Scenario {
    let lake = Lake::grown();
    let removed: Vec<FileKey> = compact_one_hour_and_drop_another(&lake.space);
    let gone = removed.iter().flat_map(|key| rows_of(&lake.space, key)).collect();
    Scenario {
        gone,
        is_recovery: true,
        ..Scenario::on(
            "exchange",
            "a compaction and a removal by retention are committed and not carried out",
            lake,
        )
    }
}

fn recreated() -> Scenario {
    let mut first = Lake::grown();
    first.land();
    let mut second = Lake::new();
    second.send();
    first.space.brokers = second.space.brokers.clone();
    let sent = vec![first.sent, second.sent];
    Scenario {
        sent,
        ..Scenario::on(
            "generation",
            "the topic was deleted and created again",
            Lake {
                space: first.space,
                cluster: second.cluster,
                sent: Vec::new(),
            },
        )
    }
}

fn revoked() -> Scenario {
    let mut lake = Lake::grown();
    lake.space.roll_interval = "1h";
    Scenario {
        way: Way::Revoked,
        ..Scenario::on(
            "revoke",
            "a second member of the group takes partitions with buffered records",
            lake,
        )
    }
}

/// A schema was mended, and some rejected records pass it now.
fn replayed() -> Scenario {
    let mut lake = Lake::grown();
    lake.land();
    let schema = lake.space.path("config/schemas/events.schema.json");
    let mended = SCHEMA.replace("\"odd\",", "\"odd\", \"other\",");
    assert_ne!(mended, SCHEMA);
    fs::write(schema, mended).expect("the schema can be written");
    let mut moved = 0;
    for sent in &mut lake.sent {
        if sent.record.verdict == Verdict::Rejected("enum") {
            sent.record.verdict = Verdict::Accepted;
            moved += 1;
        }
    }
    assert!(moved > 0, "no record was rejected for its kind");
    Scenario {
        way: Way::Replay,
        ..Scenario::on(
            "replay",
            "`rejected replay` lands what a mended schema accepts",
            lake,
        )
    }
}

fn faulty(name: &'static str, faults: &'static str) -> Scenario {
    Scenario {
        faults,
        ..Scenario::on(name, "and is tried again", Lake::grown())
    }
}

/// A plain consumer that joins a group and takes part of its partitions, until it is dropped.
struct Intruder {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Intruder {
    fn join(cluster: &Cluster, group: &str) -> Intruder {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.brokers())
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "2000")
            .set("heartbeat.interval.ms", "400")
            .create()
            .expect("a consumer can be made");
        consumer.subscribe(&[TOPIC]).expect("a consumer can subscribe");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                drop(consumer.poll(Duration::from_millis(50)));
            }
        });
        Intruder {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Intruder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the intruder does not panic");
        }
    }
}

/// The daemon holds everything in its buffers when the group wants partitions back. It dies, or it is stopped when all has
/// landed.
fn run_until_revoked(space: &Workspace, cluster: &Cluster, orders: &str) -> Ended {
    let before = fold_of(space).map_or(0, |fold| fold.number().0);
    let mut ingester = space.ingest_with(orders);
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let wanted = RECORDS as f64;
    until("all is buffered", Duration::from_secs(40), || {
        !ingester.is_running() || ingester.metric("eventlake_consumed_records_total") >= wanted
    });
    let intruder = Intruder::join(cluster, &space.group);
    let mut alive = true;
    until(
        "the revoked partitions are rolled",
        Duration::from_secs(40),
        || {
            alive = ingester.is_running();
            let revoked = ingester.log().contains("partitions revoked");
            !alive || revoked && fold_of(space).is_some_and(|fold| fold.number().0 > before)
        },
    );
    if alive {
        ingester.terminate();
    }
    drop(intruder);
    ingester.into_ended(Duration::from_secs(40))
}
