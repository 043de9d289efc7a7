//! What bad input gets: a message that names the file and the remedy, its exit code, and nothing changed on disk.

use std::fs;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::events::mixed_stream;
use crate::landing::assert_exactly;
use crate::producer::produce;
use crate::workspace::{Ended, Topic, Workspace, free_port};

fn events(name: &str, table: &str) -> Topic {
    Topic::new(name, table).with("event_time = \"at\"")
}

/// Asserts that a run left neither lake nor log behind.
#[track_caller]
fn assert_nothing_written(space: &Workspace) {
    for folder in ["data", "checkpoints"] {
        let found = space.contents(folder);
        assert!(
            found.is_empty(),
            "{folder} holds {:?}",
            found.keys().collect::<Vec<_>>()
        );
    }
}

pub fn a_wrong_broker_address_is_said_within_10_seconds() {
    let address = format!("127.0.0.1:{}", free_port());
    let space = Workspace::without_cluster(&address, vec![events("orders", "orders")]);
    for arguments in [
        &["ingest"][..],
        &["ingest", "--until-end"],
        &["check", "--connect"],
        &["topics", "list"],
    ] {
        let ended = space.run(arguments).expect_said(&[&address, "hint"]);
        assert_eq!(ended.code, Some(3), "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.took < Duration::from_secs(10),
            "{arguments:?} took {:?}",
            ended.took
        );
        assert_nothing_written(&space);
    }
}

/// A fault of the configuration: `check` and `ingest` say the same, exit with 2, and write nothing.
#[track_caller]
fn assert_refused(space: &Workspace, words: &[&str]) -> Ended {
    space.run(&["check"]).expect_code(2).expect_said(words);
    let ended = space
        .run(&["ingest", "--until-end"])
        .expect_code(2)
        .expect_said(words);
    assert_nothing_written(space);
    ended
}

pub fn two_topics_cannot_share_a_table() {
    let topics = vec![events("orders", "shared"), events("visits", "shared")];
    let space = Workspace::without_cluster("127.0.0.1:9", topics);
    assert_refused(&space, &["eventlake.toml", "\"shared\"", "table"]);
}

pub fn a_topic_cannot_lead_out_of_the_lake() {
    let space = Workspace::without_cluster("127.0.0.1:9", vec![events("../x", "fine")]);
    assert_refused(&space, &["eventlake.toml", "../x"]);
    let space = Workspace::without_cluster("127.0.0.1:9", vec![events("fine", "../x")]);
    assert_refused(&space, &["eventlake.toml", "../x"]);
}

pub fn a_schema_that_is_not_json_is_named() {
    let space = Workspace::without_cluster("127.0.0.1:9", vec![events("orders", "orders")]);
    fs::create_dir_all(space.path("config/schemas")).expect("the case's folder can be written");
    let file = space.path("config/schemas/events.schema.json");
    fs::write(&file, "{\n  \"type\": \"object\",\n  oops\n}\n").expect("the case's folder can be written");
    assert_refused(&space, &["events.schema.json", "3"]);
    fs::remove_file(&file).expect("a file can be removed");
    fs::create_dir(&file).expect("a folder in its place");
    assert_refused(&space, &["events.schema.json"]);
}

pub fn a_keyword_that_is_not_supported_is_named() {
    let space = Workspace::without_cluster("127.0.0.1:9", vec![events("orders", "orders")]);
    fs::create_dir_all(space.path("config/schemas")).expect("the case's folder can be written");
    let schema = "{ \"type\": \"object\", \"required\": [\"at\"],\n  \"properties\": {\n    \"at\": { \"type\": \
                  \"string\", \"format\": \"date-time\" },\n    \"id\": { \"$dynamicRef\": \"#x\" } } }";
    fs::write(space.path("config/schemas/events.schema.json"), schema)
        .expect("the case's folder can be written");
    assert_refused(&space, &["events.schema.json", "$dynamicRef"]);
}

pub fn every_fault_of_a_file_is_said_in_one_run() {
    let mut space = Workspace::without_cluster("127.0.0.1:9", vec![events("orders", "orders")]);
    space.roll_interval = "soon";
    space.on_data_loss = "ignore";
    space.lake_settings.push_str("memory_limt = \"1GiB\"\n");
    assert_refused(&space, &["soon", "ignore", "memory_limt", "memory_limit"]);
}

pub fn a_data_folder_that_cannot_be_written_is_named(cluster: &Cluster) {
    let topic = cluster.topic("blocked");
    cluster.create_topic(&topic, 1);
    produce(cluster, &topic, mixed_stream(0, 50, 1));
    let space = Workspace::new(cluster, vec![events(&topic, "blocked")]);
    // A file where the folder should be stops root as well.
    fs::create_dir_all(space.path("data")).expect("the case's folder can be written");
    fs::write(space.path("data/parquet"), "not a folder").expect("the case's folder can be written");
    space
        .ingest_until_end()
        .expect_code(3)
        .expect_said(&["data/parquet", "hint"]);
    assert_eq!(
        fs::read(space.path("data/parquet")).expect("it is still there"),
        b"not a folder"
    );
    assert!(space.commits(&topic).iter().all(|path| {
        !fs::read_to_string(path)
            .expect("a commit can be read")
            .contains("\"append\"")
    }));
}

pub fn a_commit_cut_short_or_edited_stops_the_topic(cluster: &Cluster) {
    let (topic, other) = (cluster.topic("tampered"), cluster.topic("sound"));
    cluster.create_topic(&topic, 1);
    cluster.create_topic(&other, 1);
    let space = Workspace::new(cluster, vec![events(&topic, "tampered"), events(&other, "sound")]);
    produce(cluster, &topic, mixed_stream(0, 200, 1));
    let mut others = produce(cluster, &other, mixed_stream(0, 200, 1));
    space.ingest_until_end().expect_code(0);
    let last = space.commits(&topic).pop().expect("there is a commit");
    let name = last.file_name().expect("named").to_string_lossy().into_owned();
    let whole = fs::read(&last).expect("a commit can be read");
    let edited =
        String::from_utf8(whole.clone())
            .expect("UTF-8")
            .replacen("\"accepted\":1", "\"accepted\":2", 1);
    assert_ne!(edited.as_bytes(), whole, "the edit changed nothing");
    produce(cluster, &topic, mixed_stream(200, 100, 1));

    for (n, bytes) in [&whole[..whole.len() / 2], b"", edited.as_bytes()]
        .into_iter()
        .enumerate()
    {
        fs::write(&last, bytes).expect("a commit can be tampered with");
        let log = format!("checkpoints/{topic}");
        let before = (space.contents("data/parquet/tampered"), space.contents(&log));
        let from = 200 + 100 * i64::try_from(n).expect("small");
        others.extend(produce(cluster, &other, mixed_stream(from, 100, 1)));
        space
            .ingest_until_end()
            .expect_code(3)
            .expect_said(&[&name, "hint"]);
        assert!(
            before == (space.contents("data/parquet/tampered"), space.contents(&log)),
            "a refusal changed the lake"
        );
        // One topic that fails stops alone.
        assert_exactly(&space, &other, "sound", &others);
    }
}

/// Two configurations with checkpoints of their own, and one table: the second is refused by the table's owner.
pub fn a_table_belongs_to_one_log(cluster: &Cluster) {
    let (first, second) = (cluster.topic("mine"), cluster.topic("yours"));
    cluster.create_topic(&first, 1);
    cluster.create_topic(&second, 1);
    let mut space = Workspace::new(cluster, vec![events(&first, "contested")]);
    let sent = produce(cluster, &first, mixed_stream(0, 100, 1));
    produce(cluster, &second, mixed_stream(0, 100, 1));
    space.ingest_until_end().expect_code(0);
    let before = space.contents("data");
    space.topics = vec![events(&second, "contested")];
    space.lake_settings = "checkpoints = \"elsewhere\"\n".to_owned();
    space
        .ingest_until_end()
        .expect_code(3)
        .expect_said(&["contested", "owner.json", "hint"]);
    assert!(before == space.contents("data"), "a refusal changed the lake");
    let proof = space.run(&["verify", "--json"]).expect_code(1);
    assert!(proof.stdout.contains("owner_differs"), "{}", proof.stdout);
    space.topics = vec![events(&first, "contested")];
    space.lake_settings.clear();
    assert_exactly(&space, &first, "contested", &sent);
}

/// A missing topic is said, and is no reason for the others to stop.
pub fn a_missing_topic_is_said(cluster: &Cluster) {
    let topic = cluster.topic("absent");
    let space = Workspace::new(cluster, vec![events(&topic, "absent")]);
    space
        .run(&["check", "--connect"])
        .expect_code(1)
        .expect_mentions(&topic);
    let ended = space.ingest_until_end();
    assert_ne!(ended.code, Some(0), "{}", ended.stderr);
    ended.expect_said(&[&topic, "hint"]);
}

impl Ended {
    /// stdout or stderr: a report of `check` is data.
    #[track_caller]
    fn expect_mentions(self, word: &str) -> Ended {
        assert!(
            self.stdout.contains(word) || self.stderr.contains(word),
            "{self:?}"
        );
        self
    }
}
