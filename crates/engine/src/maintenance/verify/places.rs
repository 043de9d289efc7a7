//! Where a table's files lie: in its folders, staged, or about to be exchanged; and which of them are not live.

use std::collections::BTreeSet;
use std::fs::File as DiskFile;
use std::path::{Path, PathBuf};

use eventlake_core::commit::{Body, CommitNumber, FileKey, FileSet, Fold, Owner, decode_record};
use eventlake_core::config::LakeConfig;
use eventlake_core::names::{
    FilePath, StagingEntry, StagingPaths, TableName, file_name_of_staged, staging_entry,
};

use super::findings::Findings;
use super::log::PinnedLog;
use super::report::{Code, Finding, Leftovers};
use crate::lake::store::{Store, StoreError};

const LEFTOVER_EXAMPLES: usize = 20;
const MOVE_AWAY: &str =
    "move the file out of the table: readers of the table see rows that no commit made true";
const RENAME_BACK: &str = "give the file its name back: its content is that of the live file that is missing";

/// The folders of one table.
#[derive(Clone, Debug)]
pub(super) struct Places {
    store: Store,
    table: TableName,
    roots: [PathBuf; 2],
    staging: [StagingPaths; 2],
}

/// A live file that was opened.
pub(super) struct Opened {
    pub file: DiskFile,
    pub path: PathBuf,
    pub is_staged: bool,
}

/// A `*.parquet` file of the table that is not live at the pinned commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Extra {
    pub set: FileSet,
    /// Relative to the root of its set.
    pub path: String,
}

impl Places {
    pub fn new(store: &Store, lake: &LakeConfig, table: &TableName) -> Places {
        Places {
            store: store.clone(),
            table: table.clone(),
            roots: [lake.data.clone(), lake.rejected.clone()],
            staging: [
                StagingPaths::new(&lake.data, table),
                StagingPaths::new(&lake.rejected, table),
            ],
        }
    }

    pub fn published(&self, key: &FileKey) -> PathBuf {
        self.in_root(key.set, key.path.as_str())
    }

    pub fn in_root(&self, set: FileSet, relative: &str) -> PathBuf {
        self.roots[set as usize].join(relative)
    }

    fn staged(&self, key: &FileKey) -> PathBuf {
        self.staging[key.set as usize].staged(&key.path)
    }

    /// Opens a live file under either of its names; None when it has neither.
    pub fn open(&self, key: &FileKey) -> Result<Option<Opened>, StoreError> {
        let (published, staged) = (self.published(key), self.staged(key));
        // A file only ever moves from the second name to the first: so the first is looked at once more at the end.
        for (path, is_staged) in [(&published, false), (&staged, true), (&published, false)] {
            if let Some(file) = self.store.open(path)? {
                let path = path.clone();
                return Ok(Some(Opened {
                    file,
                    path,
                    is_staged,
                }));
            }
        }
        Ok(None)
    }

    /// Every file in the table's folders that is not live: the `*.parquet` among them, and how many others.
    pub fn not_live(&self, fold: &Fold, leftovers: &mut Leftovers) -> Result<Vec<Extra>, StoreError> {
        self.unless(leftovers, |set, path| {
            FilePath::parse(path).is_ok_and(|path| fold.files().contains_key(&FileKey { set, path }))
        })
    }

    /// As `not_live`, where nothing is.
    pub fn all(&self, leftovers: &mut Leftovers) -> Result<Vec<Extra>, StoreError> {
        self.unless(leftovers, |_, _| false)
    }

    fn unless(
        &self,
        leftovers: &mut Leftovers,
        live: impl Fn(FileSet, &str) -> bool,
    ) -> Result<Vec<Extra>, StoreError> {
        let mut extras = Vec::new();
        for set in FileSet::ALL {
            self.visit(set, self.table.as_str(), &mut |path| {
                if live(set, &path) {
                    return;
                }
                if path.ends_with(".parquet") {
                    extras.push(Extra { set, path });
                } else {
                    leftovers.other_files += 1;
                    self.example(leftovers, self.in_root(set, &path));
                }
            })?;
        }
        extras.sort();
        Ok(extras)
    }

    /// Hands out every file below a folder of the root, by its path from the root.
    fn visit(&self, set: FileSet, folder: &str, each: &mut dyn FnMut(String)) -> Result<(), StoreError> {
        for entry in self.store.list(&self.in_root(set, folder))?.unwrap_or_default() {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_folder {
                self.visit(set, &path, each)?;
            } else {
                each(path);
            }
        }
        Ok(())
    }

    pub fn is_there(&self, extra: &Extra) -> Result<bool, StoreError> {
        let length = self.store.length(&self.in_root(extra.set, &extra.path))?;
        Ok(length.is_some())
    }

    /// Staged files, and what is on its way into or out of an exchange. Nobody reads them.
    pub fn count_leftovers(&self, log: &PinnedLog, leftovers: &mut Leftovers) -> Result<(), StoreError> {
        let files = log.fold.files().keys();
        let live: BTreeSet<(FileSet, &str)> = files.map(|key| (key.set, key.path.file_name())).collect();
        for set in FileSet::ALL {
            let staging = &self.staging[set as usize];
            for entry in self.store.list(staging.folder())?.unwrap_or_default() {
                let path = staging.folder().join(&entry.name);
                match staging_entry(&entry.name) {
                    StagingEntry::Owner => {}
                    StagingEntry::Stage(_) => {
                        for staged in self.store.list(&path)?.unwrap_or_default() {
                            let name = file_name_of_staged(&staged.name);
                            if !name.is_some_and(|name| live.contains(&(set, name))) {
                                leftovers.staged_files += 1;
                                self.example(leftovers, path.join(&staged.name));
                            }
                        }
                    }
                    StagingEntry::Temporary | StagingEntry::Unknown => {
                        leftovers.other_files += 1;
                        self.example(leftovers, path);
                    }
                }
            }
        }
        Ok(())
    }

    pub fn example(&self, leftovers: &mut Leftovers, path: impl AsRef<Path>) {
        if leftovers.examples.len() < LEFTOVER_EXAMPLES {
            leftovers.examples.push(path.as_ref().display().to_string());
        }
    }

    /// The table's owner files name this log.
    pub fn check_owner(&self, fold: &Fold, findings: &Findings) -> Result<(), StoreError> {
        for staging in &self.staging {
            let path = staging.owner();
            let Some(bytes) = self.store.read(&path)? else {
                continue;
            };
            let fault = match decode_record::<Owner>(&bytes) {
                Err(fault) => fault.to_string(),
                Ok((owner, _)) if Some(owner.log) != fold.log() || owner.topic != *fold.topic() => {
                    format!("it names log {} of topic {}", owner.log, owner.topic)
                }
                Ok(_) => continue,
            };
            let what = format!("{}: {fault}", path.display());
            let remedy =
                "set [lake] to the folders that belong together, or put the owner file back from a backup";
            findings.add(Finding::new(Code::OwnerDiffers, what, remedy));
        }
        Ok(())
    }
}

/// A file of a table whose topic has no log.
pub(super) fn without_log(places: &Places, extra: &Extra) -> Finding {
    let path = places.in_root(extra.set, &extra.path);
    let what = format!("{} is there, but the topic has no commit log", path.display());
    let remedy = "put the topic's log back under checkpoints/, from a backup; or move the file away";
    let mut finding = Finding::new(Code::FileNotLive, what, remedy);
    let key = FilePath::parse(&extra.path).map(|path| FileKey { set: extra.set, path });
    finding.files.extend(key);
    finding
}

/// Judges files that are not live at the pinned commit, by a log that was read after they were listed.
pub(super) fn judge_extras(
    places: &Places,
    log: &PinnedLog,
    later: &PinnedLog,
    extras: Vec<Extra>,
    findings: &Findings,
    leftovers: &mut Leftovers,
) -> Result<(), StoreError> {
    let is_broken = log.is_broken() || later.is_broken();
    for extra in extras {
        let key = FilePath::parse(&extra.path)
            .ok()
            .map(|path| FileKey { set: extra.set, path });
        let is_live = |key: &FileKey| later.fold.files().contains_key(key);
        if key.as_ref().is_some_and(is_live) || !places.is_there(&extra)? {
            continue;
        }
        if let Some(key) = key.as_ref().filter(|_| is_broken) {
            findings.unchecked(format!(
                "{key}: a commit behind the one that is gone or damaged may name it, so it cannot be judged"
            ));
            continue;
        }
        if let Some(key) = key.as_ref()
            && later.fold.unfinished().remove.contains(key)
            && awaits_exchange(places, later, key)?
        {
            leftovers.replaced_files += 1;
            places.example(leftovers, places.published(key));
            continue;
        }
        note_extra(places, log, &extra, key, findings)?;
    }
    Ok(())
}

/// Whether a replaced file still stands for those that replace it: none of them is in the table yet, so that readers see
/// every row once. The next start of the ingester exchanges the folder.
fn awaits_exchange(places: &Places, log: &PinnedLog, key: &FileKey) -> Result<bool, StoreError> {
    for number in (1..=log.fold.number().0).rev() {
        let Some(Ok((commit, _))) = log.commit(CommitNumber(number))? else {
            // Commits are deleted only once their removals are done.
            return Ok(false);
        };
        let Body::Replace(replace) = commit.body else {
            continue;
        };
        if !replace.removed.contains(key) {
            continue;
        }
        for added in &replace.files {
            let extra = Extra {
                set: added.set,
                path: added.path.as_str().to_owned(),
            };
            if places.is_there(&extra)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    Ok(false)
}

fn note_extra(
    places: &Places,
    log: &PinnedLog,
    extra: &Extra,
    key: Option<FileKey>,
    findings: &Findings,
) -> Result<(), StoreError> {
    let path = places.in_root(extra.set, &extra.path);
    let mut finding = match twin_of(places, log, extra)? {
        Some(twin) => {
            let what = format!("{} is not live: it is {twin} under another name", path.display());
            Finding::new(Code::FileNotLive, what, RENAME_BACK).of_file(twin)
        }
        None => {
            let was = match &key {
                Some(key) if log.fold.unfinished().remove.contains(key) => {
                    "it was replaced, and the files that replace it are there"
                }
                _ => "no commit of the log names it",
            };
            let what = format!("{} is not live: {was}", path.display());
            Finding::new(Code::FileNotLive, what, MOVE_AWAY)
        }
    };
    finding.files.extend(key);
    findings.add(finding);
    Ok(())
}

/// The live file that is gone and has this content.
fn twin_of(places: &Places, log: &PinnedLog, extra: &Extra) -> Result<Option<FileKey>, StoreError> {
    let path = places.in_root(extra.set, &extra.path);
    let Some(length) = places.store.length(&path)? else {
        return Ok(None);
    };
    for file in log.fold.files().values().filter(|file| file.bytes == length) {
        let key = file.key();
        if places.open(&key)?.is_none()
            && let Some(mut opened) = places.store.open(&path)?
            && super::file::sha256(&mut opened).ok() == Some(file.sha256)
        {
            return Ok(Some(key));
        }
    }
    Ok(None)
}
