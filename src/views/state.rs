//! What a view keeps between two starts, in a folder of its own: written as a whole, held by one process at a time.

use std::collections::BTreeMap;
use std::fs::{self, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eventlake_core::commit::{File, GenerationOrdinal};
use eventlake_core::names::{TopicName, ViewName};
use eventlake_core::position::{Offset, PartitionId};
use eventlake_engine::lake::LogPlace;
use serde::{Deserialize, Serialize};

use super::clock::EventClock;
use super::output::Mark;

/// Below the checkpoints: no topic can have this name.
const FOLDER: &str = "+views";
const STATE_FILE: &str = "state";
const LOCK_FILE: &str = "lock";

/// All that a view keeps, but for its groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Of which view it is: the state of another SQL says nothing of this one.
    pub form: String,
    /// What of each topic's log it follows from.
    pub places: BTreeMap<TopicName, LogPlace>,
    /// Where a view began that does not look at what was there before.
    pub since: Option<BTreeMap<TopicName, Positions>>,
    /// As of which commits it changed last.
    pub as_of: u64,
    pub clock: EventClock,
    pub outputs: BTreeMap<String, Shown>,
}

/// The next offset of every partition of every generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions(pub Vec<(GenerationOrdinal, PartitionId, Offset)>);

impl Positions {
    /// Whether a file holds rows from here on.
    pub fn are_before(&self, file: &File) -> bool {
        file.offsets.iter().any(|offsets| {
            let before = self.0.iter().find(|(generation, partition, _)| {
                *generation == file.generation && *partition == offsets.partition
            });
            before.is_none_or(|(_, _, next)| offsets.next > *next)
        })
    }
}

/// What an output shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub mark: Mark,
    /// Of a running view: as of which commits.
    #[serde(default)]
    pub as_of: u64,
    /// Of a view of rows: up to where.
    #[serde(default)]
    pub place: Option<LogPlace>,
    /// Of a view of windows: the next one, and those that have changed since they were shown.
    #[serde(default)]
    pub next_window: Option<i64>,
    /// As of when each has changed.
    #[serde(default)]
    pub changed: BTreeMap<i64, u64>,
}

/// A view's folder, held by this process.
#[derive(Debug)]
pub struct StateFolder {
    folder: PathBuf,
    _lock: fs::File,
}

impl StateFolder {
    /// Takes the view's folder; None while another process has it.
    ///
    /// # Errors
    /// When the folder cannot be made, or its file system has no locks.
    pub fn take(checkpoints: &Path, view: &ViewName) -> anyhow::Result<Option<StateFolder>> {
        let folder = checkpoints.join(FOLDER).join(view.as_str());
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let path = folder.join(LOCK_FILE);
        let lock = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(StateFolder { folder, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// What was kept, and the bytes of the groups. None when there is nothing, or nothing that can be read.
    ///
    /// # Errors
    /// When it is there and the disk does not give it.
    pub fn read(&self) -> anyhow::Result<Option<(Kept, Vec<u8>)>> {
        let path = self.folder.join(STATE_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let kept = serde_json::from_slice(&bytes[..end]);
        Ok(kept.ok().map(|kept| (kept, bytes[end + 1..].to_vec())))
    }

    /// Keeps this from now on: after a crash there is this or what was before it, and never a part.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self, kept: &Kept, groups: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(STATE_FILE);
        let mut bytes = serde_json::to_vec(kept).expect("plain data with text keys");
        bytes.push(b'\n');
        bytes.extend_from_slice(groups);
        replace_file(&path, &bytes).with_context(|| path.display().to_string())
    }
}

/// Puts a file with this content in the place of the one of that name, durably and at once.
///
/// # Errors
/// When the disk does not take it. The file is then what it was.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().expect("it names a file"));
    name.push(".part");
    let part = path.with_file_name(name);
    let written = fs::File::create(&part).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&part, path)) {
        // The disk may be full: what was written so far must not stay. The first error is the one to tell.
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    sync_folder_of(path)
}

/// Makes the name of a file as durable as its content.
///
/// # Errors
/// When the folder cannot be synced.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::File::open(folder)?.sync_all()
}

/// Where a view that does not look at what was there before begins in a topic.
pub fn since_of(since: &Option<BTreeMap<usize, Positions>>, topic: usize) -> Option<&Positions> {
    since.as_ref()?.get(&topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        Kept {
            form: "SELECT 1\nFROM a".to_owned(),
            places: BTreeMap::new(),
            since: None,
            as_of: 7,
            clock: EventClock::default(),
            outputs: BTreeMap::from([("console".to_owned(), Shown::default())]),
        }
    }

    #[test]
    fn one_process_at_a_time_holds_a_view() {
        let folder = tempfile::tempdir().expect("a folder");
        let view = ViewName::new("v").expect("a name");
        let first = StateFolder::take(folder.path(), &view).expect("a folder");
        assert!(first.is_some());
        assert!(
            StateFolder::take(folder.path(), &view)
                .expect("a folder")
                .is_none()
        );
        drop(first);
        assert!(
            StateFolder::take(folder.path(), &view)
                .expect("a folder")
                .is_some()
        );
    }

    #[test]
    fn what_was_kept_is_read_and_what_cannot_be_is_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let view = ViewName::new("v").expect("a name");
        let state = StateFolder::take(folder.path(), &view)
            .expect("a folder")
            .expect("free");
        assert!(state.read().expect("read").is_none());
        state.write(&kept(), b"\n\x00groups").expect("written");
        let (read, groups) = state.read().expect("read").expect("kept");
        assert_eq!(read.form, kept().form);
        assert_eq!(groups, b"\n\x00groups");
        fs::write(folder.path().join(FOLDER).join("v").join(STATE_FILE), b"{]\n").expect("written");
        assert!(state.read().expect("read").is_none());
    }
}
