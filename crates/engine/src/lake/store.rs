//! All access to the files of the lake and its log: the one place with system calls, and with the hook for faults.
//!
//! Never overwrites a file. What it reports as created, moved or exchanged is durable once the folder was synced.

#![allow(clippy::disallowed_methods)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eventlake_core::names::TEMPORARY_SUFFIX;
use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::access::{Access, Call, Faults};
use super::site::Site;

/// What the umask may take from, and cannot add to.
const FILE_MODE: u32 = 0o664;
const FOLDER_MODE: u32 = 0o775;
/// Much more than a snapshot of a million files takes.
const RECORD_BYTES_MAX: u64 = 1 << 30;

/// Access to files. Cheap to clone.
#[derive(Clone, Default)]
pub struct Store {
    faults: Option<Arc<dyn Faults>>,
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}{}", path.display(), hint(source))]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What to do about it, as a message ends; empty where nothing can be said.
pub fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "\nhint: free some space; nothing is lost, the same records are read again"
        }
        io::ErrorKind::PermissionDenied => "\nhint: the user that runs eventlake must be able to write there",
        io::ErrorKind::NotADirectory => {
            "\nhint: a file stands where a folder should be; move it away, or name another folder in [lake]"
        }
        io::ErrorKind::ReadOnlyFilesystem => "\nhint: the file system is mounted read-only",
        io::ErrorKind::CrossesDevices => {
            "\nhint: a table and its _staging folder must lie on one file system"
        }
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            "\nhint: a link stands where a file of the lake should be; remove it"
        }
        _ => "",
    }
}

impl StoreError {
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether it may pass without anybody changing the configuration: a disk that is full, read-only or failing.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let is_failing = self.source.raw_os_error() == Some(Errno::IO.raw_os_error());
        let kinds = [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::ReadOnlyFilesystem,
        ];
        is_failing || kinds.contains(&self.source.kind())
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What became of an exclusive create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    Created,
    /// The name is taken. By itself it does not say by whom: a reply may have got lost.
    Taken,
}

/// What became of a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    Moved,
    /// There is no such source, or no such folder to move it to.
    Missing,
    Taken,
}

/// What became of a folder that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderRemoval {
    Removed,
    Missing,
    NotEmpty,
}

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanged {
    Exchanged,
    /// The file system cannot.
    Unsupported,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Bytes that are no UTF-8 are replaced: such a name is none of ours.
    pub name: String,
    pub is_folder: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    Shared,
    Exclusive,
}

/// A lock on the table, held until it is dropped, or its process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Store {
    #[must_use]
    pub fn new() -> Store {
        Store::default()
    }

    /// Access that faults may strike.
    #[must_use]
    pub fn with_faults(faults: Arc<dyn Faults>) -> Store {
        Store { faults: Some(faults) }
    }

    /// One call, with the faults that strike at it.
    fn call<T>(&self, access: &Access<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.call_in_two(access, |_| act())
    }

    /// One call that can be cut short in the middle, where `act` runs what it is given.
    fn call_in_two<T>(
        &self,
        access: &Access<'_>,
        act: impl FnOnce(&mut dyn FnMut() -> io::Result<()>) -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(faults) = &self.faults else {
            return act(&mut || Ok(()));
        };
        let (mut act, mut done) = (Some(act), None);
        faults.carry_out(access, &mut |middle| {
            let act = act.take().expect("a call is done once");
            done = Some(act(middle)?);
            Ok(())
        })?;
        Ok(done.expect("a call without an error was done"))
    }

    /// Creates a file with this content at once, or not at all: complete and durable, and never over another.
    /// The content is first written to a file in `temporary_folder`, which lies on the same file system.
    ///
    /// # Errors
    /// When a call fails. The file may have been created all the same; then only its durability is unknown.
    pub fn create_exclusive(
        &self,
        site: Site,
        path: &Path,
        content: &[u8],
        temporary_folder: &Path,
    ) -> Result<Created, StoreError> {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let temporary = self.write_temporary(site, path, content, temporary_folder)?;
            let linked = self.link_or_rename(site, &temporary, path);
            // A temporary that stays behind does no harm and goes with the next start.
            let removed = self.remove(site, &temporary);
            match linked {
                Ok(Moved::Moved) => {
                    self.sync_folder(site, parent(path))?;
                    return Ok(Created::Created);
                }
                Ok(Moved::Taken) => return Ok(Created::Taken),
                // Somebody who just started tidied the temporary away.
                Ok(Moved::Missing) => drop(removed),
                Err(error) => return Err(error),
            }
        }
        let gone = io::Error::new(
            io::ErrorKind::NotFound,
            "its folder or its temporary file vanishes",
        );
        Err(failure("create", path)(gone))
    }

    fn write_temporary(
        &self,
        site: Site,
        path: &Path,
        content: &[u8],
        folder: &Path,
    ) -> Result<PathBuf, StoreError> {
        let name = path.file_name().expect("files are named").to_string_lossy();
        let temporary = folder.join(format!("{name}.{}{TEMPORARY_SUFFIX}", uuid::Uuid::now_v7()));
        let mut file = self.create_file(site, &temporary)?;
        let written = file
            .write_all(content)
            .map_err(failure("write", path))
            .and_then(|()| file.sync());
        if written.is_err() {
            // The disk may be full: what was written so far must not stay. The first error is the one to tell.
            let _ = self.remove(site, &temporary);
        }
        written.map(|()| temporary)
    }

    /// Opens a new file for writing; the name must be free.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_file(&self, site: Site, path: &Path) -> Result<StoreFile, StoreError> {
        let create = || options().write(true).create_new(true).open(path);
        let file = self
            .call(&changing(site, Call::CreateFile, path), create)
            .map_err(failure("create", path))?;
        Ok(StoreFile {
            store: self.clone(),
            site,
            path: path.to_owned(),
            file,
        })
    }

    /// Gives `from` the name `to` as well.
    ///
    /// # Errors
    /// When the call fails for another reason than those `Moved` tells.
    pub fn link(&self, site: Site, from: &Path, to: &Path) -> Result<Moved, StoreError> {
        let linked = self.call(&moving(site, Call::Link, from, to), || {
            std::fs::hard_link(from, to)
        });
        moved(linked).map_err(failure("create", to))
    }

    /// Gives `from` the name `to` as well; where the file system has no links, instead.
    fn link_or_rename(&self, site: Site, from: &Path, to: &Path) -> Result<Moved, StoreError> {
        let linked = self.call(&moving(site, Call::Link, from, to), || {
            match std::fs::hard_link(from, to) {
                Err(error) if is_unsupported(&error) => Ok(rename_no_replace(from, to)?),
                other => other,
            }
        });
        moved(linked).map_err(failure("create", to))
    }

    /// Renames a file or a folder to a name that is free.
    ///
    /// # Errors
    /// When the call fails for another reason than those `Moved` tells.
    pub fn rename(&self, site: Site, from: &Path, to: &Path) -> Result<Moved, StoreError> {
        let access = moving(site, Call::Rename, from, to);
        let splits = self.faults.as_ref().is_some_and(|faults| faults.splits(&access));
        let renamed = self.call_in_two(&access, |middle| {
            let renamed = if splits {
                Err(Errno::NOSYS)
            } else {
                rename_no_replace(from, to)
            };
            match renamed {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    std::fs::hard_link(from, to)?;
                    middle()?;
                    // Nothing says that a power cut undoes the two in their order: the file must not lose both names.
                    self.sync_folder(site, parent(to)).map_err(|error| error.source)?;
                    std::fs::remove_file(from)
                }
                other => Ok(other?),
            }
        });
        moved(renamed).map_err(failure("rename to", to))
    }

    /// Swaps two folders on one file system.
    ///
    /// # Errors
    /// When the call fails for another reason than that the file system has no such call.
    pub fn exchange(&self, site: Site, one: &Path, other: &Path) -> Result<Exchanged, StoreError> {
        let swap = || match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV) => Ok(Exchanged::Unsupported),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(Exchanged::Exchanged),
        };
        self.call(&moving(site, Call::Exchange, one, other), swap)
            .map_err(failure("exchange", other))
    }

    /// Creates a folder and its parents, if they are not there. All but parents that were there are then durable.
    ///
    /// # Errors
    /// When one cannot be created.
    pub fn create_folders(&self, site: Site, path: &Path) -> Result<(), StoreError> {
        match self.call(&changing(site, Call::CreateFolder, path), || {
            std::fs::DirBuilder::new().mode(FOLDER_MODE).create(path)
        }) {
            Ok(()) => self.sync_folder(site, parent(path)),
            // Whoever created it may not have come to syncing.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
                self.sync_folder(site, parent(path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.parent().is_some() => {
                self.create_folders(site, parent(path))?;
                self.create_folders(site, path)
            }
            Err(error) => Err(failure("create the folder", path)(error)),
        }
    }

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// When the call fails: then what was created there may be gone after a power cut.
    pub fn sync_folder(&self, site: Site, path: &Path) -> Result<(), StoreError> {
        self.call(&changing(site, Call::SyncFolder, path), || {
            File::open(path)?.sync_all()
        })
        .map_err(failure("sync", path))
    }

    /// A file's content; None when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || {
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            if bytes > RECORD_BYTES_MAX {
                let fault = format!("it has {bytes} bytes, and no record more than {RECORD_BYTES_MAX}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
            }
            let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default() + 1);
            file.take(RECORD_BYTES_MAX).read_to_end(&mut content)?;
            Ok(content)
        };
        or_missing(self.call(&reading(Call::Read, path), read)).map_err(failure("read", path))
    }

    /// Opens a file to read parts of it; None when there is no such file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, path: &Path) -> Result<Option<File>, StoreError> {
        or_missing(self.call(&reading(Call::Read, path), || File::open(path))).map_err(failure("read", path))
    }

    /// A file's length in bytes; None when there is no such file.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn length(&self, path: &Path) -> Result<Option<u64>, StoreError> {
        let length = self.call(
            &reading(Call::Length, path),
            || Ok(std::fs::metadata(path)?.len()),
        );
        or_missing(length).map_err(failure("look at", path))
    }

    /// What a folder holds, in no order; None when there is no such folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>, StoreError> {
        let list = || {
            let mut entries = Vec::new();
            for entry in std::fs::read_dir(path)? {
                let entry = entry?;
                entries.push(Entry {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    is_folder: entry.file_type()?.is_dir(),
                });
            }
            Ok(entries)
        };
        or_missing(self.call(&reading(Call::List, path), list)).map_err(failure("list", path))
    }

    /// Removes a file. Whether there was one.
    ///
    /// # Errors
    /// When there is one and it cannot be removed.
    pub fn remove(&self, site: Site, path: &Path) -> Result<bool, StoreError> {
        let removed =
            or_missing(self.call(&changing(site, Call::Remove, path), || std::fs::remove_file(path)));
        removed
            .map(|removed| removed.is_some())
            .map_err(failure("remove", path))
    }

    /// Removes a folder if it is empty.
    ///
    /// # Errors
    /// When it is empty and cannot be removed.
    pub fn remove_folder(&self, site: Site, path: &Path) -> Result<FolderRemoval, StoreError> {
        match self.call(&changing(site, Call::RemoveFolder, path), || {
            std::fs::remove_dir(path)
        }) {
            Ok(()) => Ok(FolderRemoval::Removed),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => Ok(FolderRemoval::Missing),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                    Ok(FolderRemoval::NotEmpty)
                }
                _ => Err(failure("remove the folder", path)(error)),
            },
        }
    }

    /// Waits for a lock.
    ///
    /// # Errors
    /// When the file system has no locks, or the lock file cannot be opened.
    pub fn lock(&self, site: Site, path: &Path, kind: LockKind) -> Result<Lock, StoreError> {
        let lock = || {
            // Nobody's lock file is a link: one that somebody put there could lead anywhere.
            let file = options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(path)?;
            let operation = match kind {
                LockKind::Shared => FlockOperation::LockShared,
                LockKind::Exclusive => FlockOperation::LockExclusive,
            };
            loop {
                match flock(&file, operation) {
                    Err(Errno::INTR) => {}
                    other => break other?,
                }
            }
            Ok(Lock { _file: file })
        };
        self.call(&changing(site, Call::Lock, path), lock)
            .map_err(failure("lock", path))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("faults", &self.faults.is_some())
            .finish()
    }
}

/// A file being written.
#[derive(Debug)]
pub struct StoreFile {
    store: Store,
    site: Site,
    path: PathBuf,
    file: File,
}

impl StoreFile {
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the content durable; the name is so once the folder was synced.
    ///
    /// # Errors
    /// When the call fails: then the content may be anything.
    pub fn sync(&self) -> Result<(), StoreError> {
        let sync = || self.file.sync_all();
        self.store
            .call(&changing(self.site, Call::SyncFile, &self.path), sync)
            .map_err(failure("sync", &self.path))
    }
}

impl Write for StoreFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = &mut self.file;
        if self.store.faults.is_none() {
            return file.write(bytes);
        }
        let access = changing(self.site, Call::Write, &self.path);
        self.store.call_in_two(&access, |middle| {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            file.write_all(first)?;
            middle()?;
            file.write_all(second)?;
            Ok(bytes.len())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn reading(call: Call, path: &Path) -> Access<'_> {
    Access {
        site: None,
        call,
        path,
        from: None,
    }
}

fn changing(site: Site, call: Call, path: &Path) -> Access<'_> {
    Access {
        site: Some(site),
        call,
        path,
        from: None,
    }
}

fn moving<'a>(site: Site, call: Call, from: &'a Path, to: &'a Path) -> Access<'a> {
    Access {
        site: Some(site),
        call,
        path: to,
        from: Some(from),
    }
}

/// For a new file: whatever the umask, only its owner and group may change it.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

fn failure(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { action, path, source }
}

fn or_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn moved(result: io::Result<()>) -> io::Result<Moved> {
    match result {
        Ok(()) => Ok(Moved::Moved),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(Moved::Missing),
            io::ErrorKind::AlreadyExists => Ok(Moved::Taken),
            _ => Err(error),
        },
    }
}

fn rename_no_replace(from: &Path, to: &Path) -> Result<(), Errno> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

/// Whether the file system has no hard links.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)
    )
}

/// The folder that a path lies in; of a bare name, the current one.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
