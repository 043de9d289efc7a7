//! Lakes corrupted in every way there is: each is refuted, and rightly named.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::TimestampMicrosecondType;
use eventlake_core::commit::{
    Account, Body, Checksum, Commit, File, FileSet, Moment, ReplaceReason, Snapshot, decode_record,
    encode_record,
};
use eventlake_core::position::OffsetRange;

use super::super::{Code, Refutation, Verdict};
use super::lake::{HOUR, Lake, doubled, ranges, rewrite, without};
use super::whole::mixed;

/// The live accepted file that holds the first offsets of partition 0.
fn first_file(lake: &mut Lake) -> (File, PathBuf) {
    let holds = |file: &File| {
        file.set == FileSet::Accepted && ranges(file).iter().any(|range| (range.0, range.1) == (0, 0))
    };
    let file = lake
        .live()
        .into_iter()
        .find(holds)
        .expect("offset 0 was accepted");
    let path = lake.published(&file.key());
    (file, path)
}

fn one(refutations: &[Refutation], code: Code) -> &Refutation {
    refutations
        .iter()
        .find(|refutation| refutation.code == code)
        .unwrap_or_else(|| panic!("no {code:?} in {refutations:#?}"))
}

fn offsets(refutation: &Refutation) -> Vec<(i64, i64)> {
    let range = |range: &OffsetRange| (range.from().0, range.next().0);
    refutation.offsets.iter().map(range).collect()
}

#[track_caller]
fn assert_names(refutation: &Refutation, path: &std::path::Path, commit: u64) {
    assert!(
        refutation.files.contains(&path.display().to_string()),
        "{refutation:#?} does not name {}",
        path.display()
    );
    assert_eq!(
        refutation.commit.map(|commit| commit.0),
        Some(commit),
        "{refutation:#?}"
    );
}

#[test]
fn a_row_removed_from_a_file_is_named_by_its_offset() {
    let mut lake = mixed();
    let (_, path) = first_file(&mut lake);
    // Offsets 0, 1 and 6 of partition 0, then 0 and 2 of partition 3, in the order of their event times.
    rewrite(&path, &|batch| without(batch, 2));
    let found = lake.assert_refuted(&[Code::FileAltered, Code::RowsDiffer, Code::OffsetsMissing]);
    assert_names(one(&found, Code::FileAltered), &path, 2);
    let missing = one(&found, Code::OffsetsMissing);
    assert_names(missing, &path, 2);
    assert_eq!(
        (offsets(missing), missing.offset_count),
        (vec![(1, 2)], 1),
        "{missing:#?}"
    );
    assert_eq!(missing.partition.map(|partition| partition.0), Some(0));
    assert_eq!(missing.generation.map(|generation| generation.0), Some(1));
}

#[test]
fn a_row_doubled_in_a_file_is_named_by_its_offset() {
    let mut lake = mixed();
    let (_, path) = first_file(&mut lake);
    rewrite(&path, &|batch| doubled(batch, 2));
    let found = lake.assert_refuted(&[Code::FileAltered, Code::RowsDiffer, Code::OffsetsDoubled]);
    let twice = one(&found, Code::OffsetsDoubled);
    assert_names(twice, &path, 2);
    assert_eq!((offsets(twice), twice.offset_count), (vec![(1, 2)], 1));
    assert_eq!(twice.what, "one file holds these offsets twice");
}

/// What a writer with a fault would leave: the checksums hold, so the rows alone tell.
#[test]
fn a_writer_that_forgets_or_doubles_a_row_is_found_by_the_rows() {
    let mut lake = mixed();
    lake.land_altered(&[(0, "aaaa")], |batch| without(batch, 1));
    lake.publish();
    let found = lake.assert_refuted(&[Code::RowsDiffer, Code::OffsetsMissing]);
    assert_eq!(offsets(one(&found, Code::OffsetsMissing)), [(13, 14)]);

    let mut lake = mixed();
    lake.land_altered(&[(0, "aaaa")], |batch| doubled(batch, 1));
    lake.publish();
    let found = lake.assert_refuted(&[Code::RowsDiffer, Code::OffsetsDoubled]);
    assert_eq!(offsets(one(&found, Code::OffsetsDoubled)), [(13, 14)]);

    // As many rows as there should be: one of them stands in for another.
    let mut lake = mixed();
    lake.land_altered(&[(0, "aaaa")], |batch| {
        let rows = [batch.slice(0, 2), batch.slice(1, 1), batch.slice(3, 1)];
        concat_batches(&batch.schema(), &rows).expect("one schema")
    });
    lake.publish();
    let found = lake.assert_refuted(&[Code::OffsetsMissing, Code::OffsetsDoubled]);
    assert_eq!(offsets(one(&found, Code::OffsetsDoubled)), [(13, 14)]);
    assert_eq!(offsets(one(&found, Code::OffsetsMissing)), [(14, 15)]);
    assert_eq!(
        one(&found, Code::OffsetsMissing).commit.map(|commit| commit.0),
        Some(5)
    );
}

fn with_times(batch: RecordBatch, time: impl Fn(usize, i64) -> i64) -> RecordBatch {
    let at = batch.schema().index_of("at").expect("a column");
    let times = batch.column(at).as_primitive::<TimestampMicrosecondType>();
    let moved = (0..batch.num_rows()).map(|row| time(row, times.value(row)));
    let moved: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(moved).with_timezone("UTC"));
    let mut columns = batch.columns().to_vec();
    columns[at] = moved;
    RecordBatch::try_new(batch.schema(), columns).expect("the same schema")
}

#[test]
fn a_row_in_the_wrong_hour_is_named() {
    let mut lake = mixed();
    lake.land_altered(&[(0, "aaaa")], |batch| {
        with_times(batch, |row, time| if row == 2 { time + 3 * HOUR } else { time })
    });
    lake.publish();
    let found = lake.assert_refuted(&[Code::WrongTimePartition, Code::TimesDiffer]);
    let wrong = one(&found, Code::WrongTimePartition);
    assert_eq!(
        (offsets(wrong), wrong.commit.map(|commit| commit.0)),
        (vec![(14, 15)], Some(5))
    );
    assert!(wrong.what.contains("date=2026-11-21/hour=01"), "{}", wrong.what);
}

#[test]
fn times_that_the_commit_does_not_state_are_found() {
    let mut lake = mixed();
    lake.land_altered(&[(0, "aaaa")], |batch| {
        with_times(batch, |_, time| time + 1_000_000)
    });
    lake.publish();
    lake.assert_refuted(&[Code::TimesDiffer]);
}

#[test]
fn any_byte_flipped_in_a_file_is_found() {
    let mut lake = mixed();
    let (_, path) = first_file(&mut lake);
    let bytes = std::fs::read(&path).expect("there");
    for at in (0..bytes.len())
        .step_by(7)
        .chain([bytes.len() - 1, bytes.len() - 5])
    {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x20;
        std::fs::write(&path, &flipped).expect("written");
        let report = lake.verify();
        assert_eq!(report.verdict, Verdict::Refuted, "byte {at}");
        let altered = one(&report.refutations, Code::FileAltered);
        assert_names(altered, &path, 2);
    }
    for kept in [0, 1, 11, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..kept]).expect("written");
        let report = lake.verify();
        let unreadable = one(&report.refutations, Code::FileUnreadable);
        assert_names(unreadable, &path, 2);
        assert_names(one(&report.refutations, Code::FileAltered), &path, 2);
        assert_eq!(
            offsets(one(&report.refutations, Code::OffsetsMissing)),
            [(0, 2), (6, 7)]
        );
    }
    std::fs::write(&path, &bytes).expect("written");
    lake.assert_proven();
}

#[test]
fn a_deleted_file_is_named_with_the_offsets_that_it_held() {
    let mut lake = mixed();
    let (file, path) = first_file(&mut lake);
    std::fs::remove_file(&path).expect("removed");
    let found = lake.assert_refuted(&[Code::FileMissing, Code::OffsetsMissing]);
    assert_names(one(&found, Code::FileMissing), &path, 2);
    let missing: Vec<&Refutation> = found
        .iter()
        .filter(|refutation| refutation.code == Code::OffsetsMissing)
        .collect();
    assert_eq!(missing.len(), file.offsets.len(), "one a partition");
    for refutation in missing {
        assert_names(refutation, &path, 2);
    }
}

#[test]
fn a_file_added_to_the_table_is_named() {
    let mut lake = mixed();
    let (_, path) = first_file(&mut lake);
    let copy = path.with_file_name("copy.parquet");
    std::fs::copy(&path, &copy).expect("copied");
    let found = lake.assert_refuted(&[Code::FileNotLive]);
    assert!(
        found[0].what.contains("copy.parquet") && found[0].what.contains("no commit"),
        "{found:#?}"
    );
    std::fs::remove_file(&copy).expect("removed");

    let odd = lake.root(FileSet::Rejected).join("taps/deep/er/x.parquet");
    std::fs::create_dir_all(odd.parent().expect("a folder")).expect("created");
    std::fs::write(&odd, b"").expect("written");
    let found = lake.assert_refuted(&[Code::FileNotLive]);
    assert!(found[0].what.contains("deep/er/x.parquet"), "{found:#?}");
}

#[test]
fn a_file_moved_to_another_hour_or_renamed_is_named_as_what_it_is() {
    for new_place in ["../hour=05/same", "renamed.parquet"] {
        let mut lake = mixed();
        let (_, path) = first_file(&mut lake);
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let to = path.with_file_name(new_place.replace("same", &name));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("created");
        std::fs::rename(&path, &to).expect("renamed");
        let found = lake.assert_refuted(&[Code::FileMissing, Code::FileNotLive, Code::OffsetsMissing]);
        let moved = one(&found, Code::FileNotLive);
        assert!(moved.what.contains("under another name"), "{moved:#?}");
        assert_names(moved, &path, 2);
        assert!(moved.remedy.contains("its name back"), "{moved:#?}");
    }
}

#[test]
fn two_files_swapped_are_both_named() {
    let mut lake = mixed();
    let live: Vec<PathBuf> = lake
        .live()
        .iter()
        .map(|file| lake.published(&file.key()))
        .collect();
    let (one_bytes, other_bytes) = (
        std::fs::read(&live[0]).expect("there"),
        std::fs::read(&live[1]).expect("there"),
    );
    std::fs::write(&live[0], other_bytes).expect("written");
    std::fs::write(&live[1], one_bytes).expect("written");
    let report = lake.verify();
    assert_eq!(report.verdict, Verdict::Refuted);
    assert_eq!(report.refuted[&Code::FileAltered], 2);
    assert!(
        report.refuted.contains_key(&Code::WrongTimePartition)
            || report.refuted.contains_key(&Code::FooterDiffers)
    );
}

#[test]
fn a_replaced_file_put_back_beside_those_that_replace_it_is_named() {
    let mut lake = mixed();
    let (_, path) = first_file(&mut lake);
    let bytes = std::fs::read(&path).expect("there");
    lake.compact(FileSet::Accepted, "hour=01");
    lake.publish();
    assert!(!path.exists());
    std::fs::write(&path, bytes).expect("written");
    let found = lake.assert_refuted(&[Code::FileNotLive]);
    assert!(found[0].what.contains("it was replaced"), "{found:#?}");
    assert_names(&found[0], &path, 2);
}

/// Edits a record as somebody would who also knows how to make its checksum hold.
fn forge<T: serde::de::DeserializeOwned + serde::Serialize>(
    path: &std::path::Path,
    edit: impl FnOnce(&mut T),
) -> Checksum {
    let bytes = std::fs::read(path).expect("there");
    let (mut record, _) = decode_record::<T>(&bytes).expect("a record");
    edit(&mut record);
    let (bytes, checksum) = encode_record(&record);
    std::fs::write(path, bytes).expect("written");
    checksum
}

#[test]
fn a_commit_edited_deleted_or_swapped_is_named() {
    let refuted_at = |corrupt: &dyn Fn(&Lake), code: Code, commit: u64| {
        let lake = mixed();
        corrupt(&lake);
        let report = lake.verify();
        assert_eq!(report.verdict, Verdict::Refuted, "{report:#?}");
        let mut found = report
            .refutations
            .iter()
            .filter(|refutation| refutation.code == code);
        assert!(
            found.any(|refutation| refutation.commit.map(|number| number.0) == Some(commit)),
            "{code:?} at {commit}: {report:#?}"
        );
        // Files behind the break are not called dead.
        assert!(!report.refuted.contains_key(&Code::FileNotLive), "{report:#?}");
    };
    let flip = |lake: &Lake, number: u64, at: usize| {
        let path = lake.commit_file(number);
        let mut bytes = std::fs::read(&path).expect("there");
        let last = bytes.len() - 1;
        bytes[at.min(last)] ^= 1;
        std::fs::write(path, bytes).expect("written");
    };
    for number in 1..=4 {
        for at in [0, 40, 200, usize::MAX] {
            refuted_at(&|lake| flip(lake, number, at), Code::CommitDamaged, number);
        }
    }
    for number in 1..=3 {
        let delete = |lake: &Lake| std::fs::remove_file(lake.commit_file(number)).expect("removed");
        refuted_at(&delete, Code::CommitMissing, number);
    }
    let swap = |lake: &Lake| {
        let (two, three) = (lake.commit_file(2), lake.commit_file(3));
        let aside = lake.log_file("aside");
        std::fs::rename(&two, &aside).expect("renamed");
        std::fs::rename(&three, &two).expect("renamed");
        std::fs::rename(&aside, &three).expect("renamed");
    };
    refuted_at(&swap, Code::CommitMisplaced, 2);
    refuted_at(&swap, Code::CommitMisplaced, 3);
    let cut = |lake: &Lake| std::fs::write(lake.commit_file(3), b"{\"format\":1").expect("written");
    refuted_at(&cut, Code::CommitDamaged, 3);
    // With a checksum that holds, its successor tells.
    let forged = |lake: &Lake| {
        let earlier = Moment::from_unix_micros(0);
        forge::<Commit>(&lake.commit_file(3), |commit| commit.time = earlier);
    };
    refuted_at(&forged, Code::CommitMisplaced, 4);
}

#[test]
fn without_its_last_commit_a_lake_has_files_that_nothing_made_true() {
    let mut lake = mixed();
    lake.land(&[(0, "aaa")]);
    lake.publish();
    std::fs::remove_file(lake.commit_file(5)).expect("removed");
    let found = lake.assert_refuted(&[Code::FileNotLive]);
    assert!(
        found[0].what.contains("no commit of the log names it"),
        "{found:#?}"
    );
}

/// The last commit claims otherwise than the rows, with a checksum that holds: only the rows tell.
#[test]
fn a_forged_last_commit_is_refuted_by_the_rows() {
    let mut lake = mixed();
    lake.land(&[(0, "aatx")]);
    lake.publish();
    let path = lake.commit_file(5);
    let honest = std::fs::read(&path).expect("there");
    forge::<Commit>(&path, |commit| {
        let Body::Append(append) = &mut commit.body else {
            panic!("an append")
        };
        append.partitions[0].absent = std::mem::take(&mut append.partitions[0].tombstones);
        append.partitions[0]
            .absent
            .push(OffsetRange::one(eventlake_core::position::Offset(15)));
    });
    assert_eq!(
        lake.verify().offsets.absent,
        5,
        "a claim of the last commit alone that no row speaks against"
    );
    std::fs::write(&path, &honest).expect("written");
    forge::<Commit>(&path, |commit| {
        let Body::Append(append) = &mut commit.body else {
            panic!("an append")
        };
        append.files[0].sha256 = Checksum::NONE;
    });
    let found = lake.assert_refuted(&[Code::FileAltered]);
    assert_eq!(found[0].commit.map(|commit| commit.0), Some(5));
}

/// A lake whose first commits were deleted, with accounts and two snapshots.
fn truncated() -> Lake {
    let mut lake = mixed();
    for _ in 0..4 {
        lake.snapshot();
        lake.land(&[(0, "xat"), (1, "r")]);
        lake.publish();
    }
    assert!(!lake.commit_file(3).exists(), "truncated");
    lake.assert_proven();
    lake
}

fn records_in(lake: &Lake, folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(lake.log_file(folder))
        .expect("there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn an_account_deleted_damaged_or_forged_is_named() {
    let lake = truncated();
    let accounts = records_in(&lake, "accounts");
    let bytes = std::fs::read(&accounts[0]).expect("there");
    std::fs::remove_file(&accounts[0]).expect("removed");
    let report = lake.verify();
    assert!(report.refuted.contains_key(&Code::CommitMissing), "{report:#?}");
    assert!(report.refuted.contains_key(&Code::OffsetsMissing), "{report:#?}");

    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    std::fs::write(&accounts[0], flipped).expect("written");
    let report = lake.verify();
    assert!(report.refuted.contains_key(&Code::AccountDamaged), "{report:#?}");

    std::fs::write(&accounts[0], &bytes).expect("written");
    forge::<Account>(&accounts[0], |account| {
        let taken = account.appends.iter_mut().flat_map(|append| &mut append.taken);
        for taken in taken {
            taken.named.tombstones = eventlake_core::position::IntervalSet::new();
        }
    });
    let found = lake.assert_refuted(&[Code::OffsetsMissing]);
    assert_eq!(offsets(&found[0]), [(4, 5)]);
    assert_eq!(found[0].commit.map(|commit| commit.0), Some(2));

    // One more that says otherwise of the same commits.
    std::fs::write(&accounts[0], &bytes).expect("written");
    let (mut other, _) = decode_record::<Account>(&bytes).expect("an account");
    other.last = other.last.following();
    other.appends.truncate(1);
    let name = format!("{:020}-{:020}.json", other.first.0, other.last.0);
    std::fs::write(lake.log_file("accounts").join(name), encode_record(&other).0).expect("written");
    let report = lake.verify();
    assert!(
        report.refuted.contains_key(&Code::AccountDiffers)
            || report.refuted.contains_key(&Code::OffsetsMissing),
        "{report:#?}"
    );
}

#[test]
fn a_snapshot_damaged_or_forged_is_named() {
    let lake = truncated();
    let snapshots = records_in(&lake, "snapshots");
    assert_eq!(snapshots.len(), 2);
    let bytes = std::fs::read(&snapshots[1]).expect("there");
    std::fs::write(&snapshots[1], b"").expect("written");
    lake.assert_refuted(&[Code::SnapshotDamaged]);
    std::fs::write(&snapshots[1], &bytes).expect("written");

    // A forged snapshot forgets a file, and its own totals speak against it.
    let (mut snapshot, _) = decode_record::<Snapshot>(&bytes).expect("a snapshot");
    let forgotten = snapshot.files.remove(0).into_owned();
    std::fs::write(&snapshots[1], encode_record(&snapshot).0).expect("written");
    lake.assert_refuted(&[Code::SnapshotDamaged]);

    // One that forges its totals, too: writers would believe it, and the commits below speak against it.
    let replaced = &mut snapshot.totals.to_mut().replaced;
    let change = replaced.entry(ReplaceReason::Compaction).or_default();
    match forgotten.set {
        FileSet::Accepted => change.accepted_removed += forgotten.rows,
        FileSet::Rejected => change.rejected_removed += forgotten.rows,
    }
    std::fs::write(&snapshots[1], encode_record(&snapshot).0).expect("written");
    let report = lake.verify();
    assert!(report.refuted.contains_key(&Code::SnapshotDiffers), "{report:#?}");
    assert!(report.refuted.contains_key(&Code::FileNotLive), "{report:#?}");
    assert!(report.refuted.contains_key(&Code::OffsetsMissing), "{report:#?}");
    let path = lake.published(&forgotten.key()).display().to_string();
    assert!(
        report
            .refutations
            .iter()
            .any(|refutation| refutation.files.contains(&path))
    );

    // Both snapshots gone: nobody can fold the log.
    for snapshot in snapshots {
        std::fs::remove_file(snapshot).expect("removed");
    }
    let report = lake.verify();
    assert_eq!(report.verdict, Verdict::Unchecked, "{report:#?}");
    assert!(
        report.unchecked[0].contains("cannot be folded"),
        "{:?}",
        report.unchecked
    );
}

#[test]
fn a_table_of_another_log_is_named() {
    let lake = mixed();
    let owner = lake.root(FileSet::Accepted).join("_staging/taps/owner.json");
    std::fs::write(&owner, b"{}").expect("written");
    let found = lake.assert_refuted(&[Code::OwnerDiffers]);
    assert!(found[0].what.contains("owner.json"), "{found:#?}");
}

#[test]
fn files_without_a_log_are_named() {
    let lake = mixed();
    std::fs::remove_dir_all(lake.log_file("")).expect("removed");
    let found = lake.assert_refuted(&[Code::OwnerDiffers, Code::FileNotLive]);
    assert_eq!(found.len(), 2 + 6);
    assert!(
        one(&found, Code::FileNotLive).what.contains("no commit log"),
        "{found:#?}"
    );
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_read_is_not_checked_and_not_refuted() {
    let lake = mixed();
    // A file where a folder should be: even the superuser cannot list it.
    let folder = lake.log_file("snapshots");
    std::fs::remove_dir_all(&folder).expect("removed");
    std::fs::write(&folder, b"").expect("written");
    let report = lake.verify();
    assert_eq!(report.verdict, Verdict::Unchecked, "{report:#?}");
    assert!(
        report.unchecked[0].contains("snapshots"),
        "{:?}",
        report.unchecked
    );
}
