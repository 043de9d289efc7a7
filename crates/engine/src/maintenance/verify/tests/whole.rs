//! Lakes that are right: whatever the writers did to them, and whatever was left over by one that died.

use eventlake_core::commit::FileSet;
use eventlake_core::position::OffsetRange;

use super::super::{Tally, Verdict};
use super::lake::{HOUR, Lake, START};

/// A lake with a bit of everything.
pub fn mixed() -> Lake {
    let mut lake = Lake::new();
    lake.land(&[(0, "aabrtxa"), (3, "abab")]);
    lake.land(&[(0, "xxarr"), (1, "ttt"), (3, "f")]);
    lake.land(&[(1, "a")]);
    lake.publish();
    lake
}

const MIXED: Tally = Tally {
    accepted: 10,
    rejected: 3,
    tombstones: 4,
    filtered: 1,
    absent: 3,
    lost: 0,
    missing: 0,
};

#[test]
fn every_offset_of_a_whole_lake_is_proven() {
    let lake = mixed();
    let report = lake.assert_proven();
    assert_eq!(report.offsets, MIXED);
    assert_eq!(report.commit.0, 4);
    assert_eq!(report.files.rows, 13);
    assert_eq!(report.leftovers, super::super::Leftovers::default());
    let partitions = &report.generations[0].partitions;
    let ranges: Vec<_> = partitions
        .iter()
        .map(|partition| (partition.partition.0, partition.from.0, partition.next.0))
        .collect();
    assert_eq!(ranges, [(0, 0, 12), (1, 0, 4), (3, 0, 5)]);
}

#[test]
fn a_topic_that_landed_nothing_is_proven_to_hold_nothing() {
    let lake = Lake::new();
    assert_eq!(lake.assert_proven().offsets, Tally::default());
    std::fs::remove_dir_all(&lake.config.lake.checkpoints).expect("removed");
    assert_eq!(lake.assert_proven().commit.0, 0);
}

#[test]
fn generations_are_proven_each_by_itself() {
    let mut lake = mixed();
    lake.recreate();
    lake.land(&[(0, "aaa")]);
    lake.publish();
    let report = lake.assert_proven();
    assert_eq!(report.generations.len(), 2);
    assert_eq!(report.generations[1].partitions[0].tally.accepted, 3);
    assert_eq!(report.offsets.accepted, MIXED.accepted + 3);
}

#[test]
fn committed_files_that_are_not_published_are_read_where_they_are() {
    let mut lake = mixed();
    lake.land(&[(0, "aabr")]);
    let report = lake.assert_proven();
    assert_eq!((report.files.unpublished, report.offsets.accepted), (3, 13));
}

#[test]
fn staged_leftovers_are_reported_and_not_refuted() {
    let lake = mixed();
    let stage = lake
        .root(FileSet::Accepted)
        .join("_staging/taps/01900000-0000-7000-8000-0000000000ab");
    std::fs::create_dir_all(&stage).expect("created");
    std::fs::write(stage.join("x.parquet.staged"), b"half a file").expect("written");
    std::fs::write(lake.root(FileSet::Accepted).join("taps/_SUCCESS"), b"").expect("written");
    let report = lake.assert_proven();
    assert_eq!(
        (report.leftovers.staged_files, report.leftovers.other_files),
        (1, 1)
    );
    assert_eq!(report.leftovers.examples.len(), 2);
}

#[test]
fn compaction_changes_nothing_that_is_proven_whether_or_not_it_is_published() {
    let mut lake = mixed();
    lake.compact(FileSet::Accepted, "hour=01");
    let report = lake.assert_proven();
    assert!(
        report.leftovers.replaced_files > 1 && report.files.unpublished == 1,
        "{report:#?}"
    );
    lake.publish();
    let report = lake.assert_proven();
    assert_eq!(
        (report.leftovers.replaced_files, report.files.unpublished),
        (0, 0)
    );
    assert_eq!(report.offsets, MIXED);
}

#[test]
fn deleted_commits_are_accounted_for_offset_by_offset() {
    let mut lake = mixed();
    for _ in 0..3 {
        lake.snapshot();
        lake.land(&[(0, "xat"), (1, "r")]);
        lake.publish();
    }
    lake.snapshot();
    assert!(
        !lake.commit_file(2).exists() && !lake.commit_file(4).exists(),
        "truncated"
    );
    assert!(
        std::fs::read_dir(lake.log_file("accounts"))
            .expect("accounts")
            .count()
            > 0
    );
    let report = lake.assert_proven();
    assert_eq!((report.offsets.absent, report.offsets.tombstones), (6, 7));
}

#[test]
fn lost_offsets_are_never_called_proven() {
    let mut lake = mixed();
    lake.land(&[(0, "llla")]);
    lake.publish();
    let report = lake.verify();
    assert_eq!((report.verdict, report.offsets.lost), (Verdict::Lost, 3));
    assert!(report.refutations.is_empty());
}

#[test]
fn since_a_time_only_what_was_committed_then_is_proven() {
    let mut lake = mixed();
    lake.now = START + 5 * HOUR;
    lake.land(&[(0, "aar"), (1, "x")]);
    lake.publish();
    let report = lake.verify_since(Some(START + 4 * HOUR));
    assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
    let tally = Tally {
        accepted: 2,
        rejected: 1,
        absent: 1,
        ..Tally::default()
    };
    assert_eq!(report.offsets, tally);
    // The files of the offsets since then, and no other: the hours of all files end before.
    assert_eq!(report.files.checked, 2);
    let all = lake.verify_since(Some(START - HOUR));
    assert_eq!(all.offsets.accepted, MIXED.accepted + 2);
}

#[test]
fn an_hour_later_the_files_of_the_hour_are_checked_whoever_committed_them() {
    let mut lake = mixed();
    let hour_02 = START + HOUR + 1;
    lake.now = START + 10 * HOUR;
    lake.land(&[(1, "x")]);
    let report = lake.verify_since(Some(hour_02));
    assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
    assert_eq!(report.files.checked, 1, "the file of hour 02");
}

/// However little memory there is, the proof is the same, in more passes.
#[test]
fn bits_are_held_within_the_bound_whatever_the_range() {
    let mut lake = Lake::new();
    let letters: String = "abrtx".repeat(400);
    for _ in 0..3 {
        lake.land(&[(0, &letters), (1, &letters), (7, "a")]);
    }
    lake.publish();
    let whole = lake.assert_proven();
    for offsets_max in [1_000_000, 5_000, 700] {
        let covered = super::covered_within(&lake, offsets_max);
        assert!(
            covered.bits_bytes_max * 8 <= offsets_max + 3 * 64,
            "{} bytes",
            covered.bits_bytes_max
        );
        assert_eq!(
            covered.passes > 1,
            offsets_max < 10_000,
            "{} passes",
            covered.passes
        );
        let mut sum = Tally::default();
        covered.tallies.values().for_each(|tally| sum.add(*tally));
        assert_eq!(sum, whole.offsets);
        assert_eq!(covered.files, whole.files, "each file is checked once");
    }
}

#[test]
fn a_range_far_from_zero_takes_no_more_bits() {
    let range = OffsetRange::new(
        eventlake_core::position::Offset(i64::MAX - 100),
        eventlake_core::position::Offset(i64::MAX - 1),
    );
    let coverage = eventlake_core::coverage::Coverage::new(range.expect("a range"));
    assert_eq!(coverage.bytes(), 16);
}
