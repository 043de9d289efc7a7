//! A log or table that somebody damaged: a clear error, and nothing changed on disk.

use eventlake_core::commit::FileSet;

use super::super::store::Store;
use super::super::{LakeError, read_fold};
use super::support::{Lake, append, later, roll, topic};
use crate::lake::SnapshotPolicy;

fn lake_of_five() -> Lake {
    let lake = Lake::opened();
    let mut log = lake.writer();
    for _ in 0..4 {
        append(&mut log, 3).expect("appended");
        log.publish().expect("published");
    }
    lake
}

/// Opening fails with damage that names the path, and neither that nor reading changes anything.
fn assert_refused(lake: &Lake, path_ends: &str, fault: &str) {
    let before = lake.tree();
    let error = lake.try_writer(Store::new()).expect_err("damaged");
    let LakeError::Corrupt { path, .. } = &error else {
        panic!("{error}")
    };
    assert!(path.ends_with(path_ends), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(path_ends) && text.contains(fault) && text.contains("hint: "),
        "{text}"
    );
    read_fold(&lake.paths.checkpoints, &topic()).expect_err("damaged");
    assert_eq!(lake.tree(), before);
}

#[test]
fn a_commit_cut_short_or_edited_stops_the_topic() {
    let lake = lake_of_five();
    let path = lake.commit_path(3);
    let whole = std::fs::read(&path).expect("there");
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("written");
        assert_refused(&lake, "00000000000000000003.json", "cut short");
    }
    let text = String::from_utf8(whole.clone()).expect("text");
    std::fs::write(&path, text.replace("\"next\":6", "\"next\":7")).expect("written");
    assert_refused(&lake, "00000000000000000003.json", "altered");
    std::fs::write(&path, whole).expect("written");
    lake.assert_exact();
}

#[test]
fn a_commit_of_another_place_stops_the_topic() {
    let lake = lake_of_five();
    std::fs::copy(lake.commit_path(2), lake.commit_path(3)).expect("copied");
    assert_refused(&lake, "00000000000000000003.json", "states number 2, expected 3");
    // The same log, but another history: each file is whole, the chain is not.
    let (one, other) = (lake_of_five(), lake_of_five());
    std::fs::copy(other.commit_path(3), one.commit_path(3)).expect("copied");
    assert_refused(
        &one,
        "00000000000000000003.json",
        "follows a commit with the checksum",
    );
}

#[test]
fn a_missing_commit_is_not_the_end_of_the_log() {
    let lake = lake_of_five();
    std::fs::remove_file(lake.commit_path(2)).expect("removed");
    assert_refused(
        &lake,
        "00000000000000000002.json",
        "it is missing, though commit 5 is there",
    );
}

#[test]
fn a_log_that_vanishes_under_a_writer_stops_it() {
    let lake = lake_of_five();
    let mut log = lake.writer();
    std::fs::remove_dir_all(lake.log_folder()).expect("removed");
    let error = log.fold().expect_err("gone");
    assert!(matches!(error, LakeError::Corrupt { .. }), "{error}");
}

#[test]
fn a_damaged_snapshot_can_be_put_aside() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    for _ in 0..12 {
        roll(&mut log, 1).expect("rolled");
    }
    let checksum = log.fold().expect("a fold").checksum();
    let snapshots = lake.log_folder().join("snapshots");
    let mut paths = super::support::files_below(&snapshots);
    paths.sort();
    assert_eq!(paths.len(), 2, "the two newest are kept");
    let newest = paths.pop().expect("two");
    let name = newest.file_name().expect("a name").to_string_lossy().into_owned();
    std::fs::write(&newest, "{}").expect("written");
    assert_refused(&lake, &name, "cut short");
    std::fs::remove_file(&newest).expect("removed");
    assert_eq!(lake.writer().fold().expect("a fold").checksum(), checksum);
    lake.assert_exact();
}

#[test]
fn a_live_file_that_is_gone_is_data_loss_and_named() {
    let lake = lake_of_five();
    let mut log = lake.writer();
    append(&mut log, 3).expect("appended");
    let (set, path) = lake.visible().remove(0);
    std::fs::remove_file(lake.root(set).join(&path)).expect("removed");
    let mut log = lake.writer();
    let error = log.publish().expect_err("a file is gone");
    let LakeError::MissingFiles { files, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(files.len(), 1);
    assert!(
        error.to_string().contains(&path) && error.to_string().contains("partition 0 offsets [0, 2)"),
        "{error}"
    );
    assert_eq!(lake.visible().len(), 9, "all others were published");
    let done = log.snapshot(
        &SnapshotPolicy {
            every: 1,
            log_retention: Default::default(),
        },
        later(),
    );
    assert_eq!(
        done.expect("a snapshot").commits_deleted,
        0,
        "what is not published is not forgotten"
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let lake = Lake::new();
    for set in FileSet::ALL {
        let root = lake.root(set);
        std::fs::create_dir_all(root.parent().expect("a parent")).expect("created");
        std::fs::write(root, "in the way").expect("written");
        let before = lake.tree();
        let error = lake.try_writer(Store::new()).expect_err("no folder there");
        assert!(error.to_string().contains(&root.display().to_string()), "{error}");
        assert!(!lake.paths.checkpoints.exists());
        assert_eq!(lake.tree(), before);
        std::fs::remove_file(root).expect("removed");
    }
}

#[test]
fn a_full_disk_is_told_as_such_and_nothing_is_half_there() {
    struct Full;
    impl crate::lake::access::Faults for Full {
        fn strike(
            &self,
            access: &crate::lake::access::Access<'_>,
            _: crate::lake::access::Moment,
        ) -> std::io::Result<()> {
            match access.call {
                crate::lake::access::Call::Write => Err(std::io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            }
        }
    }
    let lake = lake_of_five();
    let mut log = lake
        .try_writer(Store::with_faults(std::sync::Arc::new(Full)))
        .expect("opened");
    let before = lake.tree();
    let error = append(&mut log, 3).expect_err("full");
    assert!(error.to_string().contains("hint: free some space"), "{error}");
    assert_eq!(lake.tree(), before);
}

/// The line of shell that `docs/commit-log.md` gives to check a record.
#[test]
fn anybody_can_check_a_record_with_sha256sum() {
    let docs = include_str!("../../../../../docs/commit-log.md");
    let line = docs
        .lines()
        .find(|line| line.starts_with("head -c"))
        .expect("the docs give a line");
    let lake = lake_of_five();
    let run = || {
        let script = format!("f={}\n{line}", lake.commit_path(3).display());
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .expect("a shell");
        String::from_utf8(output.stdout)
            .expect("text")
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let digits = run();
    assert!(
        digits.len() == 2 && digits[0].len() == 64 && digits[0] == digits[1],
        "{digits:?}"
    );
    let mut content = std::fs::read(lake.commit_path(3)).expect("there");
    content[20] ^= 1;
    std::fs::write(lake.commit_path(3), content).expect("written");
    let digits = run();
    assert!(digits.len() == 2 && digits[0] != digits[1], "{digits:?}");
}
