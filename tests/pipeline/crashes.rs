//! The daemon is killed, stopped and joined by another at any moment: nothing is lost, nothing is there twice.

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::fs::{FlockOperation, flock};

use crate::cluster::Cluster;
use crate::events::mixed_stream;
use crate::landing::assert_exactly;
use crate::producer::{Sent, TestProducer, produce};
use crate::wait::until;
use crate::workspace::{Ingester, Topic, Workspace};

const BATCH: i64 = 40;

/// Sends until told to stop, about 4,000 records a second.
pub fn send_until(stop: &AtomicBool, cluster: &Cluster, topic: &str, partitions: i32) -> Vec<Sent> {
    let producer = TestProducer::new(cluster, topic);
    let mut from = 0;
    while !stop.load(Ordering::Relaxed) {
        for record in mixed_stream(from, BATCH, partitions) {
            producer.send(record);
        }
        from += BATCH;
        thread::sleep(Duration::from_millis(10));
    }
    producer.flush()
}

fn seed() -> u64 {
    let seed = match std::env::var("EVENTLAKE_TEST_SEED") {
        Ok(text) => text.parse().expect("EVENTLAKE_TEST_SEED is a number"),
        Err(_) => StdRng::from_os_rng().random_range(0..1_000_000),
    };
    println!("EVENTLAKE_TEST_SEED={seed}");
    seed
}

pub fn killed_again_and_again_it_lands_everything_once(cluster: &Cluster) {
    let topic = cluster.topic("killed");
    cluster.create_topic(&topic, 4);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "killed").with("event_time = \"at\"")],
    );
    let mut random = StdRng::seed_from_u64(seed());
    let stop = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(&stop, cluster, &topic, 4));
        let mut productive = 0;
        for kill in 0..6 {
            let before = space.commits(&topic).len();
            let ingester = space.ingest();
            // Every other time it is killed in the middle of its work, otherwise at any moment since its start.
            if kill % 2 == 0 {
                until("a commit", Duration::from_secs(40), || {
                    space.commits(&topic).len() > before
                });
            }
            thread::sleep(Duration::from_millis(random.random_range(0..1200)));
            ingester.kill();
            productive += usize::from(space.commits(&topic).len() > before);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(
            productive >= 3,
            "only {productive} of 6 runs had made a commit: the kills hit nothing"
        );
        sender.join().expect("the sender does not panic")
    });
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "killed", &sent);
}

/// Starts a daemon that would not roll by itself and waits until it has taken everything in.
fn ingester_with_full_buffers(space: &mut Workspace, records: usize) -> Ingester {
    space.roll_interval = "1h";
    let ingester = space.ingest();
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let wanted = records as f64;
    until("everything is buffered", Duration::from_secs(40), || {
        ingester.metric("eventlake_consumed_records_total") >= wanted
    });
    ingester
}

pub fn a_signal_rolls_commits_and_ends_in_success(cluster: &Cluster) {
    let topic = cluster.topic("stopped");
    cluster.create_topic(&topic, 2);
    let mut space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "stopped").with("event_time = \"at\"")],
    );
    let mut sent = produce(cluster, &topic, mixed_stream(0, 1500, 2));
    let ingester = ingester_with_full_buffers(&mut space, sent.len());
    ingester.terminate();
    assert_eq!(ingester.wait(Duration::from_secs(20)), Some(0));
    assert_exactly(&space, &topic, "stopped", &sent);

    let more = produce(cluster, &topic, mixed_stream(1500, 500, 2));
    let ingester = ingester_with_full_buffers(&mut space, more.len());
    ingester.interrupt();
    assert_eq!(ingester.wait(Duration::from_secs(20)), Some(0));
    sent.extend(more);
    assert_exactly(&space, &topic, "stopped", &sent);
}

/// Somebody holds the table lock, so the last commit cannot be published: the first signal waits, a second does not.
pub fn a_second_signal_stops_at_once(cluster: &Cluster) {
    let topic = cluster.topic("impatient");
    cluster.create_topic(&topic, 1);
    let mut space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "impatient").with("event_time = \"at\"")],
    );
    let sent = produce(cluster, &topic, mixed_stream(0, 500, 1));
    let mut ingester = ingester_with_full_buffers(&mut space, sent.len());
    let path = space.path("checkpoints").join(&topic).join("lock");
    let lock = File::options()
        .create(true)
        .append(true)
        .open(path)
        .expect("the lock can be opened");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock can be taken");
    ingester.terminate();
    thread::sleep(Duration::from_millis(1500));
    assert!(
        ingester.is_running(),
        "it stopped without publishing, though it was asked only once"
    );
    ingester.terminate();
    let code = ingester.wait(Duration::from_secs(3));
    assert_ne!(code, Some(0), "a stop that left work undone is no success");
    drop(lock);
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "impatient", &sent);
}

pub fn two_writers_share_a_topic_and_one_dies(cluster: &Cluster) {
    let topic = cluster.topic("shared");
    cluster.create_topic(&topic, 4);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "shared").with("event_time = \"at\"")],
    );
    let stop = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(&stop, cluster, &topic, 4));
        let first = space.ingest();
        until("the first writer commits", Duration::from_secs(40), || {
            space.commits(&topic).len() > 2
        });
        let second = space.ingest();
        until("both writers commit", Duration::from_secs(60), || {
            writers(&space, &topic) >= 2
        });
        first.kill();
        // The second takes over what the first had: commits go on for every partition.
        let third = space.ingest();
        until("the third writer commits", Duration::from_secs(60), || {
            writers(&space, &topic) >= 3
        });
        stop.store(true, Ordering::Relaxed);
        let sent = sender.join().expect("the sender does not panic");
        second.terminate();
        assert_eq!(second.wait(Duration::from_secs(30)), Some(0));
        third.terminate();
        assert_eq!(third.wait(Duration::from_secs(30)), Some(0));
        sent
    });
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "shared", &sent);
}

/// How many writers the appends of a log name.
fn writers(space: &Workspace, topic: &str) -> usize {
    let mut writers = std::collections::BTreeSet::new();
    for path in space.commits(topic) {
        let text = fs::read_to_string(path).expect("a commit can be read");
        let commit: serde_json::Value =
            serde_json::from_str(&text).expect("a commit is whole when it has its name");
        if commit["kind"] == "append" {
            writers.insert(commit["writer"].to_string());
        }
    }
    writers.len()
}

/// Until its session is over the group keeps a dead member's partitions for it: who starts meanwhile waits, and says so.
pub fn who_waits_for_a_dead_member_says_so(cluster: &Cluster) {
    let topic = cluster.topic("mourned");
    cluster.create_topic(&topic, 2);
    let mut space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "mourned").with("event_time = \"at\"")],
    );
    space.kafka_properties = "\"session.timeout.ms\" = \"10000\"\n".to_owned();
    let sent = produce(cluster, &topic, mixed_stream(0, 100, 2));
    let first = space.ingest();
    until("it has its partitions", Duration::from_secs(60), || {
        first.metric("eventlake_assigned_partitions") == 2.0
    });
    first.kill();
    space
        .ingest_until_end()
        .expect_code(0)
        .expect_said(&["waiting for the group to hand out partitions"]);
    assert_exactly(&space, &topic, "mourned", &sent);
}
