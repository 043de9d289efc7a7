//! What Kafka or the disk no longer has: found, explained, and never taken for landed.

use std::fs;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::events::{assert_landed, assert_rows_are, mixed_stream};
use crate::lake::{by_position, files, rows};
use crate::landing::assert_exactly;
use crate::log::assert_log_matches_lake;
use crate::producer::{Sent, TestProducer, produce};
use crate::wait::until;
use crate::workspace::{Topic, Workspace};

/// Retention has passed the checkpoint. `fail` stops and changes nothing, `record` says how much is lost and goes on.
pub fn retention_past_the_checkpoint_is_data_loss(cluster: &Cluster) {
    let topic = cluster.topic("expired");
    cluster.create_topic(&topic, 1);
    let mut space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "expired").with("event_time = \"at\"")],
    );
    let producer = TestProducer::new(cluster, &topic);
    let first = producer.send_all(mixed_stream(0, 300, 1));
    space.ingest_until_end().expect_code(0);
    let all = producer.send_all(mixed_stream(300, 500, 1));
    cluster.delete_records(&topic, 0, 450);

    let before = (space.contents("data"), space.contents("checkpoints"));
    space
        .ingest_until_end()
        .expect_code(3)
        .expect_said(&[&topic, "300", "450", "hint", "on_data_loss"]);
    assert!(
        before == (space.contents("data"), space.contents("checkpoints")),
        "a refusal changed the lake"
    );
    assert_exactly(&space, &topic, "expired", &first);

    space.on_data_loss = "record";
    space.ingest_until_end().expect_code(0);
    let kept: Vec<Sent> = all
        .into_iter()
        .filter(|sent| sent.offset < 300 || sent.offset >= 450)
        .collect();
    assert_landed(&space, "expired", &kept);
    let folded = assert_log_matches_lake(&space, &topic, "expired");
    assert_eq!(folded.lost, 150, "offsets 300 to 449 are on record as lost");
}

pub fn a_topic_created_again_is_a_new_generation(cluster: &Cluster) {
    let topic = cluster.topic("reborn");
    cluster.create_topic(&topic, 2);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "reborn").with("event_time = \"at\"")],
    );
    let first = produce(cluster, &topic, mixed_stream(0, 400, 2));
    space.ingest_until_end().expect_code(0);
    cluster.delete_topic(&topic);
    cluster.create_topic(&topic, 2);
    // More records than before: by their offsets alone the checkpoint would look fine.
    let second = produce(cluster, &topic, mixed_stream(7000, 900, 2));
    space.ingest_until_end().expect_code(0);
    assert_two_generations(&space, &topic, "reborn", &first, &second);
}

pub fn a_topic_created_again_under_a_running_daemon_is_a_new_generation(cluster: &Cluster) {
    let topic = cluster.topic("swapped");
    cluster.create_topic(&topic, 2);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "swapped").with("event_time = \"at\"")],
    );
    let first = produce(cluster, &topic, mixed_stream(0, 400, 2));
    let ingester = space.ingest();
    until("the first life has landed", Duration::from_secs(40), || {
        rows(&space.table("swapped")).len() + rows(&space.rejected("swapped")).len() == landing_rows(&first)
    });
    cluster.delete_topic(&topic);
    cluster.create_topic(&topic, 2);
    let second = produce(cluster, &topic, mixed_stream(7000, 900, 2));
    until("the second life has landed", Duration::from_secs(60), || {
        rows(&space.table("swapped")).len() + rows(&space.rejected("swapped")).len()
            == landing_rows(&first) + landing_rows(&second)
    });
    ingester.terminate();
    assert_eq!(ingester.wait(Duration::from_secs(20)), Some(0));
    assert_two_generations(&space, &topic, "swapped", &first, &second);
}

fn landing_rows(sent: &[Sent]) -> usize {
    sent.iter().filter(|sent| sent.record.payload.is_some()).count()
}

#[track_caller]
fn assert_two_generations(space: &Workspace, topic: &str, table: &str, first: &[Sent], second: &[Sent]) {
    let folded = assert_log_matches_lake(space, topic, table);
    assert_eq!(folded.generations.len(), 2, "{:?}", folded.generations);
    assert_eq!(folded.generations[1]["reason"], "topic_recreated");
    for (generation, sent) in folded.generations.iter().zip([first, second]) {
        let id = generation["topic_id"].as_str().expect("a topic id");
        let of_it = |folder| {
            by_position(
                rows(folder)
                    .into_iter()
                    .filter(|row| row.topic_id() == id)
                    .collect(),
            )
        };
        assert_rows_are(sent, of_it(&space.table(table)), of_it(&space.rejected(table)));
    }
}

/// A data file is gone. While Kafka still has its records it is written again, under a new name, by a replace commit.
pub fn a_file_that_is_gone_is_written_again(cluster: &Cluster) {
    let topic = cluster.topic("healed");
    cluster.create_topic(&topic, 2);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "healed").with("event_time = \"at\"")],
    );
    let mut sent = produce(cluster, &topic, mixed_stream(0, 600, 2));
    space.ingest_until_end().expect_code(0);
    let gone = files(&space.table("healed"))[0].clone();
    fs::remove_file(&gone).expect("a file can be removed");
    let name = gone.file_name().expect("named").to_string_lossy().into_owned();
    sent.extend(produce(cluster, &topic, mixed_stream(600, 100, 2)));
    space.ingest_until_end().expect_code(0).expect_said(&[&name]);
    assert_exactly(&space, &topic, "healed", &sent);
    assert!(!gone.exists(), "a name was used again");
}

/// ... and where Kafka no longer has them, that is data loss: said, with the file and the remedy, and nothing changes.
/// Put back from a backup, the topic goes on.
pub fn a_file_that_is_gone_from_kafka_too_is_data_loss(cluster: &Cluster) {
    let topic = cluster.topic("gone");
    cluster.create_topic(&topic, 1);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "gone").with("event_time = \"at\"")],
    );
    let sent = produce(cluster, &topic, mixed_stream(0, 600, 1));
    space.ingest_until_end().expect_code(0);
    let gone = files(&space.table("gone"))[0].clone();
    let bytes = fs::read(&gone).expect("a file can be read");
    fs::remove_file(&gone).expect("a file can be removed");
    cluster.delete_records(&topic, 0, 600);
    let landed = |space: &Workspace| (space.contents("data/parquet/gone"), space.commits(&topic));
    let before = landed(&space);
    let name = gone.file_name().expect("named").to_string_lossy().into_owned();
    space
        .ingest_until_end()
        .expect_code(3)
        .expect_said(&[&topic, &name, "hint"]);
    assert!(before == landed(&space), "a refusal changed the lake");
    fs::write(&gone, bytes).expect("a file can be put back");
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "gone", &sent);
}

/// The cluster came back from an older copy of its disk: the checkpoint is ahead of the topic's end.
pub fn a_checkpoint_ahead_of_the_topic_is_data_loss(cluster: &Cluster) {
    let topic = cluster.topic("rewound");
    cluster.create_topic(&topic, 1);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "rewound").with("event_time = \"at\"")],
    );
    produce(cluster, &topic, mixed_stream(0, 200, 1));
    cluster.stop();
    let (live, copy) = (cluster.folder().join("logs"), cluster.folder().join("copy"));
    copy_folder(&live, &copy);
    cluster.start();
    produce(cluster, &topic, mixed_stream(200, 200, 1));
    space.ingest_until_end().expect_code(0);
    cluster.stop();
    fs::remove_dir_all(&live).expect("the broker's folder can be removed");
    fs::rename(&copy, &live).expect("the copy can take its place");
    cluster.start();

    let before = (space.contents("data"), space.contents("checkpoints"));
    space
        .ingest_until_end()
        .expect_code(3)
        .expect_said(&[&topic, "400", "200", "hint"]);
    assert!(
        before == (space.contents("data"), space.contents("checkpoints")),
        "a refusal changed the lake"
    );
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        let target = to.join(path.file_name().expect("named"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file can be copied");
        }
    }
}

/// A broker that goes away is retried with a clear line, not a storm of them, and the daemon goes on when it is back.
pub fn a_broker_that_goes_away_is_waited_for(cluster: &Cluster) {
    let topic = cluster.topic("patient");
    cluster.create_topic(&topic, 2);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "patient").with("event_time = \"at\"")],
    );
    let mut sent = produce(cluster, &topic, mixed_stream(0, 500, 2));
    let mut ingester = space.ingest();
    until("the first records have landed", Duration::from_secs(40), || {
        rows(&space.table("patient")).len() + rows(&space.rejected("patient")).len() == landing_rows(&sent)
    });
    cluster.crash();
    until("the daemon says so", Duration::from_secs(20), || {
        ingester.log().contains(cluster.brokers())
    });
    std::thread::sleep(Duration::from_secs(5));
    assert!(ingester.is_running(), "it ended with its broker");
    let lines = ingester
        .log()
        .lines()
        .filter(|line| line.contains(cluster.brokers()) || line.contains("WARN"))
        .count();
    assert!(
        lines <= 6,
        "{lines} lines about one broker that is away:\n{}",
        ingester.log()
    );
    cluster.start();
    sent.extend(produce(cluster, &topic, mixed_stream(500, 500, 2)));
    until("the later records have landed", Duration::from_secs(60), || {
        rows(&space.table("patient")).len() + rows(&space.rejected("patient")).len() == landing_rows(&sent)
    });
    ingester.terminate();
    assert_eq!(ingester.wait(Duration::from_secs(20)), Some(0));
    assert_exactly(&space, &topic, "patient", &sent);
}
