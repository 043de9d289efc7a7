//! Publishing, decided: which files get their final names one by one, and which folders must be exchanged.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::Fold;
use super::record::{File, FileKey, FileSet};
use crate::names::FolderPath;

/// A folder of the table in one of its sets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folder {
    pub set: FileSet,
    pub path: FolderPath,
}

/// What the log says of one folder and the disk may still lack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderWork {
    /// Live files that are not known to have their final names.
    pub publish: Vec<FileKey>,
    /// Files, live no longer, that are not known to be gone.
    pub remove: Vec<FileKey>,
}

/// How the work on a folder is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderStep {
    /// Rename the staged files into it: readers see one file more, and another one.
    Add,
    /// It holds files that are live no longer: swap it for a folder of exactly the live set, at one instant.
    Exchange,
}

/// The folders with anything to do. Empty in steady state.
#[must_use]
pub fn unfinished_folders(fold: &Fold) -> BTreeMap<Folder, FolderWork> {
    let mut folders: BTreeMap<Folder, FolderWork> = BTreeMap::new();
    let unfinished = fold.unfinished();
    for (folder, keys) in by_folder(&unfinished.publish) {
        folders.entry(folder).or_default().publish = keys;
    }
    for (folder, keys) in by_folder(&unfinished.remove) {
        folders.entry(folder).or_default().remove = keys;
    }
    folders
}

/// As the keys of a folder follow each other, each folder is looked for once: at a start there is a key for each live file.
fn by_folder(keys: &BTreeSet<FileKey>) -> BTreeMap<Folder, Vec<FileKey>> {
    let mut folders: BTreeMap<Folder, Vec<FileKey>> = BTreeMap::new();
    let mut keys = keys.iter().peekable();
    while let Some(first) = keys.next() {
        let folder = Folder::of(first);
        let mut run = vec![first.clone()];
        while let Some(key) = keys.next_if(|key| folder.holds(key)) {
            run.push(key.clone());
        }
        folders.entry(folder).or_default().append(&mut run);
    }
    folders
}

/// How to do the work, given the names that the folder holds now.
#[must_use]
pub fn step(work: &FolderWork, present: &BTreeSet<String>) -> FolderStep {
    if work
        .remove
        .iter()
        .any(|key| present.contains(key.path.file_name()))
    {
        FolderStep::Exchange
    } else {
        FolderStep::Add
    }
}

/// Every live file of a folder: what it must hold, and all of ours that it may hold.
pub fn live_in<'a>(fold: &'a Fold, folder: &'a Folder) -> impl Iterator<Item = &'a File> {
    fold.files()
        .values()
        .filter(move |file| file.set == folder.set && file.path.folder() == folder.path)
}

impl Folder {
    #[must_use]
    pub fn holds(&self, key: &FileKey) -> bool {
        key.set == self.set && key.path.is_in(&self.path)
    }

    #[must_use]
    pub fn of(key: &FileKey) -> Folder {
        Folder {
            set: key.set,
            path: key.path.folder(),
        }
    }
}
