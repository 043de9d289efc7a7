//! What a proof says: per topic the offsets proven, every refutation with its place and what to do, what was not checked.

use std::collections::BTreeMap;

use eventlake_core::commit::{CommitNumber, FileKey, GenerationOrdinal, TopicId};
use eventlake_core::names::{TableName, TopicName};
use eventlake_core::position::{Offset, OffsetRange, PartitionId};
use serde::Serialize;

/// The proof of one topic's lake. The field names are a public format.
#[derive(Clone, Debug, Serialize)]
pub struct TopicReport {
    pub topic: TopicName,
    pub table: TableName,
    pub verdict: Verdict,
    /// The commit that the log was pinned at; 0: the topic has no log.
    pub commit: CommitNumber,
    pub offsets: Tally,
    pub generations: Vec<GenerationReport>,
    pub files: FilesReport,
    /// How often the memory limit made the proof go through files and log.
    pub passes: usize,
    pub leftovers: Leftovers,
    /// None: Kafka was not asked.
    pub kafka: Option<KafkaReport>,
    /// How many refutations there are, by their code; those beyond the examples included.
    pub refuted: BTreeMap<Code, u64>,
    pub refutations: Vec<Refutation>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Proven,
    Refuted,
    /// Nothing is refuted, but the log itself says that offsets were lost.
    Lost,
    /// Nothing is refuted, but something could not be checked.
    Unchecked,
}

#[derive(Clone, Debug, Serialize)]
pub struct GenerationReport {
    pub generation: GenerationOrdinal,
    pub topic_id: TopicId,
    pub partitions: Vec<PartitionReport>,
}

/// What became of the offsets in `[from, next)`. What adds up to less than their number is refuted.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionReport {
    pub partition: PartitionId,
    pub from: Offset,
    pub next: Offset,
    #[serde(flatten)]
    pub tally: Tally,
}

/// Offsets by the one place that each was found in: rows counted in the files, and offsets named by commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub accepted: u64,
    pub rejected: u64,
    pub tombstones: u64,
    pub filtered: u64,
    /// As the log claims, unless Kafka was asked.
    pub absent: u64,
    pub lost: u64,
    /// Found nowhere.
    pub missing: u64,
}

impl Tally {
    pub fn add(&mut self, more: Tally) {
        self.accepted += more.accepted;
        self.rejected += more.rejected;
        self.tombstones += more.tombstones;
        self.filtered += more.filtered;
        self.absent += more.absent;
        self.lost += more.lost;
        self.missing += more.missing;
    }

    /// Offsets that have a place.
    #[must_use]
    pub fn placed(&self) -> u64 {
        self.accepted + self.rejected + self.tombstones + self.filtered + self.absent + self.lost
    }
}

/// The live files that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilesReport {
    pub checked: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Committed and still under their staged names: the next start of the ingester publishes them.
    pub unpublished: u64,
}

/// What lies about and harms nobody: the ingester cleans it up, or nobody reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Leftovers {
    pub staged_files: u64,
    /// Replaced files whose folder has not been exchanged yet.
    pub replaced_files: u64,
    /// Commit files at numbers that were accounted for and freed.
    pub freed_commits: u64,
    /// Files in the table's folders that no reader of `*.parquet` finds.
    pub other_files: u64,
    /// A few of all these.
    pub examples: Vec<String>,
}

/// What Kafka said to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KafkaReport {
    /// Records read again whose offset, verdict and values are those of the lake.
    pub compared: u64,
    /// Of them accepted and rejected rows, value by value.
    pub rows: u64,
    /// Absent offsets that Kafka indeed went past.
    pub absent_proven: u64,
    /// Offsets that Kafka has no more: retention, compaction, or an earlier life of the topic.
    pub not_checkable: u64,
    /// Why, a line each.
    pub reasons: Vec<String>,
    /// Whether Kafka could be asked about all of it. False: it was away, or fell silent, and the proof is no proof.
    pub complete: bool,
}

impl KafkaReport {
    /// Where there is nothing to compare, all of it has been.
    pub fn of_nothing() -> KafkaReport {
        KafkaReport {
            complete: true,
            ..KafkaReport::default()
        }
    }
}

/// One claim of the lake that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refutation {
    pub code: Code,
    pub topic: TopicName,
    pub table: TableName,
    pub generation: Option<GenerationOrdinal>,
    pub partition: Option<PartitionId>,
    /// The first few of the offsets, as `[from, next]`.
    pub offsets: Vec<OffsetRange>,
    /// How many offsets there are in all.
    pub offset_count: u64,
    /// Paths, the set's root included.
    pub files: Vec<String>,
    pub commit: Option<CommitNumber>,
    pub what: String,
    pub remedy: String,
}

/// What kind of claim does not hold. The texts are a public format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A commit is gone, and no account speaks of it.
    CommitMissing,
    /// A commit cannot be read, or was edited.
    CommitDamaged,
    /// A commit stands where another one belongs: another number, topic or predecessor.
    CommitMisplaced,
    AccountDamaged,
    /// Two accounts, or an account and the log around it, contradict each other.
    AccountDiffers,
    SnapshotDamaged,
    /// A snapshot says something else than the commits below it.
    SnapshotDiffers,
    /// The table's owner file names another log.
    OwnerDiffers,
    FileMissing,
    /// A file's length or checksum is not what its commit says.
    FileAltered,
    FileUnreadable,
    FooterDiffers,
    SchemaDiffers,
    /// A file holds more or fewer rows of a partition than its commit says, or rows of other offsets.
    RowsDiffer,
    /// The earliest and latest time of a file's rows are not those of its commit.
    TimesDiffer,
    WrongTimePartition,
    /// A Parquet file of the table that is not live: readers see rows that no commit made true.
    FileNotLive,
    OffsetsMissing,
    OffsetsDoubled,
    /// What the log counts is not what is there.
    CountsDiffer,
    /// Kafka has another record at an offset than the lake.
    KafkaDiffers,
    /// Kafka has a record at an offset that the lake has not as one.
    KafkaHasMore,
}

impl Code {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::CommitMissing => "commit_missing",
            Code::CommitDamaged => "commit_damaged",
            Code::CommitMisplaced => "commit_misplaced",
            Code::AccountDamaged => "account_damaged",
            Code::AccountDiffers => "account_differs",
            Code::SnapshotDamaged => "snapshot_damaged",
            Code::SnapshotDiffers => "snapshot_differs",
            Code::OwnerDiffers => "owner_differs",
            Code::FileMissing => "file_missing",
            Code::FileAltered => "file_altered",
            Code::FileUnreadable => "file_unreadable",
            Code::FooterDiffers => "footer_differs",
            Code::SchemaDiffers => "schema_differs",
            Code::RowsDiffer => "rows_differ",
            Code::TimesDiffer => "times_differ",
            Code::WrongTimePartition => "wrong_time_partition",
            Code::FileNotLive => "file_not_live",
            Code::OffsetsMissing => "offsets_missing",
            Code::OffsetsDoubled => "offsets_doubled",
            Code::CountsDiffer => "counts_differ",
            Code::KafkaDiffers => "kafka_differs",
            Code::KafkaHasMore => "kafka_has_more",
        }
    }
}

/// A claim that does not hold, as found: where it is, before the commit behind it is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub code: Code,
    pub place: Option<(GenerationOrdinal, PartitionId)>,
    pub offsets: Vec<OffsetRange>,
    pub offset_count: u64,
    pub files: Vec<FileKey>,
    pub commit: Option<CommitNumber>,
    pub what: String,
    pub remedy: &'static str,
}

impl Finding {
    pub fn new(code: Code, what: String, remedy: &'static str) -> Finding {
        Finding {
            code,
            place: None,
            offsets: Vec::new(),
            offset_count: 0,
            files: Vec::new(),
            commit: None,
            what,
            remedy,
        }
    }

    pub fn of_commit(mut self, commit: CommitNumber) -> Finding {
        self.commit = Some(commit);
        self
    }

    pub fn of_file(mut self, file: FileKey) -> Finding {
        self.files.push(file);
        self
    }

    pub fn of_offsets(
        mut self,
        place: (GenerationOrdinal, PartitionId),
        offsets: Vec<OffsetRange>,
        count: u64,
    ) -> Finding {
        self.place = Some(place);
        self.offsets = offsets;
        self.offset_count = count;
        self
    }
}
