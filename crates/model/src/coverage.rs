//! What a run has been through: how often each transition fired and each situation that must be met was met.

macro_rules! counted {
    ($(#[$doc:meta])* $kind:ident { $($name:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind { $($name,)* }

        impl $kind {
            pub const ALL: &[$kind] = &[$($kind::$name,)*];

            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $($kind::$name => $text,)* }
            }
        }
    };
}

counted! {
    /// One step of the world: a call to the store or to Kafka, an outcome, or a fault.
    Transition {
        ReadCommit "read a commit",
        Look "look for a newer snapshot",
        ReadSnapshot "start over from a snapshot",
        SyncLog "make others' commits durable",
        WriteManifest "write a manifest",
        WriteStaged "write a staged file",
        SyncStaged "sync a staged file",
        SyncStage "sync a stage's folder",
        StartStageOver "begin a stage again",
        Create "create a commit",
        CreateTaken "find the number taken",
        SyncCreated "sync a created commit",
        LockShared "lock the table, shared",
        LockExclusive "lock the table, exclusive",
        ListFolder "list a folder of the table",
        RenameStaged "rename a staged file to its final name",
        MakeFolder "make a folder of the table",
        SeekStaged "look for a staged file",
        SeekFinal "look for a final file",
        SyncFolder "sync folders of the table",
        LinkTwin "link a file into a new folder",
        SyncTwin "sync a new folder",
        Exchange "exchange a folder",
        SyncExchange "sync an exchange",
        UnlinkStaged "remove the staged name of an exchanged file",
        RemoveFolder "remove an emptied folder",
        RetireTwin "retire an exchanged folder",
        EmptyTwin "empty a retired folder",
        ListStaged "list staged files",
        ListManifests "list manifests",
        ReadManifest "read a manifest",
        RemoveStaged "remove a staged file",
        ForgetStage "remove a finished stage",
        WriteSnapshot "write a snapshot",
        SyncSnapshots "sync the snapshots",
        RemoveSnapshot "remove an old snapshot",
        RemoveCommit "remove an old commit",
        ReadInput "read a file to replace it",
        Describe "ask Kafka for the topic id",
        Watermarks "ask Kafka for a partition's ends",
        PollRecord "take a record",
        PollEnd "reach a partition's end",
        PollOutOfRange "find the position out of range",
        ReadAgain "read records again for a lost file",
        Assign "take partitions from the group",
        AssignAgain "the group assigns again what was not answered",
        Revoke "give partitions back",
        Lost "lose partitions to the group",
        Rewind "go back to the checkpoint",
        AppendValid "an append comes true",
        CompactionValid "a compaction comes true",
        ReplayValid "a replay comes true",
        RetentionValid "a retention comes true",
        RewriteValid "a rewrite comes true",
        GenerationValid "a generation comes true",
        Committed "a proposal turns out committed",
        Refused "a proposal turns out refused",
        VoidCommit "a proposal turns out void",
        Dropped "a proposal turns out dropped",
        Produce "records are produced",
        Rebalance "the group moves a partition",
        Expire "the group gives a member up",
        Recreate "the topic is deleted and created again",
        KafkaRetention "Kafka deletes old records",
        Crash "a writer dies",
        PowerCut "the power is cut",
        Restart "a writer starts",
        Stall "a thread stands still",
        CallFails "a call fails",
        ReplyLost "a reply is lost",
        PutDelayed "a put is given up and still under way",
        PutLands "a put lands late",
        FileLost "somebody removes a file of the table",
    }
}

counted! {
    /// A situation that the protocol was built for.
    Situation {
        NumberCreatedAgain "a number created again after truncation",
        SnapshotBeforeLook "a snapshot between a create and its look",
        FoldAcrossTruncation "a fold kept in memory across a truncation",
        ReplyLostFound "a commit whose reply was lost",
        LatePut "a put that lands after its writer gave up",
        TwoReplays "two replays of one rejected file",
        TwoCompactors "two compactors",
        CompactionAgainstRetention "compaction against retention",
        ExchangeBesidePublisher "an exchange beside a publisher",
        ExchangeHalfDone "an exchange left half done before a snapshot",
        ReplaceNotFinal "a replace of files not yet final",
        MissingWhileRenamed "a file that seems missing while it is renamed",
        RefusedHoldsKept "a refused roll that holds partitions the writer keeps",
        DiedBeforePublish "a writer that dies between commit and publish while another runs",
        CleanBesideAppend "cleaning beside a stalled committer of an append",
        CleanBesideReplace "cleaning beside a stalled committer of a replacement",
        RewrittenWhilePublished "a staged file rewritten while another publishes it",
        RecreatedInRoll "a topic re-created in the middle of a roll with more records than the old one",
        RecreatedTwice "a topic re-created twice in the middle of a roll",
        StaleMetadata "a topic re-created, described by stale metadata",
        EndOfControl "a partition's end made of control records",
        AssignedOver "an assignment over one that is being fetched",
        RetentionPassesPaused "retention passing a paused consumer",
    }
}

/// The counts of a run.
#[derive(Clone, Debug)]
pub struct Coverage {
    pub transitions: Vec<u64>,
    /// How many schedules met the situation.
    pub situations: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Coverage {
            transitions: vec![0; Transition::ALL.len()],
            situations: vec![0; Situation::ALL.len()],
        }
    }
}

impl Coverage {
    pub fn fired(&mut self, transition: Transition) {
        self.transitions[transition as usize] += 1;
    }

    pub fn met(&mut self, situation: Situation) {
        self.situations[situation as usize] = 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Coverage) {
        let sum =
            |to: &mut Vec<u64>, from: &Vec<u64>| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        sum(&mut self.transitions, &other.transitions);
        sum(&mut self.situations, &other.situations);
    }
}
