//! Every place in the code that changes something on disk, by name: the seams at which a crash or a fault can be made to
//! strike.
//!
//! Reading changes nothing, so that a crash before or after it leaves what a crash at the change before it leaves: reads
//! have no names.

use std::fmt;

use super::access::{Call, Moment};

/// What a place in the code asks the store to do: which calls it consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Creates a file at once, whole and durable.
    Create,
    /// Creates an empty file, which need not last.
    Touch,
    /// Opens a new file, writes it piece by piece, syncs it.
    Write,
    CreateFolders,
    SyncFolder,
    Rename,
    RenameFolder,
    Link,
    Exchange,
    Remove,
    RemoveFolder,
    Lock,
}

impl Operation {
    #[must_use]
    pub fn calls(self) -> &'static [Call] {
        match self {
            Operation::Create => &[
                Call::CreateFile,
                Call::Write,
                Call::SyncFile,
                Call::Link,
                Call::SyncFolder,
                Call::Remove,
            ],
            Operation::Touch => &[Call::CreateFile],
            Operation::Write => &[Call::CreateFile, Call::Write, Call::SyncFile],
            Operation::CreateFolders => &[Call::CreateFolder, Call::SyncFolder],
            Operation::SyncFolder => &[Call::SyncFolder],
            Operation::Rename | Operation::RenameFolder => &[Call::Rename],
            Operation::Link => &[Call::Link],
            Operation::Exchange => &[Call::Exchange],
            Operation::Remove => &[Call::Remove],
            Operation::RemoveFolder => &[Call::RemoveFolder],
            Operation::Lock => &[Call::Lock],
        }
    }
}

impl Operation {
    /// When a crash can strike at one of its calls. A folder is never renamed in two steps: it cannot have two names.
    #[must_use]
    pub fn moments(self, call: Call) -> &'static [Moment] {
        match self {
            Operation::RenameFolder => &[Moment::Before, Moment::After],
            _ => call.moments(),
        }
    }
}

/// One call at one site at one moment of it: where the process can be made to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seam {
    pub site: Site,
    pub call: Call,
    pub moment: Moment,
}

impl Seam {
    /// Every seam there is.
    pub fn all() -> impl Iterator<Item = Seam> {
        let calls = |site: Site| site.operation().calls().iter().map(move |call| (site, *call));
        let moments = |(site, call): (Site, Call)| {
            let moments = site.operation().moments(call).iter();
            moments.map(move |moment| Seam {
                site,
                call,
                moment: *moment,
            })
        };
        Site::ALL.into_iter().flat_map(calls).flat_map(moments)
    }
}

impl fmt::Display for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.site.name(),
            self.call.name(),
            self.moment.name()
        )
    }
}

macro_rules! sites {
    ($($site:ident, $operation:ident, $name:literal, $what:literal;)+) => {
        /// A place in the code that changes something on disk. Each is named there once and nowhere else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Site { $(#[doc = $what] $site),+ }

        impl Site {
            pub const ALL: [Site; [$($name),+].len()] = [$(Site::$site),+];

            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Site::$site => $name),+ }
            }

            #[must_use]
            pub fn operation(self) -> Operation {
                match self { $(Site::$site => Operation::$operation),+ }
            }

            /// What happens there.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Site::$site => $what),+ }
            }
        }
    };
}

// In the order of a topic's life.
sites! {
    StagingFolder, CreateFolders, "staging-folder", "a start makes sure of the table's staging folders";
    ProbeFile, Touch, "probe-file", "a start tries whether a file can be written there";
    ProbeGone, Remove, "probe-gone", "the file of that try goes";
    SnapshotsFolder, CreateFolders, "snapshots-folder", "a start makes sure of the log's folder of snapshots";
    ManifestsFolder, CreateFolders, "manifests-folder", "a start makes sure of the log's folder of manifests";
    Temporary, Remove, "temporary", "a start removes temporary files that a crash left";
    Borrowed, SyncFolder, "borrowed", "commits that another wrote are made durable";
    Commit, Create, "commit", "a commit is proposed";
    Owner, Create, "owner", "the table gets the name of its log";
    Manifest, Create, "manifest", "a stage says what it is about to write";
    ManifestSettled, SyncFolder, "manifest-settled", "a manifest whose reply got lost is made durable";
    StageFolder, CreateFolders, "stage-folder", "a stage gets its folder";
    StagedFile, Write, "staged-file", "a data file is staged";
    StageRestart, Remove, "stage-restart", "half-written files go before they are tried again";
    StageNames, SyncFolder, "stage-names", "the names of staged files are made durable";
    PublishLock, Lock, "publish-lock", "publishing takes the table lock, shared";
    Publish, Rename, "publish", "a staged file gets its final name";
    TimePartition, CreateFolders, "time-partition", "a time partition gets its folder";
    PublishAnew, Rename, "publish-anew", "a staged file gets its final name in a new folder";
    PublishedNames, SyncFolder, "published-names", "final names are made durable";
    TrialLock, Lock, "trial-lock", "before a replay: the table lock is taken, shared";
    TrialFolder, CreateFolders, "trial-folder", "before a replay: two folders are made, to try whether they can be swapped";
    TrialFile, Link, "trial-file", "before a replay: one of them gets a second name of a file of the table";
    TrialExchange, Exchange, "trial-exchange", "before a replay: they are swapped";
    TrialFileGone, Remove, "trial-file-gone", "before a replay: that second name goes";
    TrialFolderGone, RemoveFolder, "trial-folder-gone", "before a replay: the two folders go";
    ExchangeLock, Lock, "exchange-lock", "an exchange takes the table lock, exclusive";
    Twin, CreateFolders, "twin", "the folder to be exchanged in is made";
    TwinFile, Link, "twin-file", "a live file gets a second name there";
    TwinNames, SyncFolder, "twin-names", "the new folder is made durable";
    Exchange, Exchange, "exchange", "the new folder takes the old one's place";
    ExchangedTable, SyncFolder, "exchanged-table", "the exchange is made durable in the table";
    ExchangedLog, SyncFolder, "exchanged-log", "the exchange is made durable beside the log";
    ExchangedStaged, Remove, "exchanged-staged", "staged names of what was exchanged in go";
    EmptyFolder, RemoveFolder, "empty-folder", "a time partition without live files goes";
    CleanLock, Lock, "clean-lock", "tidying exchanged folders takes the table lock, exclusive";
    Retire, RenameFolder, "retire", "an exchanged folder is marked to go at the next cleaning";
    OtherNames, SyncFolder, "other-names", "the other names of a retired folder's files are made durable";
    RetiredFile, Remove, "retired-file", "a file of a retired folder goes";
    RetiredFolder, RemoveFolder, "retired-folder", "a retired folder goes";
    SecondName, SyncFolder, "second-name", "a final name is made durable before its staged one goes";
    CleanFile, Remove, "clean-file", "a staged file that can no longer become live goes";
    CleanFolder, RemoveFolder, "clean-folder", "the folder of a finished stage goes";
    CleanManifest, Remove, "clean-manifest", "the manifest of a finished stage goes";
    Snapshot, Create, "snapshot", "the fold is written as a snapshot";
    SnapshotNames, SyncFolder, "snapshot-names", "snapshots are made durable before commits below them go";
    OldSnapshot, Remove, "old-snapshot", "a snapshot that a newer one made superfluous goes";
    AccountsFolder, CreateFolders, "accounts-folder", "the log gets its folder of accounts";
    Account, Create, "account", "what commits said of offsets is written down before they go";
    AccountNames, SyncFolder, "account-names", "accounts are made durable before the commits that they speak of go";
    OldCommit, Remove, "old-commit", "a commit below the snapshot goes";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_seam_has_a_name_of_its_own() {
        let names: BTreeSet<String> = Seam::all().map(|seam| seam.to_string()).collect();
        assert_eq!(names.len(), Seam::all().count());
        assert!(names.len() > 150, "{}", names.len());
    }
}
