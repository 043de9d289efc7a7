//! The real program against a broker: one suite, run on the built-in broker and on a real Apache Kafka.
//!
//! `cargo test --release --workspace` runs it on the built-in broker. On a real Kafka:
//! `EVENTLAKE_TEST_BROKERS=$(scripts/kafka.sh start) cargo test --release --test pipeline -- --ignored`
//! which fails, and skips nothing, where no Kafka is named. What only a real Kafka can do (transactions, compaction,
//! offsets by time, creating, growing and deleting topics, deleting records, coming back) is in the second list alone.
//! The same command runs the cases that mount small file systems, for which it must be root.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests"
)]

mod cluster;
mod crashes;
mod disk_faults;
mod events;
mod lake;
mod landing;
mod log;
mod losses;
mod producer;
mod rebalance;
mod refusals;
mod seams;
#[cfg(feature = "tls")]
mod secure;
mod situations;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod wait;
mod workspace;

macro_rules! on_both_brokers {
    ($($module:ident::$case:ident),* $(,)?) => {
        mod builtin {
            $(#[test] fn $case() { crate::$module::$case(&crate::cluster::Cluster::builtin()); })*
        }
        mod real_kafka {
            $(#[test] #[ignore = "needs a real Kafka: see the head of tests/pipeline/main.rs"]
            fn $case() { crate::$module::$case(&crate::cluster::Cluster::real()); })*
        }
    };
}

macro_rules! on_real_kafka_alone {
    ($name:ident, $cluster:ident: $($module:ident::$case:ident),* $(,)?) => {
        mod $name {
            $(#[test] #[ignore = "needs a real Kafka: see the head of tests/pipeline/main.rs"]
            fn $case() { crate::$module::$case(&crate::cluster::Cluster::$cluster()); })*
        }
    };
}

macro_rules! on_the_builtin_broker_alone {
    ($name:ident: $($module:ident::$case:ident),* $(,)?) => {
        mod $name { $(#[test] fn $case() { crate::$module::$case(&crate::cluster::Cluster::builtin()); })* }
    };
}

macro_rules! on_the_builtin_broker_as_root {
    ($name:ident: $($module:ident::$case:ident),* $(,)?) => {
        mod $name {
            $(#[test] #[ignore = "mounts file systems, so it needs root: see the head of tests/pipeline/main.rs"]
            fn $case() { crate::$module::$case(&crate::cluster::Cluster::builtin()); })*
        }
    };
}

macro_rules! without_broker {
    ($($module:ident::$case:ident),* $(,)?) => {
        mod no_broker { $(#[test] fn $case() { crate::$module::$case(); })* }
    };
}

on_both_brokers!(
    landing::two_topics_land_once_and_idle_runs_change_nothing,
    landing::every_compression_reads,
    landing::a_new_topic_is_a_schema_and_four_lines,
    landing::start_latest_takes_only_what_comes_after,
    landing::a_reader_never_sees_half_a_commit,
    landing::late_events_land_in_their_own_hour,
    crashes::killed_again_and_again_it_lands_everything_once,
    crashes::a_signal_rolls_commits_and_ends_in_success,
    crashes::a_second_signal_stops_at_once,
    crashes::two_writers_share_a_topic_and_one_dies,
    crashes::who_waits_for_a_dead_member_says_so,
    losses::a_file_that_is_gone_is_written_again,
    rebalance::what_a_writer_retains_is_left_alone,
    rebalance::an_assignment_over_one_that_is_fetched_loses_nothing,
    refusals::a_data_folder_that_cannot_be_written_is_named,
    refusals::a_commit_cut_short_or_edited_stops_the_topic,
    refusals::a_table_belongs_to_one_log,
    refusals::a_missing_topic_is_said,
);

on_the_builtin_broker_alone!(disks:
    disk_faults::a_failing_lake_is_waited_for,
    disk_faults::a_failing_disk_of_checkpoints_is_waited_for,
    disk_faults::a_commit_whose_reply_is_lost_is_there_once,
    disk_faults::a_full_disk_during_the_snapshot_holds_up_nothing,
    disk_faults::a_failing_disk_during_cleaning_holds_up_nothing,
    disk_faults::a_refused_assignment_is_tried_until_it_is_taken,
);

on_the_builtin_broker_as_root!(mounted_disks:
    disk_faults::a_full_lake_is_waited_for,
    disk_faults::a_full_disk_of_rejected_records_is_waited_for,
    disk_faults::a_full_disk_of_checkpoints_is_waited_for,
    disk_faults::a_lake_that_turns_read_only_is_waited_for,
    disk_faults::a_disk_of_checkpoints_that_turns_read_only_is_waited_for,
    disk_faults::a_start_on_a_read_only_disk_is_waited_for,
);

on_real_kafka_alone!(only_real_kafka, real:
    landing::topics_are_created_and_listed,
    landing::start_at_a_time_takes_the_records_from_then_on,
    landing::a_partition_that_appears_later_lands_from_its_start,
    sources::aborted_transactions_never_land,
    sources::an_open_transaction_is_left_for_later,
    sources::a_compacted_topic_lands_what_compaction_left,
    losses::retention_past_the_checkpoint_is_data_loss,
    losses::a_topic_created_again_is_a_new_generation,
    losses::a_file_that_is_gone_from_kafka_too_is_data_loss,
    losses::a_topic_created_again_under_a_running_daemon_is_a_new_generation,
    rebalance::a_rebalance_costs_no_freshness_beyond_a_roll,
    rebalance::writers_come_and_go_under_the_eager_protocol,
    rebalance::writers_come_and_go_as_static_members,
    rebalance::a_static_member_comes_back_without_a_rebalance,
    rebalance::a_static_member_whose_name_is_taken_says_so_and_ends,
    rebalance::a_revoke_that_takes_too_long_is_survived,
    rebalance::a_signal_at_any_moment_of_the_start_ends_it,
    rebalance::a_backlog_of_transactions_is_read_while_members_come_and_go,
    situations::a_topic_is_created_again_twice_in_the_middle_of_a_roll,
    situations::an_end_made_of_control_records_is_reached_and_handed_over,
    situations::retention_passes_a_paused_consumer,
    situations::until_end_does_not_wait_for_a_topic_that_was_created_again_shorter,
    situations::until_end_ends_when_a_topic_is_deleted,
);

on_real_kafka_alone!(kafka_of_its_own, own:
    losses::a_checkpoint_ahead_of_the_topic_is_data_loss,
    losses::a_broker_that_goes_away_is_waited_for,
);

without_broker!(
    seams::the_process_dies_at_every_seam_and_the_next_one_goes_on_exactly,
    refusals::a_wrong_broker_address_is_said_within_10_seconds,
    refusals::two_topics_cannot_share_a_table,
    refusals::a_topic_cannot_lead_out_of_the_lake,
    refusals::a_schema_that_is_not_json_is_named,
    refusals::a_keyword_that_is_not_supported_is_named,
    refusals::every_fault_of_a_file_is_said_in_one_run,
);
