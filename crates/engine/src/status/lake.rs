//! What a topic's log says: rows, files, the checkpoint, the last commit, how fast records landed of late.

use std::collections::BTreeMap;

use eventlake_core::commit::{
    Append, Body, ClusterId, Commit, CommitNumber, Counts, FileSet, Fold, GenerationOrdinal, Snapshot,
    TopicId, decode_record,
};
use eventlake_core::config::LakeConfig;
use eventlake_core::names::LogPaths;
use eventlake_core::position::{Offset, PartitionId};
use serde::Serialize;

use crate::lake::store::{Store, StoreError};

/// The span that the landing rate is told over, in microseconds.
const RATE_SPAN_MICROS: i64 = 60_000_000;
/// Commits read back for the rate, at most.
const RATE_COMMITS_MAX: u64 = 64;

/// One topic's lake. The field names are a public format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LakeStatus {
    pub generation: GenerationOrdinal,
    pub topic_id: TopicId,
    pub cluster_id: ClusterId,
    /// What became of all offsets ever committed, over all generations.
    pub totals: Counts,
    /// The live files of events.
    pub accepted: SetStatus,
    /// The live files of rejected records.
    pub rejected: SetStatus,
    pub checkpoint: Vec<PartitionCheckpoint>,
    pub last_commit_number: CommitNumber,
    pub last_commit_unix_millis: Option<i64>,
    pub last_commit_writer: Option<String>,
    /// Records a second that landed in the last minute; none where the log is too young to tell.
    pub landed_per_sec: Option<f64>,
    /// The newest event time among the live events.
    pub newest_event_unix_micros: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SetStatus {
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionCheckpoint {
    pub partition: PartitionId,
    pub start: Offset,
    pub next: Offset,
    pub lost: u64,
}

/// What a fold and the last few commits below it say. None while no generation was opened.
///
/// # Errors
/// When a file of the log cannot be read.
pub fn lake_status(
    lake: &LakeConfig,
    fold: &Fold,
    now_micros: i64,
) -> Result<Option<LakeStatus>, StoreError> {
    let Some(generation) = fold.generation() else {
        return Ok(None);
    };
    let paths = LogPaths::new(&lake.checkpoints, fold.topic());
    let recent = Recent::read(&paths, fold, now_micros)?;
    let accepted = fold.files().values().filter(|file| file.set == FileSet::Accepted);
    Ok(Some(LakeStatus {
        generation: generation.ordinal,
        topic_id: generation.topic_id.clone(),
        cluster_id: generation.cluster_id.clone(),
        totals: fold.totals().appended,
        accepted: set_status(fold, FileSet::Accepted),
        rejected: set_status(fold, FileSet::Rejected),
        checkpoint: generation
            .partitions
            .iter()
            .map(|(partition, state)| PartitionCheckpoint {
                partition: *partition,
                start: state.start,
                next: state.next,
                lost: state.lost.count(),
            })
            .collect(),
        last_commit_number: fold.number(),
        last_commit_unix_millis: recent.last_micros.map(|micros| micros.div_euclid(1000)),
        last_commit_writer: recent.last_writer,
        landed_per_sec: recent.landed_per_sec,
        newest_event_unix_micros: accepted
            .filter_map(|file| file.times)
            .map(|times| times.max_micros)
            .max(),
    }))
}

fn set_status(fold: &Fold, set: FileSet) -> SetStatus {
    let live = fold.live(set);
    SetStatus {
        files: live.files,
        rows: live.rows,
        bytes: live.bytes,
    }
}

/// The last commit, and the rate over the last minute.
#[derive(Debug, Default)]
struct Recent {
    last_micros: Option<i64>,
    last_writer: Option<String>,
    landed_per_sec: Option<f64>,
}

impl Recent {
    /// Reads the log backwards from the fold's end until a minute ago. A commit that cannot be decoded is the
    /// fold's to report, and one that is gone was truncated: both end the walk.
    fn read(paths: &LogPaths, fold: &Fold, now_micros: i64) -> Result<Recent, StoreError> {
        let store = Store::new();
        let mut recent = Recent::default();
        let mut landed = 0;
        let mut unclaimed = Unclaimed::new(fold);
        for number in (1..=fold.number().0)
            .rev()
            .take(usize::try_from(RATE_COMMITS_MAX).unwrap_or(usize::MAX))
        {
            let Some(bytes) = store.read(&paths.commit(CommitNumber(number)))? else {
                break;
            };
            let Ok((commit, _)) = decode_record::<Commit>(&bytes) else {
                break;
            };
            let time = commit.time.unix_micros();
            recent.last_micros.get_or_insert(time);
            recent
                .last_writer
                .get_or_insert_with(|| commit.writer.to_string());
            let begins = now_micros.saturating_sub(RATE_SPAN_MICROS);
            // What the earliest commit looked at brought, it brought before the span that it begins.
            let span = now_micros.saturating_sub(time.max(begins));
            if span > 0 {
                recent.landed_per_sec = Some(landed as f64 * 1e6 / span as f64);
            }
            if time <= begins {
                break;
            }
            if let Body::Append(append) = &commit.body {
                landed += unclaimed.claim(append);
            }
        }
        if recent.last_micros.is_none() {
            recent.last_micros = snapshot_time(&store, paths, fold.number())?;
        }
        Ok(recent)
    }
}

/// When everything was truncated below it, a snapshot tells at least when the fold stood where it stands.
fn snapshot_time(store: &Store, paths: &LogPaths, number: CommitNumber) -> Result<Option<i64>, StoreError> {
    let bytes = store.read(&paths.snapshot(number))?;
    let snapshot = bytes.and_then(|bytes| decode_record::<Snapshot>(&bytes).ok().map(|(read, _)| read.time));
    Ok(snapshot.map(|time| time.unix_micros()))
}

/// Walking backwards, a valid append ends where the next one of its partitions starts; void ones do not fit.
struct Unclaimed {
    ends: BTreeMap<PartitionId, Offset>,
}

impl Unclaimed {
    fn new(fold: &Fold) -> Unclaimed {
        let partitions = fold.generation().map(|generation| &generation.partitions);
        let ends = partitions
            .into_iter()
            .flatten()
            .map(|(partition, state)| (*partition, state.next));
        Unclaimed { ends: ends.collect() }
    }

    /// The records that an append landed, or 0 where it does not fit.
    fn claim(&mut self, append: &Append) -> u64 {
        let fits = append
            .partitions
            .iter()
            .all(|taken| self.ends.get(&taken.partition) == Some(&taken.next));
        if !fits {
            return 0;
        }
        let mut landed = 0;
        for taken in &append.partitions {
            self.ends.insert(taken.partition, taken.from);
            let counts = taken.counts();
            landed += counts.accepted + counts.rejected + counts.tombstones + counts.filtered;
        }
        landed
    }
}
