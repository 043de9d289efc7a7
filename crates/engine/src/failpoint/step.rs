//! The seams outside of files: the steps between the group's wishes, the checkpoint and Kafka, by name.

macro_rules! steps {
    ($($step:ident, $name:literal, $what:literal;)+) => {
        /// A moment in the daemon's work at which it can be made to die. Each is named in the code once.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Step { $(#[doc = $what] $step),+ }

        impl Step {
            pub const ALL: [Step; [$($name),+].len()] = [$(Step::$step),+];

            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Step::$step => $name),+ }
            }

            /// What happens there.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Step::$step => $what),+ }
            }

            /// Whether it can be ordered to fail, and not only to be the last.
            #[must_use]
            pub fn can_fail(self) -> bool {
                matches!(self, Step::TakeAssignment | Step::ReassignIn)
            }
        }
    };
}

// In the order of a process' life.
steps! {
    AssignAsked, "assign-asked", "the group has given partitions, nothing is done yet";
    GenerationSettled, "generation-settled", "recovery: the log's generation is the topic's";
    RecoveryPublished, "recovery-published", "recovery: what any writer committed is published";
    RecoveryCleaned, "recovery-cleaned", "recovery: what crashes left is cleaned";
    CheckpointRead, "checkpoint-read", "recovery: the checkpoint is read, nobody was told";
    TakeAssignment, "take-assignment", "the assignment is about to be given to librdkafka; it can be made to refuse";
    Assigned, "assigned", "partitions are assigned";
    RollBegun, "roll-begun", "a sealed buffer has reached the committer";
    RollPublished, "roll-published", "a roll is committed and published, and nobody knows";
    TellKafka, "tell-kafka", "the group's offsets are about to be committed";
    KafkaTold, "kafka-told", "the group's offsets were handed over to be committed";
    RevokeAsked, "revoke-asked", "the group wants partitions back, nothing is done yet";
    RevokeRolled, "revoke-rolled", "what was buffered of revoked partitions is committed";
    RevokeGiven, "revoke-given", "revoked partitions are given back";
    ReassignOut, "reassign-out", "a topic that goes back is out of the assignment";
    ReassignIn, "reassign-in", "a topic that goes back is about to be put in again; librdkafka can be made to refuse";
    StopAsked, "stop-asked", "the process was told to stop";
    StopRolled, "stop-rolled", "the last rolls are committed";
}
