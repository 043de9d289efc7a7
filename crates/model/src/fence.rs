//! The fences of the protocol, each of which can be taken away to show what it is for.

use std::fmt;
use std::str::FromStr;

/// What taking it away must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Without it the protocol breaks: a counter-example is found.
    Fence,
    /// Nothing breaks without it: it saves work, or detects what the protocol does not allow to happen.
    Economy,
}

macro_rules! fences {
    ($($name:ident $text:literal $worth:ident $rule:literal,)*) => {
        /// One rule that can be taken away.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fence { $($name,)* }

        impl Fence {
            pub const ALL: &[Fence] = &[$(Fence::$name,)*];

            /// The name it has on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Fence::$name => $text,)* }
            }

            #[must_use]
            pub fn worth(self) -> Worth {
                match self { $(Fence::$name => Worth::$worth,)* }
            }

            /// The rule, as it stands.
            #[must_use]
            pub fn rule(self) -> &'static str {
                match self { $(Fence::$name => $rule,)* }
            }
        }
    };
}

fences! {
    AppendFrom "append-from" Fence "an append is valid only from the checkpoint on",
    AppendGeneration "append-generation" Fence "an append is valid only in the current generation",
    ReplaceLive "replace-live" Fence "a replace is valid only while every removed file is live",
    GenerationOrdinal "generation-ordinal" Fence "a generation is valid only with the next ordinal",
    GenerationResumes "generation-resumes" Fence "a topic id that was open before resumes where it ended",
    ExclusiveCreate "exclusive-create" Fence "a commit is created only where none is",
    LookAfterRead "look-after-read" Fence "after the last commit read, look for a newer snapshot",
    LookAfterCreate "look-after-create" Fence "after a create, read on and look before believing in it",
    StartOver "start-over" Economy "start over from a newer snapshot, even when the fold has its number already",
    FreshListing "fresh-listing" Fence "of the store: a listing shows every name that was there before it began",
    BorrowedSync "borrowed-sync" Fence "make commits of others durable before acting on them",
    ManifestFirst "manifest-first" Fence "the manifest is durable before the first staged file",
    StageSync "stage-sync" Fence "staged files and their folder are durable before the commit",
    PlanKept "plan-kept" Fence "a commit takes every partition that its stage planned",
    PublishFold "publish-fold" Fence "publish by a fold begun after taking the table lock",
    ExchangeFold "exchange-fold" Economy "exchange by a fold begun under the exclusive lock",
    TableLock "table-lock" Fence "no file moves while a folder is exchanged",
    ExchangeFolders "exchange" Fence "a folder with files live no longer is exchanged at one instant, not changed file by file",
    FinalBeforeReplace "final-before-replace" Fence "replace only files seen under their final names",
    TwinSync "twin-sync" Fence "the new folder is durable before it is swapped in",
    LinkSync "link-sync" Fence "where a rename takes a link and an unlink, the link is durable before the unlink",
    ExchangeSync "exchange-sync" Fence "the swap is durable before its removals count as done",
    RemovalSync "removal-sync" Fence "removals that another did are made durable before they count as done",
    LostStagedFirst "lost-staged-first" Fence "look for the staged file first, then for the final one",
    LostFoldAfter "lost-fold-after" Fence "a file is lost only if a fold begun after the search has it live",
    CleanFold "clean-fold" Fence "clean by a fold begun after the staged files were listed",
    CleanManifestAfter "clean-manifest-after" Fence "list the manifests after the staged files",
    CleanAppend "clean-append" Fence "an append's files stay until the checkpoint has passed one of its starts",
    CleanReplace "clean-replace" Fence "a replacement's files stay until one of its inputs is not live",
    CleanNamed "clean-named" Fence "a staged file that is live stays until it has its final name",
    SnapshotDurable "snapshot-durable" Fence "a snapshot is durable before commits below it are deleted",
    SnapshotRemovals "snapshot-removals" Fence "a snapshot carries the removals that are not done",
    TruncatePublished "truncate-published" Economy "only fully published commits are deleted",
    TopicIdAfter "topic-id-after" Fence "the topic id is read again after a roll's last record",
    TopicIdRewrite "topic-id-rewrite" Fence "the topic id is read again after a rewrite's last record",
    TopicIdLoss "topic-id-loss" Fence "the topic id is read again after the ends that show a loss",
    FreshTopicId "fresh-topic-id" Fence "of Kafka: a description is never older than records handed out before",
    RewindIdle "rewind-idle" Fence "a new generation rewinds every partition, idle ones too",
    RewindKept "rewind-kept" Fence "a refused roll rewinds every partition it holds, kept ones too",
    StartAtCheckpoint "start-at-checkpoint" Fence "reading starts at the checkpoint, not at the group's offsets",
    DoubtGaps "doubt-gaps" Fence "after a rebalance no gap is taken on trust",
    DoubtReplaced "doubt-replaced" Fence "where an assignment takes another's place, no gap is taken on trust",
    OutOfRange "out-of-range" Fence "an offset out of range is data loss, not a new position",
    EndOfPartition "end-of-partition" Fence "the position follows the end past control records",
    DropOnLost "drop-on-lost" Economy "what a lost partition had buffered is dropped at once",
    AttemptKnown "attempt-known" Economy "a taken number that holds my attempt is my success",
    JudgeFirst "judge-first" Economy "what the fold already shows to be void is not created",
    PreviousChecksum "previous-checksum" Economy "a commit states the checksum of the one before it",
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fence {
    type Err = String;

    fn from_str(text: &str) -> Result<Fence, String> {
        let found = Fence::ALL.iter().find(|fence| fence.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Fence::ALL.iter().map(|fence| fence.name()).collect();
            format!("no fence is named {text:?}; expected one of {}", names.join(", "))
        })
    }
}
