//! Disks that are full, read-only or failing under the running daemon: it pauses, says so, and goes on by itself.
//!
//! Full and read-only disks are real ones: small file systems in memory, which only root may mount. Where that is not
//! allowed these cases fail.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::events::{good, mixed_stream};
use crate::landing::assert_exactly;
use crate::producer::{Record, Sent, produce};
use crate::wait::until;
use crate::workspace::{Ingester, Topic, Workspace};

const TOPIC: &str = "faults";
/// Enough for all that is sent: the built-in broker keeps 5 MB of each.
const PARTITIONS: i32 = 16;
/// The least there can be.
const MEMORY_LIMIT: u64 = 64 << 20;
/// What a pause may add: the buffers' and queues' shares of that, and no more, whatever is sent.
const GROWTH_MAX: f64 = 12e6;
const WAIT: Duration = Duration::from_secs(60);
/// How long a pause is watched.
const WATCHED: Duration = Duration::from_secs(6);

/// A small file system of the case's own, mounted in its folder; gone when dropped.
struct Disk {
    path: PathBuf,
}

impl Disk {
    fn mount(path: PathBuf) -> Disk {
        fs::create_dir_all(&path).expect("the case's folder can be written");
        let disk = Disk { path };
        disk.mount_command(&["-t", "tmpfs", "-o", "size=64m", "tmpfs"]);
        disk
    }

    /// # Panics
    /// Where mounting is not allowed: a case is never skipped.
    fn mount_command(&self, arguments: &[&str]) {
        let output = Command::new("mount").args(arguments).arg(&self.path).output();
        let output = output.expect("mount can be run; hint: it is in the package util-linux or mount");
        assert!(
            output.status.success(),
            "mount {arguments:?} {}: {}\nhint: these cases mount small file systems, for which they must run as root \
             (in a container: with CAP_SYS_ADMIN)",
            self.path.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file can be made");
        let mut chunk = vec![0_u8; 1 << 20];
        while !chunk.is_empty() {
            if filler.write_all(&chunk).is_err() {
                chunk.truncate(chunk.len() / 2);
            }
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).expect("a file can be removed");
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Not while a file is open for writing, so it is tried until it works.
    fn make_read_only(&self) {
        until("the disk can be made read-only", WAIT, || {
            let status = Command::new("mount")
                .args(["-o", "remount,ro"])
                .arg(&self.path)
                .output();
            status.expect("mount can be run").status.success()
        });
    }

    fn make_writable(&self) {
        self.mount_command(&["-o", "remount,rw"]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.path).status();
        if !thread::panicking() {
            assert!(status.expect("umount can be run").success());
        }
    }
}

fn workspace(cluster: &Cluster) -> Workspace {
    cluster.create_topic(TOPIC, PARTITIONS);
    let topic = Topic::new(TOPIC, TOPIC).with("event_time = \"at\"");
    let mut space = Workspace::in_memory(cluster, vec![topic]);
    space.lake_settings = format!("memory_limit = \"{}MiB\"\n", MEMORY_LIMIT >> 20);
    space
}

/// A daemon that has landed something, while all was well.
fn running(space: &Workspace, cluster: &Cluster, failpoints: &str) -> (Ingester, Vec<Sent>) {
    let sent = produce(cluster, TOPIC, mixed_stream(0, 2_000, PARTITIONS));
    let ingester = space.ingest_with(failpoints);
    until("the first records land", WAIT, || landed(&ingester) >= sent.len());
    (ingester, sent)
}

fn landed(ingester: &Ingester) -> usize {
    let counts = ["accepted", "rejected", "tombstone"]
        .map(|kind| ingester.metric(&format!("eventlake_{kind}_records_total")));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of records"
    )]
    let landed = counts.iter().sum::<f64>() as usize;
    landed
}

/// Breaks a disk under a daemon that works, sends it more than its memory holds, watches it pause, mends the disk, and
/// asserts that it goes on by itself and that nothing is lost or doubled.
fn pauses_and_goes_on(
    cluster: &Cluster,
    space: &Workspace,
    failpoints: &str,
    words: &[&str],
    break_it: impl FnOnce(),
    mend_it: impl FnOnce(),
) {
    let (ingester, mut sent) = running(space, cluster, failpoints);
    let resident_before = resident(&ingester);
    break_it();
    sent.extend(produce(cluster, TOPIC, mixed_stream(2_000, 2_000, PARTITIONS)));
    until_paused(&ingester, words);
    sent.extend(produce(cluster, TOPIC, large_stream()));
    watch_the_pause(space, &ingester, words);
    let grown = resident(&ingester) - resident_before;
    println!("the pause added {:.0} MB of 40 that were sent", grown / 1e6);
    assert!(grown < GROWTH_MAX, "{grown} bytes");
    mend_it();
    until("the rest lands", WAIT, || landed(&ingester) >= sent.len());
    until("it is ready again", WAIT, || is_ready(&ingester));
    let log = ingester.log();
    assert!(log.contains("goes on after"), "{log}");
    let peak = ingester.peak_resident_bytes();
    println!(
        "peak resident memory: {} MiB of {} MiB",
        peak >> 20,
        MEMORY_LIMIT >> 20
    );
    assert!(
        peak <= MEMORY_LIMIT,
        "{peak} bytes were resident, with a limit of {MEMORY_LIMIT}"
    );
    ingester.terminate();
    assert_eq!(ingester.wait(WAIT), Some(0));
    assert_exactly(space, TOPIC, TOPIC, &sent);
    assert_no_leftovers(space);
}

fn is_ready(ingester: &Ingester) -> bool {
    ingester
        .get("/readyz")
        .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// 40 MB of events, as large in the columns as in Kafka.
fn large_stream() -> impl Iterator<Item = Record> {
    (4_000..9_000).map(|n| {
        let mut record = good(n, i32::try_from(n).expect("small") % PARTITIONS);
        let payload = record.payload.as_deref().expect("a good event has a payload");
        let mut event: Value = serde_json::from_slice(payload).expect("a good event is JSON");
        event["tags"] = (0..80)
            .map(|tag| Value::from(format!("{tag:050}{n:050}")))
            .collect();
        record.payload = Some(event.to_string().into_bytes());
        record
    })
}

fn until_paused(ingester: &Ingester, words: &[&str]) {
    until("/readyz says that it is paused, and why", WAIT, || {
        let answer = ingester.get("/readyz").unwrap_or_default();
        answer.starts_with("HTTP/1.1 503")
            && answer.contains(&format!("topic {TOPIC} is paused"))
            && words.iter().all(|word| answer.contains(word))
    });
}

fn watch_the_pause(space: &Workspace, ingester: &Ingester, words: &[&str]) {
    let shown = space.run_as_written(&["status"]);
    assert!(shown.stdout.contains("paused"), "{}", shown.stdout);
    let commits = space.commits(TOPIC).len();
    thread::sleep(Duration::from_secs(2));
    let (before, began) = (resident(ingester), Instant::now());
    while began.elapsed() < WATCHED {
        let grown = resident(ingester) - before;
        assert!(
            grown < 4e6,
            "{grown} more bytes are resident after {:?} of pause",
            began.elapsed()
        );
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(
        space.commits(TOPIC).len(),
        commits,
        "it committed while it was paused"
    );
    let log = ingester.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("paused")).collect();
    assert_eq!(said.len(), 1, "one line says it, once:\n{log}");
    for word in words {
        assert!(said[0].contains(word), "`{word}` is not in: {}", said[0]);
    }
}

fn resident(ingester: &Ingester) -> f64 {
    ingester.metric("process_resident_memory_bytes")
}

/// What was half-written when the disk gave up is gone.
fn assert_no_leftovers(space: &Workspace) {
    let log = PathBuf::from("checkpoints").join(TOPIC);
    for folder in [
        Path::new("data/parquet/_staging").join(TOPIC),
        Path::new("data/rejected/_staging").join(TOPIC),
        log.join("staging"),
    ] {
        let mut left = space.contents(&folder.to_string_lossy());
        left.retain(|path, _| path.file_name().is_none_or(|name| name != "owner.json"));
        assert!(left.is_empty(), "left behind: {:?}", left.keys());
    }
}

fn full(cluster: &Cluster, folder: &str) {
    let space = workspace(cluster);
    let disk = Disk::mount(space.path(folder));
    let words = ["No space left on device", "hint: free some space"];
    pauses_and_goes_on(cluster, &space, "", &words, || disk.fill(), || disk.free());
}

pub fn a_full_lake_is_waited_for(cluster: &Cluster) {
    full(cluster, "data/parquet");
}

pub fn a_full_disk_of_rejected_records_is_waited_for(cluster: &Cluster) {
    full(cluster, "data/rejected");
}

pub fn a_full_disk_of_checkpoints_is_waited_for(cluster: &Cluster) {
    full(cluster, "checkpoints");
}

fn read_only(cluster: &Cluster, folder: &str) {
    let space = workspace(cluster);
    let disk = Disk::mount(space.path(folder));
    let words = [
        "Read-only file system",
        "hint: the file system is mounted read-only",
    ];
    pauses_and_goes_on(
        cluster,
        &space,
        "",
        &words,
        || disk.make_read_only(),
        || disk.make_writable(),
    );
}

pub fn a_lake_that_turns_read_only_is_waited_for(cluster: &Cluster) {
    read_only(cluster, "data/parquet");
}

pub fn a_disk_of_checkpoints_that_turns_read_only_is_waited_for(cluster: &Cluster) {
    read_only(cluster, "checkpoints");
}

/// Every call of a kind fails as long as a file is there.
fn failing(cluster: &Cluster, seam: &str) {
    let space = workspace(cluster);
    let broken = space.path("broken");
    let failpoints = format!("{seam}=eio@{}", broken.display());
    let words = ["Input/output error"];
    pauses_and_goes_on(
        cluster,
        &space,
        &failpoints,
        &words,
        || fs::write(&broken, "").expect("the case's folder can be written"),
        || fs::remove_file(&broken).expect("a file can be removed"),
    );
}

pub fn a_failing_lake_is_waited_for(cluster: &Cluster) {
    failing(cluster, "staged-file:sync-file:after");
}

pub fn a_failing_disk_of_checkpoints_is_waited_for(cluster: &Cluster) {
    failing(cluster, "commit:link:before");
}

/// The commit is there and the call says that it is not: that is settled, and it is committed once.
pub fn a_commit_whose_reply_is_lost_is_there_once(cluster: &Cluster) {
    let space = workspace(cluster);
    let (ingester, mut sent) = running(
        &space,
        cluster,
        "commit:link:after#2=eio;commit:sync-folder:after#2=eio",
    );
    sent.extend(produce(cluster, TOPIC, mixed_stream(2_000, 2_000, PARTITIONS)));
    until("the rest lands", WAIT, || landed(&ingester) >= sent.len());
    let log = ingester.log();
    assert_eq!(log.matches("Input/output error").count(), 2, "{log}");
    ingester.terminate();
    assert_eq!(ingester.wait(WAIT), Some(0));
    assert_exactly(&space, TOPIC, TOPIC, &sent);
}

pub fn a_start_on_a_read_only_disk_is_waited_for(cluster: &Cluster) {
    let space = workspace(cluster);
    let disk = Disk::mount(space.path("data/parquet"));
    let (ingester, mut sent) = running(&space, cluster, "");
    ingester.terminate();
    assert_eq!(ingester.wait(WAIT), Some(0));
    disk.make_read_only();
    sent.extend(produce(cluster, TOPIC, mixed_stream(2_000, 1_000, PARTITIONS)));
    let ingester = space.ingest();
    until_paused(&ingester, &["Read-only file system"]);
    watch_the_pause(&space, &ingester, &["Read-only file system"]);
    disk.make_writable();
    until("the rest lands", WAIT, || landed(&ingester) >= 1_000);
    ingester.terminate();
    assert_eq!(ingester.wait(WAIT), Some(0));
    assert_exactly(&space, TOPIC, TOPIC, &sent);
}

/// How much lies in a folder of the log, under a daemon that may change it meanwhile.
fn entries(space: &Workspace, folder: &str) -> usize {
    let folder = space.path("checkpoints").join(TOPIC).join(folder);
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn snapshots(space: &Workspace) -> usize {
    entries(space, "snapshots")
}

/// Tidying fails as long as a file is there: that is said once, records land meanwhile, and then it is done.
fn holds_up_nothing(cluster: &Cluster, space: &Workspace, seam: &str, is_tidy: impl Fn() -> bool) {
    let broken = space.path("broken");
    fs::write(&broken, "").expect("the case's folder can be written");
    let (ingester, mut sent) = running(space, cluster, &format!("{seam}@{}", broken.display()));
    for batch in 1..4 {
        sent.extend(produce(
            cluster,
            TOPIC,
            mixed_stream(batch * 2_000, 2_000, PARTITIONS),
        ));
        until("records land all the same", WAIT, || {
            landed(&ingester) >= sent.len()
        });
    }
    assert!(is_ready(&ingester));
    assert!(!is_tidy());
    let log = ingester.log();
    assert_eq!(log.matches("could not tidy up").count(), 1, "{log}");
    fs::remove_file(&broken).expect("a file can be removed");
    sent.extend(produce(cluster, TOPIC, mixed_stream(8_000, 2_000, PARTITIONS)));
    until("it is tidied up", WAIT, || {
        is_tidy() && ingester.log().contains("tidied up again")
    });
    ingester.terminate();
    assert_eq!(ingester.wait(WAIT), Some(0));
    assert_exactly(space, TOPIC, TOPIC, &sent);
}

pub fn a_full_disk_during_the_snapshot_holds_up_nothing(cluster: &Cluster) {
    let mut space = workspace(cluster);
    space.lake_settings.push_str("snapshot_every = 1\n");
    holds_up_nothing(cluster, &space, "snapshot:write:during=enospc", || {
        snapshots(&space) > 0
    });
}

pub fn a_failing_disk_during_cleaning_holds_up_nothing(cluster: &Cluster) {
    let space = workspace(cluster);
    // A manifest that is done with can be removed only when the disk works.
    holds_up_nothing(cluster, &space, "clean-manifest:remove:before=eio", || {
        entries(&space, "staging") == 0
    });
}

/// librdkafka refuses the first assignment, and then the next: the topic must not stay without partitions.
pub fn a_refused_assignment_is_tried_until_it_is_taken(cluster: &Cluster) {
    let space = workspace(cluster);
    let sent = produce(cluster, TOPIC, mixed_stream(0, 1_000, PARTITIONS));
    let ended = space
        .ingest_until_end_with("take-assignment=eio;reassign-in=eio")
        .expect_code(0);
    let refusals = ended
        .stderr
        .matches("kafka did not take the assignment, trying again")
        .count();
    assert_eq!(refusals, 2, "{}", ended.stderr);
    assert_exactly(&space, TOPIC, TOPIC, &sent);
}
