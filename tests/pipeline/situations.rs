//! What happens to a topic while somebody is in the middle of reading it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::events::{assert_landed, assert_rows_are, good, mixed_stream};
use crate::lake::{Row, by_position, rows};
use crate::landing::assert_exactly;
use crate::log::{assert_log_matches_lake, fold};
use crate::producer::{Sent, TestProducer, produce};
use crate::sources::high_watermarks;
use crate::wait::until;
use crate::workspace::{Topic, Workspace};

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

/// Rows of both sets, of one life of the topic.
fn of_life(space: &Workspace, table: &str, topic_id: &str) -> [BTreeMap<(i32, i64), Row>; 2] {
    [space.table(table), space.rejected(table)].map(|folder| {
        let rows = rows(&folder).into_iter().filter(|row| row.topic_id() == topic_id);
        by_position(rows.collect())
    })
}

/// Each partition holds what was sent to it up to some offset, all of it, and nothing else; gives back how many rows that are.
#[track_caller]
fn assert_landed_up_to_somewhere(space: &Workspace, table: &str, topic_id: &str, sent: &[Sent]) -> usize {
    let [accepted, rejected] = of_life(space, table, topic_id);
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for (partition, offset) in accepted.keys().chain(rejected.keys()) {
        let end = last.entry(*partition).or_insert(*offset);
        *end = (*end).max(*offset);
    }
    let count = accepted.len() + rejected.len();
    let read: Vec<Sent> = sent
        .iter()
        .filter(|sent| {
            last.get(&sent.record.partition)
                .is_some_and(|end| sent.offset <= *end)
        })
        .cloned()
        .collect();
    assert_rows_are(&read, accepted, rejected);
    count
}

/// Each life is larger than the one before, so that by its offsets alone a position of the old one would look fine; and the
/// client's metadata are as of the first life.
pub fn a_topic_is_created_again_twice_in_the_middle_of_a_roll(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "phoenix", 2);
    space.roll_interval = "3s";
    space.kafka_properties = "\"topic.metadata.refresh.interval.ms\" = \"300000\"\n".to_owned();
    let ingester = space.ingest();
    let consumed = || ingester.metric("eventlake_consumed_records_total");
    let mut lives = vec![produce(cluster, &topic, mixed_stream(0, 300, 2))];
    until("the first records have landed", WAIT, || {
        rows(&space.table("phoenix")).len() + rows(&space.rejected("phoenix")).len() >= 297
    });
    for (from, count) in [(1000, 1500), (5000, 4000)] {
        let before = consumed();
        let late = produce(cluster, &topic, mixed_stream(from, 200, 2));
        lives.last_mut().expect("one").extend(late);
        until("a roll is open", WAIT, || consumed() >= before + 1.0);
        cluster.delete_topic(&topic);
        cluster.create_topic(&topic, 2);
        lives.push(produce(cluster, &topic, mixed_stream(from + 200, count, 2)));
        until("the new life is being read", WAIT, || {
            fold(&space, &topic).generations.len() == lives.len()
        });
    }
    let last = lives.last().expect("three").clone();
    until("the last life has landed", WAIT, || {
        let folded = fold(&space, &topic);
        folded.next.values().sum::<i64>() == i64::try_from(last.len()).expect("small")
    });
    ingester.terminate();
    assert_eq!(ingester.wait(Duration::from_secs(20)), Some(0));
    let folded = assert_log_matches_lake(&space, &topic, "phoenix");
    assert_eq!(folded.generations.len(), 3, "{:?}", folded.generations);
    assert_eq!(folded.lost, 0);
    let ids: Vec<&str> = folded
        .generations
        .iter()
        .map(|generation| generation["topic_id"].as_str().expect("an id"))
        .collect();
    let first = assert_landed_up_to_somewhere(&space, "phoenix", ids[0], &lives[0]);
    assert!(first >= 297, "what had landed of the first life is still there");
    assert_landed_up_to_somewhere(&space, "phoenix", ids[1], &lives[1]);
    let [accepted, rejected] = of_life(&space, "phoenix", ids[2]);
    assert_rows_are(&last, accepted, rejected);
}

/// Behind the last record there is nothing but an aborted transaction and control records: the checkpoint follows, another
/// writer takes over from there, and what comes later lands.
pub fn an_end_made_of_control_records_is_reached_and_handed_over(cluster: &Cluster) {
    let (space, topic) = space_of(cluster, "trailing", 2);
    let id = format!("tx-{topic}");
    let producer = TestProducer::with(cluster, &topic, &[("transactional.id", &id)]);
    producer.begin_first_transaction();
    let mut kept = producer.send_all(mixed_stream(0, 200, 2));
    producer.take_account();
    producer.commit_transaction();
    let abort = |from| {
        producer.begin_transaction();
        producer.send_all(mixed_stream(from, 100, 2));
        producer.take_account();
        producer.abort_transaction();
    };
    abort(1000);
    let at_the_end = || fold(&space, &topic).next == high_watermarks(cluster, &topic, 2);
    let first = space.ingest();
    until("the checkpoint is the end", WAIT, at_the_end);
    let second = space.ingest();
    until("each has a partition", WAIT, || {
        [&first, &second]
            .iter()
            .all(|writer| writer.metric("eventlake_assigned_partitions") == 1.0)
    });
    abort(2000);
    until("the checkpoint is the new end", WAIT, at_the_end);
    first.terminate();
    assert_eq!(first.wait(Duration::from_secs(20)), Some(0));
    abort(3000);
    producer.begin_transaction();
    kept.extend(producer.send_all(mixed_stream(4000, 100, 2)));
    producer.take_account();
    producer.commit_transaction();
    abort(5000);
    until("the checkpoint is the last end", WAIT, at_the_end);
    second.terminate();
    assert_eq!(second.wait(Duration::from_secs(20)), Some(0));
    assert_exactly(&space, &topic, "trailing", &kept);
    // Four aborted transactions of 100, and a control record a partition for each of the six.
    assert_eq!(fold(&space, &topic).absent, 4 * 100 + 6 * 2);
}

/// The consumer stands still, and records come and go that it never saw: exactly those are lost, and on record as such.
pub fn retention_passes_a_paused_consumer(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "asleep", 1);
    space.on_data_loss = "record";
    let producer = TestProducer::new(cluster, &topic);
    producer.send_all(mixed_stream(0, 300, 1));
    let ingester = space.ingest();
    until("the first records have landed", WAIT, || {
        fold(&space, &topic).next.get(&0) == Some(&300)
    });
    ingester.pause();
    // The fetch that was waiting at the broker is answered, with nothing, before records come.
    std::thread::sleep(Duration::from_secs(1));
    producer.send_all(mixed_stream(300, 500, 1));
    cluster.delete_records(&topic, 0, 600);
    ingester.go_on();
    until("what is left has landed", WAIT, || {
        fold(&space, &topic).next.get(&0) == Some(&800)
    });
    let all = producer.send_all(mixed_stream(800, 100, 1));
    until("what comes later has landed", WAIT, || {
        fold(&space, &topic).next.get(&0) == Some(&900)
    });
    ingester.terminate();
    assert_eq!(ingester.wait(Duration::from_secs(20)), Some(0));
    let kept: Vec<Sent> = all
        .into_iter()
        .filter(|sent| sent.offset < 300 || sent.offset >= 600)
        .collect();
    assert_landed(&space, "asleep", &kept);
    let folded = assert_log_matches_lake(&space, &topic, "asleep");
    assert_eq!(folded.lost, 300, "offsets 300 to 599");
    assert_eq!(folded.absent, 0, "none of it is called absent");
}

/// The ends that the run began with belong to a topic that is no more; it ends where the new one does.
pub fn until_end_does_not_wait_for_a_topic_that_was_created_again_shorter(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "shorter", 2);
    space.roll_interval = "1h";
    produce(
        cluster,
        &topic,
        (0..40_000).map(|n| good(n, i32::try_from(n % 2).expect("small"))),
    );
    let run = space.start(&["ingest", "--until-end"], &[]);
    until("the run has begun", WAIT, || {
        run.log().contains("generation opened")
    });
    run.pause();
    cluster.delete_topic(&topic);
    cluster.create_topic(&topic, 1);
    let second = produce(cluster, &topic, mixed_stream(50_000, 300, 1));
    run.go_on();
    assert_eq!(run.wait(Duration::from_secs(60)), Some(0));
    let folded = assert_log_matches_lake(&space, &topic, "shorter");
    let id = folded.generations.last().expect("two")["topic_id"]
        .as_str()
        .expect("an id");
    let [accepted, rejected] = of_life(&space, "shorter", id);
    assert_rows_are(&second, accepted, rejected);
}

/// ... and with no new one, there is nothing to wait for: said, as a failure.
pub fn until_end_ends_when_a_topic_is_deleted(cluster: &Cluster) {
    let (mut space, topic) = space_of(cluster, "deleted", 2);
    space.roll_interval = "1h";
    produce(
        cluster,
        &topic,
        (0..40_000).map(|n| good(n, i32::try_from(n % 2).expect("small"))),
    );
    let run = space.start(&["ingest", "--until-end"], &[]);
    until("the run has begun", WAIT, || {
        run.log().contains("generation opened")
    });
    run.pause();
    cluster.delete_topic(&topic);
    run.go_on();
    until("it says why it ends", WAIT, || {
        run.log().contains("deleted during this run")
    });
    assert_eq!(run.wait(Duration::from_secs(60)), Some(3));
}
