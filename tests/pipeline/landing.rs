//! Records land once, with their verdicts, from wherever the configuration says to start.

use std::fs;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::events::{FIRST_MICROS, assert_landed, assert_rows_are, good, mixed_stream};
use crate::lake::{by_position, rows};
use crate::log::assert_log_matches_lake;
use crate::producer::{Sent, TestProducer, Verdict, produce};
use crate::wait::until;
use crate::workspace::{Topic, Workspace};
use serde_json::{Value, json};

/// The checks that hold after any run: rows, counts, files, checkpoint.
#[track_caller]
pub fn assert_exactly(space: &Workspace, topic: &str, table: &str, sent: &[Sent]) {
    assert_landed(space, table, sent);
    let folded = assert_log_matches_lake(space, topic, table);
    let count = |verdict: fn(&Verdict) -> bool| {
        sent.iter().filter(|sent| verdict(&sent.record.verdict)).count() as u64
    };
    assert_eq!(
        folded.accepted,
        count(|verdict| *verdict == Verdict::Accepted),
        "accepted"
    );
    assert_eq!(
        folded.rejected,
        count(|verdict| matches!(verdict, Verdict::Rejected(_))),
        "rejected"
    );
    assert_eq!(
        folded.tombstones,
        count(|verdict| *verdict == Verdict::Tombstone),
        "tombstones"
    );
    assert_eq!(folded.lost, 0, "nothing was lost");
    assert_proven(space, table, sent.len() as u64);
}

/// The program's own proof, from the files alone.
#[track_caller]
fn assert_proven(space: &Workspace, table: &str, sent: u64) {
    let proof = space
        .run(&["verify", "--kafka", "--table", table, "--json"])
        .expect_code(0);
    let proof: Value = serde_json::from_str(&proof.stdout).expect("one JSON object");
    assert_eq!(
        (&proof["verdict"], &proof["kafka_checked"]),
        (&json!("proven"), &json!(true))
    );
    let offsets = &proof["offsets"];
    let landed: u64 = ["accepted", "rejected", "tombstones"]
        .iter()
        .map(|kind| offsets[kind].as_u64().expect("a number"))
        .sum();
    assert_eq!(landed, sent, "{offsets}");
}

pub fn two_topics_land_once_and_idle_runs_change_nothing(cluster: &Cluster) {
    let (first, second) = (cluster.topic("orders"), cluster.topic("visits"));
    cluster.create_topic(&first, 3);
    cluster.create_topic(&second, 2);
    let space = Workspace::new(
        cluster,
        vec![
            Topic::new(&first, "orders").with("event_time = \"at\""),
            Topic::new(&second, "visits").with("event_time = \"at\""),
        ],
    );
    let mut sent = produce(cluster, &first, mixed_stream(0, 3000, 3));
    let others = produce(cluster, &second, mixed_stream(0, 1000, 2));
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &first, "orders", &sent);
    assert_exactly(&space, &second, "visits", &others);

    let before = (space.contents("data"), space.contents("checkpoints"));
    space.ingest_until_end().expect_code(0);
    assert!(
        before == (space.contents("data"), space.contents("checkpoints")),
        "a run with nothing new changed the lake"
    );

    sent.extend(produce(cluster, &first, mixed_stream(3000, 700, 3)));
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &first, "orders", &sent);
    assert_exactly(&space, &second, "visits", &others);
}

pub fn every_compression_reads(cluster: &Cluster) {
    let topic = cluster.topic("compressed");
    cluster.create_topic(&topic, 1);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "compressed").with("event_time = \"at\"")],
    );
    let mut sent = Vec::new();
    for (index, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let producer = TestProducer::with(
            cluster,
            &topic,
            &[("compression.type", codec), ("linger.ms", "50")],
        );
        let from = i64::try_from(index).expect("small") * 400;
        sent.extend(producer.send_all(mixed_stream(from, 400, 1)));
    }
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "compressed", &sent);
}

/// A topic of a kind nobody wrote code for: its schema file and four lines of TOML.
pub fn a_new_topic_is_a_schema_and_four_lines(cluster: &Cluster) {
    let topic = cluster.topic("parcels");
    cluster.create_topic(&topic, 1);
    let space = Workspace::new(cluster, Vec::new());
    space.run(&["check"]);
    fs::write(
        space.path("config/schemas/parcels.schema.json"),
        r#"{"type":"object","required":["parcel","scanned"],"properties":{"parcel":{"type":"string","pattern":"^P[0-9]+$"},
            "scanned":{"type":"integer"},"stops":{"type":"array","items":{"type":"object","properties":{"city":{"type":"string"}}}}}}"#,
    )
    .expect("the case's folder can be written");
    let file = space.path("config/eventlake.toml");
    let mut text = fs::read_to_string(&file).expect("it was just written");
    text.push_str(&format!(
        "\n[[topics]]\nname = \"{topic}\"\nschema = \"schemas/parcels.schema.json\"\n\
         event_time = \"scanned\"\nevent_time_unit = \"s\"\n"
    ));
    fs::write(&file, text).expect("the case's folder can be written");

    let at = FIRST_MICROS / 1_000_000;
    let payload = |text: String, verdict| crate::producer::Record {
        partition: 0,
        key: None,
        payload: Some(text.into_bytes()),
        timestamp_millis: Some(at * 1000),
        verdict,
    };
    produce(
        cluster,
        &topic,
        [
            payload(
                format!(r#"{{"parcel":"P1","scanned":{at},"stops":[{{"city":"Lyon"}},{{}}]}}"#),
                Verdict::Accepted,
            ),
            payload(
                format!(r#"{{"parcel":"Q1","scanned":{at}}}"#),
                Verdict::Rejected("pattern"),
            ),
        ],
    );
    space.run_as_written(&["ingest", "--until-end"]).expect_code(0);
    let landed = rows(&space.table(&topic));
    assert_eq!(landed.len(), 1);
    assert_eq!(landed[0].columns["parcel"], "P1");
    assert_eq!(
        landed[0].columns["scanned"], at,
        "an integer event time stays the integer it is"
    );
    assert_eq!(
        landed[0].columns["stops"],
        serde_json::json!([{ "city": "Lyon" }, { "city": null }])
    );
    assert_eq!(landed[0].time_partition(), "date=2026-03-01/hour=00");
    let refused = rows(&space.rejected(&topic));
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].columns["code"], "pattern");
}

/// `start` is for a partition that was never seen: what comes after the first run lands whatever `start` says.
pub fn start_latest_takes_only_what_comes_after(cluster: &Cluster) {
    let topic = cluster.topic("latecomers");
    cluster.create_topic(&topic, 2);
    let space = Workspace::new(
        cluster,
        vec![
            Topic::new(&topic, "latecomers")
                .with("event_time = \"at\"")
                .with("start = \"latest\""),
        ],
    );
    produce(cluster, &topic, mixed_stream(0, 300, 2));
    space.ingest_until_end().expect_code(0);
    assert!(
        rows(&space.table("latecomers")).is_empty(),
        "start = \"latest\" took what was there before"
    );
    let after = produce(cluster, &topic, mixed_stream(300, 200, 2));
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "latecomers", &after);
}

pub fn start_at_a_time_takes_the_records_from_then_on(cluster: &Cluster) {
    let topic = cluster.topic("since");
    cluster.create_topic(&topic, 1);
    // The records' own Kafka timestamps are 37 s apart: number 100 is the first at or after this time.
    let time = chrono::DateTime::from_timestamp_micros(FIRST_MICROS + 100 * 37_000_000).expect("a time");
    let start = format!("start = \"{}\"", time.format("%Y-%m-%dT%H:%M:%SZ"));
    let space = Workspace::new(
        cluster,
        vec![
            Topic::new(&topic, "since")
                .with("event_time = \"at\"")
                .with(&start),
        ],
    );
    let sent = produce(cluster, &topic, mixed_stream(0, 300, 1));
    space.ingest_until_end().expect_code(0);
    let from_then = sent
        .into_iter()
        .filter(|sent| sent.offset >= 100)
        .collect::<Vec<_>>();
    assert_exactly(&space, &topic, "since", &from_then);
}

pub fn a_partition_that_appears_later_lands_from_its_start(cluster: &Cluster) {
    let topic = cluster.topic("growing");
    cluster.create_topic(&topic, 1);
    let space = Workspace::new(
        cluster,
        vec![
            Topic::new(&topic, "growing")
                .with("event_time = \"at\"")
                .with("start = \"latest\""),
        ],
    );
    space.ingest_until_end().expect_code(0);
    let mut sent = produce(cluster, &topic, mixed_stream(0, 50, 1));
    cluster.grow_topic(&topic, 3);
    sent.extend(produce(cluster, &topic, mixed_stream(50, 300, 3)));
    space.ingest_until_end().expect_code(0);
    // Also under `start = "latest"`: between two looks nothing may fall through.
    assert_exactly(&space, &topic, "growing", &sent);
}

/// Everything of one table that a query engine sees, while the daemon is at work, is already true.
pub fn a_reader_never_sees_half_a_commit(cluster: &Cluster) {
    let topic = cluster.topic("watched");
    cluster.create_topic(&topic, 2);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "watched").with("event_time = \"at\"")],
    );
    let ingester = space.ingest();
    let producer = TestProducer::new(cluster, &topic);
    let mut looks = 0;
    for step in 0..12 {
        for record in mixed_stream(step * 250, 250, 2) {
            producer.send(record);
        }
        let sent = producer.flush();
        // Panics on a file that is cut short, and on a row that is there twice.
        let seen = by_position(rows(&space.table("watched")));
        let refused = by_position(rows(&space.rejected("watched")));
        looks += usize::from(!seen.is_empty());
        let known: Vec<Sent> = sent
            .into_iter()
            .filter(|sent| {
                let position = (sent.record.partition, sent.offset);
                seen.contains_key(&position) || refused.contains_key(&position)
            })
            .collect();
        assert_rows_are(&known, seen, refused);
        std::thread::sleep(Duration::from_millis(120));
    }
    let sent = producer.flush();
    until("everything has landed", Duration::from_secs(30), || {
        rows(&space.table("watched")).len() + rows(&space.rejected("watched")).len()
            == sent
                .iter()
                .filter(|sent| sent.record.verdict != Verdict::Tombstone)
                .count()
    });
    assert!(looks > 0, "nothing was visible before the end");
    ingester.terminate();
    assert_eq!(ingester.wait(Duration::from_secs(20)), Some(0));
    assert_exactly(&space, &topic, "watched", &sent);
}

/// A late event lands in its own time partition, long closed or not.
pub fn late_events_land_in_their_own_hour(cluster: &Cluster) {
    let topic = cluster.topic("late");
    cluster.create_topic(&topic, 1);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "late").with("event_time = \"at\"")],
    );
    let mut sent = produce(cluster, &topic, (1000..1100).map(|n| good(n, 0)));
    space.ingest_until_end().expect_code(0);
    sent.extend(produce(cluster, &topic, [1100, 3, 1101, 500].map(|n| good(n, 0))));
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "late", &sent);
}

/// `topics create` makes what is missing, says what was there, and `topics list` shows it.
pub fn topics_are_created_and_listed(cluster: &Cluster) {
    let (old, new) = (cluster.topic("there"), cluster.topic("wanted"));
    cluster.create_topic(&old, 1);
    let space = Workspace::new(
        cluster,
        vec![
            Topic::new(&old, "there").with("event_time = \"at\""),
            Topic::new(&new, "wanted")
                .with("event_time = \"at\"")
                .with("partitions = 3"),
        ],
    );
    let said = space.run(&["topics", "create"]).expect_code(0);
    assert!(cluster.has_topic(&new), "{said:?}");
    let said = format!("{}{}", said.stdout, said.stderr);
    assert!(said.contains(&old) && said.contains(&new), "{said}");
    space.run(&["topics", "create"]).expect_code(0);
    let listed = space.run(&["topics", "list"]).expect_code(0).stdout;
    let line = listed
        .lines()
        .find(|line| line.contains(&new))
        .unwrap_or_else(|| panic!("{listed}"));
    assert!(line.contains('3'), "three partitions: {line}");
    space.run(&["check", "--connect"]).expect_code(0);
}
