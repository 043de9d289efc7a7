//! What a power cut would take: everything that was written and not synced, noted call by call, to be undone before the
//! process dies.
//!
//! The model is that of a journaling file system at its worst: content stays only when its file was synced, a name only
//! when its folder was. A rename or an exchange is one change, which its new place's folder makes durable. Nothing is
//! written back by itself.

#![allow(
    clippy::disallowed_methods,
    reason = "takes back what the store did, behind its back, as a power cut does"
)]

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::lake::access::{Access, Call};

/// A change of names, and the folder (by its inode) whose sync makes it durable.
#[derive(Debug)]
struct Change {
    folder: u64,
    undo: Undo,
}

#[derive(Debug)]
enum Undo {
    RemoveFile(PathBuf),
    RemoveFolder(PathBuf),
    Rename { from: PathBuf, to: PathBuf },
    Exchange(PathBuf, PathBuf),
    BringBack { kept: PathBuf, path: PathBuf },
    MakeFolder(PathBuf),
}

/// All that is not durable yet.
#[derive(Debug)]
pub(super) struct Unsynced {
    /// Where removed files are kept for the case that their removal is taken back; on the lake's file system.
    keep: PathBuf,
    kept: u64,
    /// In order.
    names: Vec<Change>,
    /// Files with content that was not synced, by inode.
    contents: HashMap<u64, File>,
}

impl Unsynced {
    pub fn new(keep: PathBuf) -> Unsynced {
        Unsynced {
            keep,
            kept: 0,
            names: Vec::new(),
            contents: HashMap::new(),
        }
    }

    /// Before the call: keeps a second name of a file that is about to be removed. Where it is kept.
    pub fn prepare(&mut self, access: &Access<'_>) -> io::Result<Option<PathBuf>> {
        if access.call != Call::Remove || !access.path.exists() {
            return Ok(None);
        }
        self.kept += 1;
        let kept = self.keep.join(format!("{}-{}", std::process::id(), self.kept));
        std::fs::hard_link(access.path, &kept)?;
        Ok(Some(kept))
    }

    /// After the call worked.
    pub fn note(&mut self, access: &Access<'_>, kept: Option<PathBuf>) -> io::Result<()> {
        let path = access.path.to_owned();
        let from = access.from.map(Path::to_owned);
        match access.call {
            Call::CreateFile => {
                let file = File::options().write(true).open(&path)?;
                self.contents.insert(file.metadata()?.ino(), file);
                self.changed(&path, Undo::RemoveFile(path.clone()))
            }
            Call::CreateFolder => self.changed(&path, Undo::RemoveFolder(path.clone())),
            Call::Link => self.changed(&path, Undo::RemoveFile(path.clone())),
            Call::Rename => {
                let from = from.expect("a rename has two paths");
                self.changed(
                    &path,
                    Undo::Rename {
                        from,
                        to: path.clone(),
                    },
                )
            }
            Call::Exchange => {
                let from = from.expect("an exchange has two paths");
                self.changed(&path, Undo::Exchange(from, path.clone()))
            }
            Call::Remove => match kept {
                Some(kept) => self.changed(
                    &path,
                    Undo::BringBack {
                        kept,
                        path: path.clone(),
                    },
                ),
                None => Ok(()),
            },
            Call::RemoveFolder => self.changed(&path, Undo::MakeFolder(path.clone())),
            Call::SyncFile => {
                self.contents.remove(&std::fs::metadata(&path)?.ino());
                Ok(())
            }
            Call::SyncFolder => {
                let folder = std::fs::metadata(&path)?.ino();
                self.names.retain(|change| change.folder != folder);
                Ok(())
            }
            Call::Write | Call::Read | Call::Length | Call::List | Call::Lock => Ok(()),
        }
    }

    /// In the middle of a sync: half of what it is about is durable.
    pub fn half(&mut self, access: &Access<'_>) -> io::Result<()> {
        let inode = std::fs::metadata(access.path)?.ino();
        match access.call {
            Call::SyncFile => {
                if let Some(file) = self.contents.remove(&inode) {
                    file.set_len(file.metadata()?.len() / 2)?;
                }
            }
            Call::SyncFolder => {
                let in_folder = |change: &&Change| change.folder == inode;
                let mut durable = self.names.iter().filter(in_folder).count().div_ceil(2);
                self.names.retain(|change| {
                    let stays = change.folder != inode || durable == 0;
                    durable -= usize::from(!stays);
                    stays
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes back all that is not durable, the latest first.
    pub fn drop_all(&mut self) -> io::Result<()> {
        for file in self.contents.drain().map(|(_, file)| file) {
            file.set_len(0)?;
        }
        for change in self.names.drain(..).rev() {
            change.undo.run()?;
        }
        Ok(())
    }

    fn changed(&mut self, path: &Path, undo: Undo) -> io::Result<()> {
        let folder = path.parent().expect("what is in the lake lies in a folder");
        let folder = std::fs::metadata(folder)?.ino();
        self.names.push(Change { folder, undo });
        Ok(())
    }
}

impl Undo {
    fn run(self) -> io::Result<()> {
        let (result, is_back_in) = match self {
            Undo::RemoveFile(path) => (std::fs::remove_file(path), false),
            Undo::RemoveFolder(path) => (std::fs::remove_dir_all(path), false),
            Undo::Rename { from, to } => (std::fs::rename(to, from), false),
            Undo::Exchange(one, other) => {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                let swapped = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
                (swapped.map_err(Into::into), false)
            }
            Undo::BringBack { kept, path } => (std::fs::rename(kept, path), true),
            Undo::MakeFolder(path) => (std::fs::create_dir(path), true),
        };
        match result {
            // The folder it was in is durably gone.
            Err(error) if is_back_in && error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
