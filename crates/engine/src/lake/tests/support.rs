//! A lake in a temporary folder, rolls in few words, faults by script, and the check that a table is exactly its log.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventlake_core::commit::{
    Account, AccountedAppend, Append, Body, Checksum, ClusterId, Commit, File, FileKey, FileOffsets, FileSet,
    Fold, GenerationOrdinal, GenerationReason, Moment, OpenGeneration, PartitionAppend, PartitionStart,
    Replace, ReplaceReason, SchemaVersion, StagePlan, TopicId, WriterId, decode_record,
};
use eventlake_core::config::PartitionBy;
use eventlake_core::names::{TableName, TimePartition, TopicName};
use eventlake_core::position::{IntervalSet, Offset, PartitionId};

use super::super::access::{Access, Call, Faults, Moment as Around};
use super::super::store::Store;
use super::super::{FileContents, LakeError, LakePaths, Outcome, SnapshotPolicy, Stage, TopicLog, read_fold};

pub type Tried<T> = Result<T, Box<dyn std::error::Error>>;

/// When everything in these tests is committed.
pub fn now() -> Moment {
    Moment::from_unix_micros(1_795_222_800_000_000)
}

/// When old commits are deleted.
pub fn later() -> Moment {
    Moment::from_unix_micros(1_795_222_801_000_000)
}

/// Snapshots now and then, and every commit below them is old.
pub const OFTEN: SnapshotPolicy = SnapshotPolicy {
    every: 3,
    log_retention: Duration::ZERO,
};

pub struct Lake {
    _folder: tempfile::TempDir,
    pub paths: LakePaths,
}

impl Lake {
    pub fn new() -> Lake {
        // In memory where there is such a file system: these tests sync a few hundred thousand times.
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("a folder");
        let paths = LakePaths {
            data: folder.path().join("data/parquet"),
            rejected: folder.path().join("data/rejected"),
            checkpoints: folder.path().join("checkpoints"),
        };
        Lake {
            _folder: folder,
            paths,
        }
    }

    /// A lake whose topic has its first generation.
    pub fn opened() -> Lake {
        let lake = Lake::new();
        open_first_generation(&mut lake.writer()).expect("opened");
        lake
    }

    pub fn writer(&self) -> TopicLog {
        self.try_writer(Store::new()).expect("the lake opens")
    }

    pub fn try_writer(&self, store: Store) -> Result<TopicLog, LakeError> {
        TopicLog::open_with(
            store,
            &self.paths,
            &topic(),
            &table(),
            &WriterId::new("writer").expect("an id"),
        )
    }

    pub fn log_folder(&self) -> PathBuf {
        self.paths.checkpoints.join("clicks")
    }

    pub fn commit_path(&self, number: u64) -> PathBuf {
        self.log_folder().join(format!("{number:020}.json"))
    }

    pub fn root(&self, set: FileSet) -> &Path {
        match set {
            FileSet::Accepted => &self.paths.data,
            FileSet::Rejected => &self.paths.rejected,
        }
    }

    /// Every file below the lake and the log with its content.
    pub fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut tree = BTreeMap::new();
        for root in [&self.paths.data, &self.paths.rejected, &self.paths.checkpoints] {
            for path in files_below(root) {
                let content = std::fs::read(&path).expect("readable");
                tree.insert(path, content);
            }
        }
        tree
    }

    /// The `*.parquet` files that a reader's glob finds, with their set, relative to the set's root.
    pub fn visible(&self) -> Vec<(FileSet, String)> {
        let mut visible = Vec::new();
        for set in FileSet::ALL {
            for path in files_below(self.root(set)) {
                if path.extension().is_some_and(|extension| extension == "parquet") {
                    let relative = path.strip_prefix(self.root(set)).expect("below the root");
                    visible.push((set, relative.to_string_lossy().into_owned()));
                }
            }
        }
        visible.sort();
        visible
    }

    /// Staged data files, manifests and exchanged folders.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let staging = [
            self.paths.data.join("_staging"),
            self.paths.rejected.join("_staging"),
        ];
        let log = [
            self.log_folder().join("staging"),
            self.log_folder().join("exchange"),
        ];
        let mut left: Vec<PathBuf> = staging
            .iter()
            .chain(&log)
            .flat_map(|folder| files_below(folder))
            .collect();
        left.retain(|path| path.file_name().is_some_and(|name| name != "owner.json"));
        left
    }

    /// Checks that every commit of the log is there or accounted for, and that those which deleted commits said of offsets
    /// is all there, in one account or in several that agree.
    pub fn assert_accounted(&self, fold: &Fold) {
        let mut accounted: BTreeMap<u64, Option<AccountedAppend>> = BTreeMap::new();
        for path in files_below(&self.log_folder().join("accounts")) {
            let bytes = std::fs::read(&path).expect("readable");
            let (account, _) = decode_record::<Account>(&bytes).expect("whole");
            assert_eq!(account.fault(), None, "{}", path.display());
            for number in account.first.0..=account.last.0 {
                let append = account
                    .appends
                    .iter()
                    .find(|append| append.number.0 == number)
                    .cloned();
                let known = accounted.entry(number).or_insert_with(|| append.clone());
                assert_eq!(*known, append, "two accounts differ on commit {number}");
            }
        }
        let mut next: BTreeMap<PartitionId, Offset> = BTreeMap::new();
        for number in 1..=fold.number().0 {
            let append = accounted.get(&number).cloned().unwrap_or_else(|| {
                let bytes = std::fs::read(self.commit_path(number));
                let bytes =
                    bytes.unwrap_or_else(|_| panic!("commit {number} is neither there nor accounted for"));
                let (commit, _) = decode_record::<Commit>(&bytes).expect("whole");
                match commit.body {
                    Body::Append(append) => Some(AccountedAppend::of(commit.number, append)),
                    _ => None,
                }
            });
            for taken in append.into_iter().flat_map(|append| append.taken) {
                let checkpoint = next.entry(taken.partition).or_insert(Offset(0));
                if taken.from == *checkpoint {
                    *checkpoint = taken.next;
                }
            }
        }
        for (partition, next) in next {
            assert_eq!(
                next,
                fold.next(partition),
                "partition {partition} by commits and accounts"
            );
        }
    }

    /// Publishes and checks that the table is exactly what the log says: every live file there, whole, no other, and the
    /// offsets of each partition from 0 to the checkpoint each held once.
    pub fn assert_exact(&self) {
        let mut log = self.writer();
        log.publish().expect("published");
        let fold = log.fold().expect("a fold").clone();
        assert!(fold.unfinished().is_empty());
        self.assert_accounted(&fold);
        let live: Vec<_> = fold
            .files()
            .keys()
            .map(|key| (key.set, key.path.as_str().to_owned()))
            .collect();
        assert_eq!(self.visible(), live, "the table is not its log's live set");
        let mut held: BTreeMap<PartitionId, Vec<i64>> = BTreeMap::new();
        for file in fold.files().values() {
            let content = std::fs::read(self.root(file.set).join(file.path.as_str())).expect("there");
            assert_eq!(Checksum::of(&content), file.sha256, "{}", file.key());
            for (partition, from, next) in ranges_in(&String::from_utf8(content).expect("text")) {
                held.entry(PartitionId(partition)).or_default().extend(from..next);
            }
        }
        for (partition, mut offsets) in held {
            offsets.sort_unstable();
            let expected: Vec<i64> = (0..fold.next(partition).0).collect();
            assert_eq!(
                offsets, expected,
                "partition {partition}: an offset is missing or doubled"
            );
        }
        assert_eq!(
            read_fold(&self.paths.checkpoints, &topic())
                .expect("a fold")
                .map(|fold| fold.checksum()),
            Some(fold.checksum())
        );
    }
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return files;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path))
        } else {
            files.push(path)
        }
    }
    files
}

pub fn topic() -> TopicName {
    TopicName::new("clicks").expect("a name")
}

pub fn table() -> TableName {
    TableName::new("clicks_table").expect("a name")
}

pub fn open_first_generation(log: &mut TopicLog) -> Result<Outcome, LakeError> {
    let body = Body::Generation(OpenGeneration {
        ordinal: GenerationOrdinal(1),
        cluster_id: ClusterId::new("cluster").expect("an id"),
        topic_id: TopicId::new("kRy2mkLrQJmdc3ZNdm1bAQ").expect("an id"),
        reason: GenerationReason::FirstStart,
        starts: vec![],
        after: None,
    });
    log.propose(body, now())
}

pub fn hour(hour: i64) -> TimePartition {
    TimePartition::of(hour * 3_600_000_000, PartitionBy::Hour).expect("a time")
}

pub fn starts(ranges: &[(i32, i64, i64)]) -> StagePlan {
    let from = ranges.iter().map(|(partition, from, _)| PartitionStart {
        partition: PartitionId(*partition),
        from: Offset(*from),
    });
    StagePlan::Append {
        generation: GenerationOrdinal(1),
        from: from.collect(),
    }
}

/// Writes a file that holds every offset of the ranges; its content is those ranges, a line each.
pub fn write_file(
    stage: &Stage,
    set: FileSet,
    partition: TimePartition,
    ranges: &[(i32, i64, i64)],
) -> Tried<File> {
    let mut file = stage.create_file(set, partition)?;
    for (partition, from, next) in ranges {
        writeln!(file, "{partition} {from} {next}")?;
    }
    let offsets: Vec<FileOffsets> = ranges
        .iter()
        .map(|(partition, from, next)| FileOffsets {
            partition: PartitionId(*partition),
            from: Offset(*from),
            next: Offset(*next),
            rows: u64::try_from(next - from).expect("a range"),
        })
        .collect();
    Ok(file.finish(FileContents {
        rows: offsets.iter().map(|offsets| offsets.rows).sum(),
        offsets,
        times: None,
        schema_version: SchemaVersion::new("v1").expect("a version"),
    })?)
}

/// The ranges that a file of `write_file` or `compact` holds.
pub fn ranges_in(content: &str) -> Vec<(i32, i64, i64)> {
    let range = |line: &str| {
        let numbers: Vec<i64> = line
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        (
            i32::try_from(numbers[0]).expect("a partition"),
            numbers[1],
            numbers[2],
        )
    };
    content.lines().map(range).collect()
}

/// The append of an accepted and a rejected file: the first half of each range is accepted, in two hours, the rest
/// rejected.
pub fn stage_append(log: &mut TopicLog, ranges: &[(i32, i64, i64)]) -> Tried<Body> {
    let stage = log.stage(starts(ranges), now())?;
    let mut files = Vec::new();
    let mut partitions = Vec::new();
    for (index, (partition, from, next)) in ranges.iter().enumerate() {
        let middle = from + (next - from + 1) / 2;
        let hour = hour(i64::try_from(index).expect("few"));
        files.push(write_file(
            &stage,
            FileSet::Accepted,
            hour,
            &[(*partition, *from, middle)],
        )?);
        if middle < *next {
            files.push(write_file(
                &stage,
                FileSet::Rejected,
                hour,
                &[(*partition, middle, *next)],
            )?);
        }
        partitions.push(PartitionAppend {
            partition: PartitionId(*partition),
            from: Offset(*from),
            next: Offset(*next),
            leader_epoch: None,
            accepted: u64::try_from(middle - from).expect("a range"),
            rejected: u64::try_from(next - middle).expect("a range"),
            tombstones: IntervalSet::new(),
            filtered: IntervalSet::new(),
            absent: IntervalSet::new(),
            lost: IntervalSet::new(),
        });
    }
    stage.sync()?;
    Ok(Body::Append(Append {
        generation: GenerationOrdinal(1),
        partitions,
        files,
    }))
}

/// Stages and proposes `count` offsets of partition 0 from the checkpoint.
pub fn append(log: &mut TopicLog, count: i64) -> Tried<Outcome> {
    let from = log.fold()?.next(PartitionId(0)).0;
    let body = stage_append(log, &[(0, from, from + count)])?;
    Ok(log.propose(body, now())?)
}

/// A whole roll of partition 0.
pub fn roll(log: &mut TopicLog, count: i64) -> Tried<Outcome> {
    let outcome = append(log, count)?;
    log.publish()?;
    log.clean()?;
    log.snapshot(&OFTEN, later())?;
    Ok(outcome)
}

/// Puts one file in the place of all accepted files of an hour. None when there are fewer than two.
pub fn compact(lake: &Lake, log: &mut TopicLog, partition: TimePartition) -> Tried<Option<Outcome>> {
    log.publish()?;
    let of_hour = |file: &&File| file.set == FileSet::Accepted && file.path.time_partition() == partition;
    let inputs: Vec<File> = log.fold()?.files().values().filter(of_hour).cloned().collect();
    if inputs.len() < 2 {
        return Ok(None);
    }
    let removed: Vec<FileKey> = inputs.iter().map(File::key).collect();
    let plan = StagePlan::Replace {
        generation: GenerationOrdinal(1),
        inputs: removed.clone(),
    };
    let stage = log.stage(plan, now())?;
    let mut output = stage.create_file(FileSet::Accepted, partition)?;
    for input in &inputs {
        // Another may have replaced it meanwhile.
        output.write_all(&std::fs::read(lake.paths.data.join(input.path.as_str()))?)?;
    }
    let held = || inputs.iter().flat_map(|file| &file.offsets);
    let offsets = FileOffsets {
        partition: PartitionId(0),
        from: held().map(|offsets| offsets.from).min().expect("rows"),
        next: held().map(|offsets| offsets.next).max().expect("rows"),
        rows: held().map(|offsets| offsets.rows).sum(),
    };
    let file = output.finish(FileContents {
        rows: offsets.rows,
        offsets: vec![offsets],
        times: None,
        schema_version: SchemaVersion::new("v1").expect("a version"),
    })?;
    stage.sync()?;
    let body = Replace {
        reason: ReplaceReason::Compaction,
        removed,
        files: vec![file],
    };
    Ok(Some(log.propose(Body::Replace(body), now())?))
}

/// Runs something at the strike with this number, counted over all calls before and after.
pub struct AtStrike {
    at: usize,
    count: AtomicUsize,
    calls: AtomicUsize,
    then: Then,
}

pub enum Then {
    /// This call and all later ones fail: the process has died.
    Die,
    /// This call alone fails.
    FailOnce,
}

impl AtStrike {
    pub fn new(at: usize, then: Then) -> Arc<AtStrike> {
        Arc::new(AtStrike {
            at,
            count: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            then,
        })
    }

    /// Whether the strike came.
    pub fn came(&self) -> bool {
        self.count.load(Ordering::SeqCst) > self.at
    }

    pub fn strikes(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The calls that were begun.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Faults for AtStrike {
    fn strike(&self, _: &Access<'_>, around: Around) -> io::Result<()> {
        let begins = usize::from(around == Around::Before);
        self.calls.fetch_add(begins, Ordering::SeqCst);
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        let fails = match self.then {
            Then::Die => count >= self.at,
            Then::FailOnce => count == self.at,
        };
        if fails {
            Err(io::Error::other("a fault for the test"))
        } else {
            Ok(())
        }
    }
}

/// Runs a closure once, at the first strike it is meant for.
pub struct Once<F> {
    pub call: Call,
    pub around: Around,
    pub path_ends: &'static str,
    pub run: F,
    pub armed: std::sync::atomic::AtomicBool,
}

impl<F: Fn() -> io::Result<()> + Send + Sync> Faults for Once<F> {
    fn strike(&self, access: &Access<'_>, around: Around) -> io::Result<()> {
        let is_meant =
            access.call == self.call && around == self.around && access.path.ends_with(self.path_ends);
        if is_meant && self.armed.swap(false, Ordering::SeqCst) {
            (self.run)()
        } else {
            Ok(())
        }
    }
}
