//! The file system of the model: folders, names and files, what of them is durable, and the table lock.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use eventlake_core::commit::{Checksum, Commit, FileSet, Folder, Manifest, StageId};

use crate::choice::Choices;

/// A folder by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    Log,
    Snapshots,
    Manifests,
    Stage(FileSet, StageId),
    Table(Folder),
    Twin(StageId, FileSet),
    Retired(StageId, FileSet),
}

/// The folder that holds a folder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parent {
    Root,
    Staging(FileSet),
    Table(FileSet),
    Exchange,
}

impl Slot {
    #[must_use]
    pub fn parent(&self) -> Parent {
        match self {
            Slot::Log | Slot::Snapshots | Slot::Manifests => Parent::Root,
            Slot::Stage(set, _) => Parent::Staging(*set),
            Slot::Table(folder) => Parent::Table(folder.set),
            Slot::Twin(..) | Slot::Retired(..) => Parent::Exchange,
        }
    }
}

/// The name of a file in its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Number(u64),
    Stage(StageId),
    File(Arc<str>),
}

/// A row of a data file: which record it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The life of the topic that the record really came from.
    pub life: usize,
    pub partition: i32,
    pub offset: i64,
}

#[derive(Clone, Debug)]
pub enum Content {
    Commit(Rc<Commit>, Checksum),
    /// The bytes of a snapshot record.
    Snapshot(Rc<Vec<u8>>),
    Manifest(Rc<Manifest>),
    Rows(Rc<Vec<Row>>),
}

#[derive(Clone, Debug)]
struct Inode {
    content: Content,
    is_synced: bool,
    /// Its content was not durable when the power went.
    is_torn: bool,
}

pub type InodeId = usize;
type FolderId = usize;
type Entries = BTreeMap<Name, InodeId>;

/// Folders and names, at one instant.
#[derive(Clone, Debug, Default)]
struct Names {
    slots: BTreeMap<Slot, FolderId>,
    entries: BTreeMap<FolderId, Entries>,
}

/// A change of names. One that a power cut undoes is undone as a whole.
#[derive(Clone, Debug)]
enum Change {
    Make(Slot, FolderId),
    Put(FolderId, Name, InodeId),
    Remove(FolderId, Name),
    Move(FolderId, FolderId, Name),
    Swap(Slot, Slot),
    RenameFolder(Slot, Slot),
    RemoveFolder(Slot),
}

impl Names {
    fn folder(&mut self, id: FolderId) -> &mut Entries {
        self.entries.entry(id).or_default()
    }

    /// What cannot be done any more is left out.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Make(slot, id) => {
                self.slots.entry(slot.clone()).or_insert(*id);
            }
            Change::Put(id, name, inode) => {
                self.folder(*id).insert(name.clone(), *inode);
            }
            Change::Remove(id, name) => {
                self.folder(*id).remove(name);
            }
            Change::Move(from, to, name) => {
                if let Some(inode) = self.folder(*from).remove(name) {
                    self.folder(*to).insert(name.clone(), inode);
                }
            }
            Change::Swap(one, other) => {
                if let (Some(a), Some(b)) = (self.slots.get(one).copied(), self.slots.get(other).copied()) {
                    self.slots.insert(one.clone(), b);
                    self.slots.insert(other.clone(), a);
                }
            }
            Change::RenameFolder(from, to) => {
                if let Some(id) = self.slots.remove(from) {
                    self.slots.insert(to.clone(), id);
                }
            }
            Change::RemoveFolder(slot) => {
                let empty = self
                    .slots
                    .get(slot)
                    .is_some_and(|id| self.entries.get(id).is_none_or(Entries::is_empty));
                if empty {
                    self.slots.remove(slot);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    Created,
    Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    Moved,
    Missing,
    Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    Shared,
    Exclusive,
}

#[derive(Clone, Debug)]
pub struct Store {
    now: Names,
    durable: Names,
    /// What is not durable yet, in the order it was done.
    journal: Vec<Change>,
    inodes: Vec<Inode>,
    folders_made: FolderId,
    /// Holders of the table lock, by an id each.
    locks: BTreeMap<u64, LockKind>,
    locks_made: u64,
    /// What listings of the snapshots and manifests once showed, for a store that does not keep its promise.
    past: BTreeMap<Slot, Vec<BTreeSet<Name>>>,
}

impl Store {
    #[must_use]
    pub fn new() -> Store {
        let mut store = Store {
            now: Names::default(),
            durable: Names::default(),
            journal: Vec::new(),
            inodes: Vec::new(),
            folders_made: 0,
            locks: BTreeMap::new(),
            locks_made: 0,
            past: BTreeMap::new(),
        };
        for slot in [Slot::Log, Slot::Snapshots, Slot::Manifests] {
            store.make_folder(&slot);
            store.sync_parent(Parent::Root);
        }
        store
    }

    fn change(&mut self, change: Change) {
        self.now.apply(&change);
        self.journal.push(change);
        for slot in [Slot::Snapshots, Slot::Manifests] {
            let names = self.list(&slot).unwrap_or_default().into_iter().collect();
            let past = self.past.entry(slot).or_default();
            if past.last() != Some(&names) {
                past.push(names);
            }
        }
    }

    fn folder_id(&self, slot: &Slot) -> Option<FolderId> {
        self.now.slots.get(slot).copied()
    }

    fn entries(&self, slot: &Slot) -> Option<&Entries> {
        static NONE: Entries = Entries::new();
        let id = self.folder_id(slot)?;
        Some(self.now.entries.get(&id).unwrap_or(&NONE))
    }

    pub fn make_folder(&mut self, slot: &Slot) {
        if self.folder_id(slot).is_none() {
            self.folders_made += 1;
            self.change(Change::Make(slot.clone(), self.folders_made));
        }
    }

    /// A file with a name that must be free, unless it may be overwritten.
    pub fn create(&mut self, slot: &Slot, name: Name, content: Content, overwrites: bool) -> Created {
        let id = self.folder_id(slot).expect("its folder is there");
        if !overwrites && self.inode(slot, &name).is_some() {
            return Created::Taken;
        }
        let is_synced = !matches!(content, Content::Rows(_));
        self.inodes.push(Inode {
            content,
            is_synced,
            is_torn: false,
        });
        self.change(Change::Put(id, name, self.inodes.len() - 1));
        Created::Created
    }

    #[must_use]
    pub fn inode(&self, slot: &Slot, name: &Name) -> Option<InodeId> {
        self.entries(slot)?.get(name).copied()
    }

    /// The content of a file; None where there is none, or only a torn one.
    #[must_use]
    pub fn read(&self, slot: &Slot, name: &Name) -> Option<&Content> {
        let inode = &self.inodes[self.inode(slot, name)?];
        (!inode.is_torn).then_some(&inode.content)
    }

    /// The rows behind a name; None for a torn file, too.
    #[must_use]
    pub fn rows(&self, slot: &Slot, name: &Name) -> Option<Rc<Vec<Row>>> {
        match self.read(slot, name)? {
            Content::Rows(rows) => Some(Rc::clone(rows)),
            _ => None,
        }
    }

    /// The names in a folder, ascending; None where there is no folder.
    #[must_use]
    pub fn list(&self, slot: &Slot) -> Option<Vec<Name>> {
        Some(self.entries(slot)?.keys().cloned().collect())
    }

    /// A listing of some earlier moment.
    pub fn list_past(&self, slot: &Slot, choices: &mut Choices) -> Vec<Name> {
        let past = self.past.get(slot).map_or(&[][..], Vec::as_slice);
        let back = choices.pick(past.len());
        past.iter()
            .rev()
            .nth(back)
            .map_or_else(Vec::new, |names| names.iter().cloned().collect())
    }

    /// Every folder, with the files in it.
    pub fn folders(&self) -> impl Iterator<Item = (&Slot, Vec<&Name>)> {
        let names = |id: &FolderId| self.now.entries.get(id).map(|entries| entries.keys().collect());
        self.now
            .slots
            .iter()
            .map(move |(slot, id)| (slot, names(id).unwrap_or_default()))
    }

    pub fn sync_file(&mut self, slot: &Slot, name: &Name) {
        if let Some(inode) = self.inode(slot, name) {
            self.inodes[inode].is_synced = true;
        }
    }

    pub fn remove(&mut self, slot: &Slot, name: &Name) -> bool {
        let found = self.inode(slot, name).is_some();
        if found {
            let id = self.folder_id(slot).expect("it holds the file");
            self.change(Change::Remove(id, name.clone()));
        }
        found
    }

    /// To a name that must be free.
    pub fn rename(&mut self, from: &Slot, to: &Slot, name: &Name) -> Moved {
        let (Some(_), Some(source), Some(target)) =
            (self.inode(from, name), self.folder_id(from), self.folder_id(to))
        else {
            return Moved::Missing;
        };
        if self.inode(to, name).is_some() {
            return Moved::Taken;
        }
        self.change(Change::Move(source, target, name.clone()));
        Moved::Moved
    }

    /// A second name for a file.
    pub fn link(&mut self, from: &Slot, to: &Slot, name: &Name) -> Moved {
        let (Some(inode), Some(target)) = (self.inode(from, name), self.folder_id(to)) else {
            return Moved::Missing;
        };
        if self.inode(to, name).is_some() {
            return Moved::Taken;
        }
        self.change(Change::Put(target, name.clone(), inode));
        Moved::Moved
    }

    pub fn swap(&mut self, one: &Slot, other: &Slot) {
        self.change(Change::Swap(one.clone(), other.clone()));
    }

    pub fn rename_folder(&mut self, from: &Slot, to: &Slot) {
        if self.folder_id(from).is_some() {
            self.change(Change::RenameFolder(from.clone(), to.clone()));
        }
    }

    /// Whether the folder is gone: it was empty, or not there.
    pub fn remove_folder(&mut self, slot: &Slot) -> bool {
        match self.entries(slot) {
            Some(entries) if !entries.is_empty() => false,
            Some(_) => {
                self.change(Change::RemoveFolder(slot.clone()));
                true
            }
            None => true,
        }
    }

    /// Makes the names in a folder durable.
    pub fn sync_folder(&mut self, slot: &Slot) {
        if let Some(id) = self.folder_id(slot) {
            self.settle(|change| match change {
                Change::Put(folder, ..) | Change::Remove(folder, _) => *folder == id,
                Change::Move(from, to, _) => *from == id || *to == id,
                _ => false,
            });
        }
    }

    /// Makes the names of folders durable.
    pub fn sync_parent(&mut self, parent: Parent) {
        self.settle(|change| match change {
            Change::Make(slot, _) | Change::RemoveFolder(slot) => slot.parent() == parent,
            Change::Swap(one, other) | Change::RenameFolder(one, other) => {
                one.parent() == parent || other.parent() == parent
            }
            _ => false,
        });
    }

    fn settle(&mut self, is_meant: impl Fn(&Change) -> bool) {
        let durable = &mut self.durable;
        self.journal.retain(|change| {
            let meant = is_meant(change);
            if meant {
                durable.apply(change);
            }
            !meant
        });
    }

    /// Everything that is not durable may be gone: each change by itself, each file's content by itself.
    pub fn cut_power(&mut self, choices: &mut Choices) {
        for change in std::mem::take(&mut self.journal) {
            if !choices.chance(500) {
                self.durable.apply(&change);
            }
        }
        for inode in &mut self.inodes {
            if !inode.is_synced {
                inode.is_torn = inode.is_torn || choices.chance(500);
                inode.is_synced = true;
            }
        }
        self.now = self.durable.clone();
        self.locks.clear();
    }

    #[must_use]
    pub fn may_lock(&self, kind: LockKind) -> bool {
        match kind {
            LockKind::Shared => !self.locks.values().any(|held| *held == LockKind::Exclusive),
            LockKind::Exclusive => self.locks.is_empty(),
        }
    }

    #[must_use]
    pub fn is_locked(&self) -> bool {
        !self.locks.is_empty()
    }

    /// Takes a lock that may be taken; its id gives it back.
    pub fn lock(&mut self, kind: LockKind) -> u64 {
        self.locks_made += 1;
        self.locks.insert(self.locks_made, kind);
        self.locks_made
    }

    pub fn unlock(&mut self, id: u64) {
        self.locks.remove(&id);
    }
}

impl Default for Store {
    fn default() -> Self {
        Store::new()
    }
}
