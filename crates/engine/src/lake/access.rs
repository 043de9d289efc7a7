//! What can be asked of a file system, and the hook by which tests strike at it.

use std::io;
use std::path::Path;

use super::site::Site;

/// Every kind of access there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    CreateFolder,
    CreateFile,
    Write,
    SyncFile,
    /// Gives a file a second name, never one that is taken.
    Link,
    /// Renames, never onto a name that is taken.
    Rename,
    /// Swaps two folders at one instant.
    Exchange,
    SyncFolder,
    Read,
    Length,
    List,
    Remove,
    RemoveFolder,
    Lock,
}

impl Call {
    pub const ALL: [Call; 14] = [
        Call::CreateFolder,
        Call::CreateFile,
        Call::Write,
        Call::SyncFile,
        Call::Link,
        Call::Rename,
        Call::Exchange,
        Call::SyncFolder,
        Call::Read,
        Call::Length,
        Call::List,
        Call::Remove,
        Call::RemoveFolder,
        Call::Lock,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Call::CreateFolder => "create-folder",
            Call::CreateFile => "create-file",
            Call::Write => "write",
            Call::SyncFile => "sync-file",
            Call::Link => "link",
            Call::Rename => "rename",
            Call::Exchange => "exchange",
            Call::SyncFolder => "sync-folder",
            Call::Read => "read",
            Call::Length => "length",
            Call::List => "list",
            Call::Remove => "remove",
            Call::RemoveFolder => "remove-folder",
            Call::Lock => "lock",
        }
    }

    /// When a crash can strike. Only a write, a sync, and a rename where the file system must do it in two steps, can be
    /// cut short in the middle.
    #[must_use]
    pub fn moments(self) -> &'static [Moment] {
        match self {
            Call::Write | Call::SyncFile | Call::SyncFolder | Call::Rename => {
                &[Moment::Before, Moment::During, Moment::After]
            }
            _ => &[Moment::Before, Moment::After],
        }
    }
}

/// Where in a call a fault strikes: before it did anything, when it was half done, or after all was done (the reply gets
/// lost).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    Before,
    During,
    After,
}

impl Moment {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::During => "during",
            Moment::After => "after",
        }
    }
}

/// One call, as faults see it.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// None for what changes nothing on disk.
    pub site: Option<Site>,
    pub call: Call,
    pub path: &'a Path,
    /// For a link, a rename and an exchange: the other path.
    pub from: Option<&'a Path>,
}

/// What a call does, given what to run in the middle of it.
pub type Act<'a> = &'a mut dyn FnMut(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;

/// Strikes at calls: fails them, waits in them, ends the process, or runs something else in between. For tests of
/// crashes and races.
pub trait Faults: Send + Sync {
    /// # Errors
    /// The error that the call shall give.
    fn strike(&self, access: &Access<'_>, moment: Moment) -> io::Result<()>;

    /// Whether a rename is to be done in two steps, as where the file system has none that spares a taken name.
    fn splits(&self, _: &Access<'_>) -> bool {
        false
    }

    /// Does the call, with the strikes before it, in the middle of it and after it.
    ///
    /// # Errors
    /// That of the call, or of a strike.
    fn carry_out(&self, access: &Access<'_>, act: Act<'_>) -> io::Result<()> {
        self.strike(access, Moment::Before)?;
        act(&mut || self.strike(access, Moment::During))?;
        self.strike(access, Moment::After)
    }
}
