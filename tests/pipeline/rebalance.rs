//! Writers that come and go: what stays with a writer is left alone, by every way of handing partitions over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::crashes::send_until;
use crate::events::mixed_stream;
use crate::landing::assert_exactly;
use crate::log::fold;
use crate::producer::{Sent, TestProducer, produce};
use crate::wait::{StopWhenDropped, until};
use crate::workspace::{Ingester, Topic, Workspace};

const PARTITIONS: i32 = 12;
const WAIT: Duration = Duration::from_secs(60);

fn space_of(cluster: &Cluster, base: &str, partitions: i32) -> (Workspace, String) {
    let topic = cluster.topic(base);
    cluster.create_topic(&topic, partitions);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, base).with("event_time = \"at\"")],
    );
    (space, topic)
}

#[track_caller]
fn until_assigned(writers: &[(&Ingester, i32)]) {
    until("each writer has its partitions", WAIT, || {
        writers
            .iter()
            .all(|(writer, count)| writer.metric("eventlake_assigned_partitions") == f64::from(*count))
    });
}

/// The partitions of which anything has landed.
fn landed(space: &Workspace, topic: &str) -> BTreeSet<i64> {
    let folded = fold(space, topic);
    let past = folded.next.iter().filter(|(_, next)| **next > 0);
    past.map(|(partition, _)| *partition).collect()
}

fn rows_of(sent: &[Sent], partitions: impl Fn(i64) -> bool) -> f64 {
    let rows = sent
        .iter()
        .filter(|sent| sent.record.payload.is_some() && partitions(i64::from(sent.record.partition)));
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let count = rows.count() as f64;
    count
}

#[track_caller]
fn terminate(writers: Vec<Ingester>) {
    for writer in &writers {
        // Before that it does not listen to signals yet.
        until("it has begun", WAIT, || writer.log().contains("lands in"));
        writer.terminate();
    }
    for writer in writers {
        assert_eq!(writer.wait(Duration::from_secs(40)), Some(0));
    }
}

/// Nobody rolls by time here: what lands, lands because its partition went. What stayed is read once and stays buffered.
pub fn what_a_writer_retains_is_left_alone(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "retained", PARTITIONS);
    space.roll_interval = "1h";
    let mut sent = produce(cluster, &topic, mixed_stream(0, 1200, PARTITIONS));
    let first = space.ingest();
    until("the first writer has read everything", WAIT, || {
        first.metric("eventlake_consumed_records_total") >= 1200.0
    });
    assert_eq!(landed(&space, &topic), BTreeSet::new());

    let second = space.ingest();
    until_assigned(&[(&first, 6), (&second, 6)]);
    let went = landed(&space, &topic);
    assert_eq!(went.len(), 6, "what went has landed, and nothing else: {went:?}");

    let third = space.ingest();
    until_assigned(&[(&first, 4), (&second, 4), (&third, 4)]);
    let went = landed(&space, &topic);
    assert_eq!(went.len(), 8, "two more have gone: {went:?}");
    let retained = |writer: &Ingester, what: &str| {
        let buffered = rows_of(&sent, |partition| !went.contains(&partition));
        until(what, Duration::from_secs(5), || {
            writer.metric("eventlake_buffered_rows") == buffered
        });
        assert_eq!(
            writer.metric("eventlake_consumed_records_total"),
            1200.0,
            "{what}"
        );
        assert_eq!(writer.metric("eventlake_rewinds_total"), 0.0, "{what}");
    };
    retained(&first, "two have joined: the first still holds what it retained");

    terminate(vec![second]);
    until_assigned(&[(&first, 6), (&third, 6)]);
    assert_eq!(landed(&space, &topic), went, "nothing went when one left");
    retained(&first, "one has left: the first still holds what it retained");

    let more = produce(cluster, &topic, mixed_stream(1200, 600, PARTITIONS));
    until("both have read on", WAIT, || {
        let read = [&first, &third].map(|writer| writer.metric("eventlake_consumed_records_total"));
        read[0] + read[1] >= 1800.0
    });
    terminate(vec![first, third]);
    sent.extend(more);
    assert_exactly(&space, &topic, "retained", &sent);
}

/// When a record was confirmed, in microseconds since 1970, by partition and offset.
type Confirmed = BTreeMap<(i32, i64), i64>;

fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("this century")
}

fn send_on_the_clock(stop: &AtomicBool, cluster: &Cluster, topic: &str) -> (Vec<Sent>, Confirmed) {
    let producer = TestProducer::new(cluster, topic);
    let (mut confirmed, mut number, mut sent) = (Confirmed::new(), 0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let batch = producer.send_all(mixed_stream(number, 24, PARTITIONS));
        producer.take_account();
        let now = now_micros();
        confirmed.extend(
            batch
                .iter()
                .map(|sent| ((sent.record.partition, sent.offset), now)),
        );
        sent.extend(batch);
        number += 24;
        thread::sleep(Duration::from_millis(50));
    }
    (sent, confirmed)
}

/// How long each record took from its confirmation to its commit, with the writer that committed it.
fn delays(space: &Workspace, topic: &str, confirmed: &Confirmed) -> Vec<(i32, String, Duration)> {
    let mut delays = Vec::new();
    for path in space.commits(topic) {
        let commit: Value = serde_json::from_str(&fs::read_to_string(path).expect("read")).expect("a commit");
        let time = commit["time"].as_str().expect("a time");
        let at = DateTime::parse_from_rfc3339(time)
            .expect("a time")
            .timestamp_micros();
        for taken in commit["append"]["partitions"].as_array().into_iter().flatten() {
            let number = |name: &str| taken[name].as_i64().expect("a number");
            let partition = i32::try_from(number("partition")).expect("small");
            for (_, since) in confirmed.range((partition, number("from"))..(partition, number("next"))) {
                let took = Duration::from_micros(u64::try_from(at - since).unwrap_or(0));
                delays.push((partition, commit["writer"].to_string(), took));
            }
        }
    }
    delays
}

/// A writer joins and one leaves, with a session of half a minute: whoever waited for that would be seen.
pub fn a_rebalance_costs_no_freshness_beyond_a_roll(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "fresh", PARTITIONS);
    space.roll_interval = "2s";
    space.kafka_properties = "\"session.timeout.ms\" = \"30000\"\n".to_owned();
    let roll = Duration::from_secs(2);
    let stop = AtomicBool::new(false);
    let (sent, confirmed, started, rebalance) = thread::scope(|scope| {
        let sender = scope.spawn(|| send_on_the_clock(&stop, cluster, &topic));
        let stopped = StopWhenDropped(&stop);
        let (first, second) = (space.ingest(), space.ingest());
        until_assigned(&[(&first, 6), (&second, 6)]);
        until("the start is behind them", WAIT, || {
            landed(&space, &topic).len() == 12
        });
        thread::sleep(roll);
        let (began, started) = (Instant::now(), now_micros());
        let third = space.ingest();
        until_assigned(&[(&first, 4), (&second, 4), (&third, 4)]);
        let joined = began.elapsed();
        thread::sleep(2 * roll);
        let began = Instant::now();
        terminate(vec![second]);
        until_assigned(&[(&first, 6), (&third, 6)]);
        let rebalance = joined.max(began.elapsed());
        thread::sleep(2 * roll);
        drop(stopped);
        let (sent, confirmed) = sender.join().expect("the sender does not panic");
        terminate(vec![first, third]);
        (sent, confirmed, started, rebalance)
    });
    assert_exactly(&space, &topic, "fresh", &sent);
    // Before that, records waited for the first assignment.
    let settled: Confirmed = confirmed.into_iter().filter(|(_, at)| *at > started).collect();
    let delays = delays(&space, &topic, &settled);
    let mut writers: BTreeMap<i32, BTreeSet<&String>> = BTreeMap::new();
    for (partition, writer, _) in &delays {
        writers.entry(*partition).or_default().insert(writer);
    }
    let slowest = |retained: bool| {
        let of = delays
            .iter()
            .filter(|(partition, ..)| (writers[partition].len() == 1) == retained);
        of.map(|(.., took)| *took).max().unwrap_or_default()
    };
    let (stayed, moved) = (slowest(true), slowest(false));
    println!("a roll every {roll:?}, rebalance {rebalance:?}: retained {stayed:?}, moved {moved:?}");
    let slack = Duration::from_secs(2);
    assert!(
        stayed > Duration::ZERO && moved > Duration::ZERO,
        "both kinds are there"
    );
    assert!(stayed <= roll + slack, "retained partitions waited {stayed:?}");
    assert!(
        moved <= roll + rebalance + slack,
        "moved partitions waited {moved:?}"
    );
}

/// Three writers under load: one joins late, one is killed, one leaves.
fn come_and_go(cluster: &Cluster, space: &Workspace, topic: &str, named: bool) -> Vec<Sent> {
    let names = ["a", "b", "c"];
    let start = |number: usize| {
        let variable = ("EVENTLAKE_KAFKA_PROPERTIES_GROUP_INSTANCE_ID", names[number]);
        space.ingest_as(if named {
            std::slice::from_ref(&variable)
        } else {
            &[]
        })
    };
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(&stop, cluster, topic, PARTITIONS));
        let stopped = StopWhenDropped(&stop);
        let (first, second) = (start(0), start(1));
        until_assigned(&[(&first, 6), (&second, 6)]);
        let third = start(2);
        until_assigned(&[(&first, 4), (&second, 4), (&third, 4)]);
        second.kill();
        until_assigned(&[(&first, 6), (&third, 6)]);
        let second = start(1);
        until_assigned(&[(&first, 4), (&second, 4), (&third, 4)]);
        terminate(vec![first]);
        until_assigned(&[(&second, 6), (&third, 6)]);
        drop(stopped);
        let sent = sender.join().expect("the sender does not panic");
        terminate(vec![second, third]);
        sent
    })
}

pub fn writers_come_and_go_under_the_eager_protocol(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "eager", PARTITIONS);
    space.kafka_properties = "\"partition.assignment.strategy\" = \"range\"\n".to_owned();
    let sent = come_and_go(cluster, &space, &topic, false);
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "eager", &sent);
}

/// A static member's place is kept for as long as its session, so also one that leaves in order is missed only then.
pub fn writers_come_and_go_as_static_members(cluster: &Cluster) {
    let (space, topic) = space_of(cluster, "static", PARTITIONS);
    let sent = come_and_go(cluster, &space, &topic, true);
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "static", &sent);
}

/// A static member that is back within its session gets what it had, and nobody else notices.
pub fn a_static_member_comes_back_without_a_rebalance(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "back", PARTITIONS);
    space.kafka_properties = "\"session.timeout.ms\" = \"20000\"\n".to_owned();
    let named = |name| space.ingest_as(&[("EVENTLAKE_KAFKA_PROPERTIES_GROUP_INSTANCE_ID", name)]);
    let stop = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(&stop, cluster, &topic, PARTITIONS));
        let stopped = StopWhenDropped(&stop);
        let (first, second) = (named("a"), named("b"));
        until_assigned(&[(&first, 6), (&second, 6)]);
        let told = |writer: &Ingester| writer.log().matches("partitions assigned").count();
        let before = told(&first);
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(700));
        }
        second.kill();
        let second = named("b");
        until_assigned(&[(&first, 6), (&second, 6)]);
        assert_eq!(
            told(&first),
            before,
            "the other one was bothered:\n{}",
            first.log()
        );
        drop(stopped);
        let sent = sender.join().expect("the sender does not panic");
        terminate(vec![first, second]);
        sent
    });
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "back", &sent);
}

/// Two of one name: Kafka fences the older one. It says so and ends, and does not sit there for good.
pub fn a_static_member_whose_name_is_taken_says_so_and_ends(cluster: &Cluster) {
    let (space, topic) = space_of(cluster, "twins", 4);
    let sent = produce(cluster, &topic, mixed_stream(0, 400, 4));
    let named = || space.ingest_as(&[("EVENTLAKE_KAFKA_PROPERTIES_GROUP_INSTANCE_ID", "one")]);
    let first = named();
    until_assigned(&[(&first, 4)]);
    let second = named();
    until_assigned(&[(&second, 4)]);
    until("the first one has said why it ends", WAIT, || {
        first.log().contains("group.instance.id") && first.log().contains("hint")
    });
    assert_eq!(first.wait(Duration::from_secs(20)), Some(3));
    terminate(vec![second]);
    assert_exactly(&space, &topic, "twins", &sent);
}

/// Somebody holds the table's lock while partitions are to be given up: the revoke takes longer than the group allows.
pub fn a_revoke_that_takes_too_long_is_survived(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "slow", PARTITIONS);
    space.kafka_properties = "\"max.poll.interval.ms\" = \"3000\"\n".to_owned();
    space.roll_interval = "1h";
    let mut sent = produce(cluster, &topic, mixed_stream(0, 1200, PARTITIONS));
    let first = space.ingest();
    until("the first writer has read everything", WAIT, || {
        first.metric("eventlake_consumed_records_total") >= 1200.0
    });
    let lock = File::options()
        .create(true)
        .append(true)
        .open(space.path("checkpoints").join(&topic).join("lock"))
        .expect("the lock can be opened");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock can be taken");
    space.roll_interval = "250ms";
    let second = space.ingest();
    until("the group has lost patience with the first writer", WAIT, || {
        first.log().contains("maximum poll interval")
    });
    sent.extend(produce(cluster, &topic, mixed_stream(1200, 1200, PARTITIONS)));
    drop(lock);
    until("both have partitions again", WAIT, || {
        [&first, &second]
            .iter()
            .all(|writer| writer.metric("eventlake_assigned_partitions") == 6.0)
    });
    terminate(vec![first, second]);
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "slow", &sent);
}

/// The signal comes while the member joins, is assigned, or is about to be: librdkafka must not wait for an answer that it lost.
pub fn a_signal_at_any_moment_of_the_start_ends_it(cluster: &Cluster) {
    let (space, topic) = space_of(cluster, "hasty", PARTITIONS);
    let sent = produce(cluster, &topic, mixed_stream(0, 300, PARTITIONS));
    let other = space.ingest();
    until_assigned(&[(&other, PARTITIONS)]);
    let mut slowest = Duration::ZERO;
    for moment in 0..24 {
        let writer = space.ingest();
        until("it has begun", WAIT, || writer.log().contains("lands in"));
        thread::sleep(Duration::from_millis(25 * moment));
        writer.terminate();
        let began = Instant::now();
        assert_eq!(writer.wait(Duration::from_secs(30)), Some(0));
        slowest = slowest.max(began.elapsed());
    }
    println!("the slowest end took {slowest:?}");
    assert!(slowest < Duration::from_secs(9), "an end took {slowest:?}");
    terminate(vec![other]);
    assert_exactly(&space, &topic, "hasty", &sent);
}

/// A backlog that is long enough for queues to be full of records and control records whenever a member comes or goes: those
/// that librdkafka throws away in a rebalance must not move the position it goes on from.
pub fn a_backlog_of_transactions_is_read_while_members_come_and_go(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "ledger", 6);
    space.lake_settings = "roll_size = \"1MiB\"\n".to_owned();
    let kept = send_transactions(cluster, &topic, 6, 200);
    let mut writers = vec![space.ingest(), space.ingest()];
    for round in 0..12_u64 {
        thread::sleep(Duration::from_millis(200 + 150 * (round % 4)));
        if round % 3 == 2 {
            writers.remove(0).kill();
        } else if writers.len() > 2 {
            terminate(vec![writers.remove(0)]);
        }
        writers.push(space.ingest());
    }
    terminate(writers);
    let read = fold(&space, &topic).next.values().sum::<i64>();
    println!(
        "{} records, {read} offsets read when the last had left",
        kept.len()
    );
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "ledger", &kept);
}

/// Sends transactions of one record up to some thousand; gives back the records of those that were committed.
fn send_transactions(cluster: &Cluster, topic: &str, partitions: i32, count: i64) -> Vec<Sent> {
    let id = format!("tx-{topic}");
    let settings = [("transactional.id", id.as_str()), ("linger.ms", "0")];
    let producer = TestProducer::with(cluster, topic, &settings);
    let (mut kept, mut number) = (Vec::new(), 0);
    producer.begin_first_transaction();
    for transaction in 0..count {
        if transaction > 0 {
            producer.begin_transaction();
        }
        let records = 1 + 300 * (transaction % 7);
        producer.send_all(mixed_stream(number, records, partitions));
        number += records;
        let sent = producer.take_account();
        if transaction % 3 == 1 {
            producer.abort_transaction();
        } else {
            producer.commit_transaction();
            kept.extend(sent);
        }
    }
    kept
}

/// A member that falls out of the group before it has answered its assignment is asked for nothing back and is assigned again;
/// what the first assignment still fetches begins behind the checkpoint, and what lies before that is no gap.
pub fn an_assignment_over_one_that_is_fetched_loses_nothing(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "over", 2);
    space.roll_interval = "1h";
    // Under this one librdkafka lets the second assignment take the first one's place without a word.
    space.kafka_properties = "\"partition.assignment.strategy\" = \"range\"\n".to_owned();
    let mut sent = produce(cluster, &topic, mixed_stream(0, 600, 2));
    let (asked, taken) = (space.path("asked"), space.path("taken"));
    let hold = |path| {
        File::create(path)
            .map(drop)
            .expect("the case's folder can be written")
    };
    let let_go = |path| fs::remove_file(path).expect("the case's folder can be written");
    let failpoints = format!(
        "assigned=again;assign-asked=wait@{};take-assignment=wait@{};trace={}",
        asked.display(),
        taken.display(),
        space.path("trace").display()
    );
    let reached = |step: &str| {
        let trace = fs::read_to_string(space.path("trace")).unwrap_or_default();
        trace.lines().filter(|line| *line == step).count()
    };

    hold(&taken);
    let ingester = space.ingest_with(&failpoints);
    until("it is about to take its assignment", WAIT, || {
        reached("take-assignment") == 1
    });
    hold(&asked);
    let_go(&taken);
    until("it is assigned again", WAIT, || reached("assign-asked") == 2);
    until("the first assignment is read to its end", WAIT, || {
        ingester.metric("eventlake_consumed_records_total") >= 600.0
    });
    hold(&taken);
    let_go(&asked);
    until("it is about to take the second", WAIT, || {
        reached("take-assignment") == 2
    });
    sent.extend(produce(cluster, &topic, mixed_stream(600, 200, 2)));
    until("the first assignment's fetch has gone on", WAIT, || {
        ingester.metric("eventlake_rewinds_total") >= 1.0
            || ingester.metric("eventlake_consumed_records_total") >= 800.0
    });
    let_go(&taken);
    until("all of it is read from the checkpoint on", WAIT, || {
        ingester.metric("eventlake_buffered_rows") >= rows_of(&sent, |_| true)
    });
    terminate(vec![ingester]);
    assert_exactly(&space, &topic, "over", &sent);
    assert_eq!(fold(&space, &topic).absent, 0, "Kafka has every offset");
}
