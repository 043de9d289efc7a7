//! The order of syncs: what a power cut could undo must be durable before anything is built on it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::super::access::{Access, Call, Faults, Moment};
use super::super::store::Store;
use super::support::{Lake, append, compact, hour};

/// Every call that was done, in order.
#[derive(Default)]
struct Trace(Mutex<Vec<(Call, PathBuf)>>);

impl Faults for Trace {
    fn strike(&self, access: &Access<'_>, moment: Moment) -> io::Result<()> {
        if moment == Moment::After {
            let call = (access.call, access.path.to_owned());
            self.0.lock().expect("unpoisoned").push(call);
        }
        Ok(())
    }
}

impl Trace {
    fn take(&self) -> Vec<(Call, PathBuf)> {
        std::mem::take(&mut self.0.lock().expect("unpoisoned"))
    }
}

fn at(trace: &[(Call, PathBuf)], call: Call, is_it: impl Fn(&Path) -> bool) -> Vec<usize> {
    let all = trace.iter().enumerate();
    all.filter(|(_, (made, path))| *made == call && is_it(path))
        .map(|(index, _)| index)
        .collect()
}

/// Every index in `earlier` is before every one in `later`, and there are both.
fn assert_before(trace: &[(Call, PathBuf)], earlier: &[usize], later: &[usize], rule: &str) {
    let (last, first) = (earlier.iter().max(), later.iter().min());
    assert!(
        last.is_some() && first.is_some() && last < first,
        "{rule}: {trace:#?}"
    );
}

#[test]
fn a_roll_is_durable_step_by_step() {
    let lake = Lake::opened();
    let trace = Arc::new(Trace::default());
    let mut log = lake
        .try_writer(Store::with_faults(trace.clone()))
        .expect("opened");
    trace.take();
    append(&mut log, 4).expect("appended");
    log.publish().expect("published");
    let calls = trace.take();

    let (log_folder, manifests) = (lake.log_folder(), lake.log_folder().join("staging"));
    let is_staged = |path: &Path| path.extension().is_some_and(|extension| extension == "staged");
    let is_commit = |path: &Path| path == lake.commit_path(2);
    let is_stage_folder =
        |path: &Path| path.components().any(|part| part.as_os_str() == "_staging") && !is_staged(path);
    let link = at(&calls, Call::Link, is_commit);
    let renames = at(&calls, Call::Rename, |_| true);

    let manifest = at(&calls, Call::Link, |path| path.parent() == Some(&manifests));
    let manifest_synced = &at(&calls, Call::SyncFolder, |path| path == manifests)[..1];
    assert_before(
        &calls,
        &manifest,
        manifest_synced,
        "the manifest is synced after it is linked",
    );
    let data = at(&calls, Call::CreateFile, is_staged);
    assert_before(
        &calls,
        manifest_synced,
        &data,
        "the manifest is durable before the first data file",
    );
    let synced = at(&calls, Call::SyncFile, is_staged);
    assert_eq!((data.len(), synced.len()), (2, 2));
    assert_before(&calls, &synced, &link, "data files are durable before the commit");
    let stage_synced: Vec<_> = at(&calls, Call::SyncFolder, is_stage_folder)
        .into_iter()
        .filter(|index| *index > data[1])
        .collect();
    assert_eq!(stage_synced.len(), 2, "both sets' folders");
    assert_before(
        &calls,
        &stage_synced,
        &link,
        "their names are durable before the commit",
    );
    let commit_synced = at(&calls, Call::SyncFolder, |path| path == log_folder);
    assert_before(
        &calls,
        &link,
        &commit_synced,
        "the commit's name is synced after it is linked",
    );
    assert_before(
        &calls,
        &commit_synced,
        &renames,
        "the commit is durable before its files are published",
    );
    let hours = at(&calls, Call::SyncFolder, |path| path.ends_with("hour=00"));
    assert_before(&calls, &renames, &hours, "the final names are made durable");
    let above = at(&calls, Call::SyncFolder, |path| path.ends_with("date=1970-01-01"));
    assert!(!above.is_empty(), "the folder's own name is made durable");
}

#[test]
fn what_another_committed_is_made_durable_before_it_is_published() {
    let lake = Lake::opened();
    let trace = Arc::new(Trace::default());
    let mut log = lake
        .try_writer(Store::with_faults(trace.clone()))
        .expect("opened");
    append(&mut lake.writer(), 4).expect("appended");
    trace.take();
    log.publish().expect("published");
    let calls = trace.take();
    let commit_synced = at(&calls, Call::SyncFolder, |path| path == lake.log_folder());
    let renames = at(&calls, Call::Rename, |_| true);
    assert_before(
        &calls,
        &commit_synced,
        &renames,
        "the other may have died before its sync",
    );
}

#[test]
fn an_exchange_is_durable_step_by_step() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    for _ in 0..2 {
        append(&mut log, 4).expect("appended");
    }
    compact(&lake, &mut log, hour(0)).expect("compacted");
    let trace = Arc::new(Trace::default());
    let mut log = lake
        .try_writer(Store::with_faults(trace.clone()))
        .expect("opened");
    trace.take();
    log.publish().expect("published");
    let calls = trace.take();
    let is_twin = |path: &Path| path.parent() == Some(&lake.log_folder().join("exchange"));
    let swap = at(&calls, Call::Exchange, |_| true);
    let filled = at(&calls, Call::Link, |path| path.parent().is_some_and(is_twin));
    let twin_synced = at(&calls, Call::SyncFolder, is_twin);
    assert_before(
        &calls,
        &filled,
        &twin_synced,
        "the new folder is synced when it is filled",
    );
    assert_before(
        &calls,
        &twin_synced,
        &swap,
        "the new folder is durable before it is swapped in",
    );
    let parents = at(&calls, Call::SyncFolder, |path| {
        path.ends_with("date=1970-01-01") || path == lake.log_folder().join("exchange")
    });
    let parents: Vec<_> = parents.into_iter().filter(|index| *index > swap[0]).collect();
    let staged = at(&calls, Call::Remove, |path| {
        path.to_string_lossy().ends_with(".staged")
    });
    assert_before(&calls, &swap, &parents, "the swap is made durable");
    assert_before(&calls, &parents[..2], &staged, "before the staged name goes");
}
