//! Who owns a table: one log, named in the table's staging folders, so that no second log doubles its rows.

use std::path::PathBuf;

use eventlake_core::commit::{FileSet, Fold, LogId, Owner, decode_record, encode_record};
use eventlake_core::names::{StagingEntry, TEMPORARY_SUFFIX, TableName, staging_entry};

use super::error::LakeError;
use super::roots::Roots;
use super::site::Site;
use super::store::{Created, Store};

/// Refuses a table that belongs to another log, or a log whose files lie elsewhere. Changes nothing on disk.
pub(super) fn check(store: &Store, roots: &Roots, table: &TableName, fold: &Fold) -> Result<(), LakeError> {
    if let Some(other) = fold.files().keys().find(|key| key.path.table() != table.as_str()) {
        return Err(LakeError::Owner {
            topic: fold.topic().clone(),
            table: table.clone(),
            fault: format!(
                "the topic's log has its files in the table {}",
                other.path.table()
            ),
            remedy: format!("set table = {:?} for this topic", other.path.table()),
        });
    }
    for set in FileSet::ALL {
        check_set(store, roots, table, fold, set)?;
    }
    Ok(())
}

fn check_set(
    store: &Store,
    roots: &Roots,
    table: &TableName,
    fold: &Fold,
    set: FileSet,
) -> Result<(), LakeError> {
    let owner = read(store, roots, table, fold, set)?;
    let folder = roots.root(set).join(table.as_str());
    match (owner, fold.log()) {
        (Some(owner), Some(log)) if owner.log == log => Ok(()),
        (Some(owner), log) => Err(conflict(roots, table, fold, set, &owner, log)),
        (None, None) if store.list(&folder)?.is_some_and(|entries| !entries.is_empty()) => {
            Err(LakeError::Owner {
                topic: fold.topic().clone(),
                table: table.clone(),
                fault: format!(
                    "{} already holds files, but the topic has no commit log",
                    folder.display()
                ),
                remedy: format!(
                    "put the topic's log back under checkpoints/, or move {} away to start anew",
                    folder.display()
                ),
            })
        }
        (None, None) => Ok(()),
        (None, Some(_)) => check_unclaimed(store, roots, table, fold, set),
    }
}

/// A log with files whose root names no owner: the root is another one, or somebody emptied its staging folder.
fn check_unclaimed(
    store: &Store,
    roots: &Roots,
    table: &TableName,
    fold: &Fold,
    set: FileSet,
) -> Result<(), LakeError> {
    let mut live = fold.files().keys().filter(|key| key.set == set).peekable();
    if live.peek().is_none() {
        return Ok(());
    }
    for key in live {
        if store.length(&roots.published(key))?.is_some() {
            return Ok(());
        }
    }
    Err(LakeError::Owner {
        topic: fold.topic().clone(),
        table: table.clone(),
        fault: format!(
            "none of the topic's {set} files are under {}",
            roots.root(set).display()
        ),
        remedy: "set data and rejected in [lake] to where this log's files are, or put the files back"
            .to_owned(),
    })
}

/// Writes the owner files, unless they are there and name this log.
pub(super) fn claim(store: &Store, roots: &Roots, table: &TableName, fold: &Fold) -> Result<(), LakeError> {
    let log = fold.log().expect("a table is claimed for a log that has commits");
    for set in FileSet::ALL {
        if read(store, roots, table, fold, set)?.is_none() {
            let staging = roots.staging(set);
            let (bytes, _) = encode_record(&Owner::new(fold.topic().clone(), log));
            let created = store.create_exclusive(Site::Owner, &staging.owner(), &bytes, staging.folder())?;
            if created == Created::Created {
                continue;
            }
        }
        match read(store, roots, table, fold, set)? {
            Some(owner) if owner.log != log => {
                return Err(conflict(roots, table, fold, set, &owner, Some(log)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Creates the staging folders and tries whether files can be written there.
pub(super) fn prepare_roots(store: &Store, roots: &Roots) -> Result<(), LakeError> {
    for folder in staging_folders(roots) {
        store.create_folders(Site::StagingFolder, &folder)?;
        let probe = folder.join(format!("probe.{}{TEMPORARY_SUFFIX}", uuid::Uuid::now_v7()));
        store.create_file(Site::ProbeFile, &probe)?;
        store.remove(Site::ProbeGone, &probe)?;
    }
    Ok(())
}

pub(super) fn staging_folders(roots: &Roots) -> impl Iterator<Item = PathBuf> {
    FileSet::ALL
        .into_iter()
        .map(|set| roots.staging(set).folder().to_owned())
}

fn read(
    store: &Store,
    roots: &Roots,
    table: &TableName,
    fold: &Fold,
    set: FileSet,
) -> Result<Option<Owner>, LakeError> {
    let path = roots.staging(set).owner();
    let Some(bytes) = store.read(&path)? else {
        return Ok(None);
    };
    match decode_record::<Owner>(&bytes) {
        Ok((owner, _)) => Ok(Some(owner)),
        Err(fault) => Err(LakeError::Owner {
            topic: fold.topic().clone(),
            table: table.clone(),
            fault: format!("{}: {fault}", path.display()),
            remedy: "put the file back from a backup; it names the log that the table's files belong to"
                .to_owned(),
        }),
    }
}

fn conflict(
    roots: &Roots,
    table: &TableName,
    fold: &Fold,
    set: FileSet,
    owner: &Owner,
    log: Option<LogId>,
) -> LakeError {
    let path = roots.staging(set).owner();
    let ours = match log {
        Some(log) => format!("this configuration's is log {log} of topic {}", fold.topic()),
        None => format!(
            "topic {} has no log in this configuration's checkpoints",
            fold.topic()
        ),
    };
    LakeError::Owner {
        topic: fold.topic().clone(),
        table: table.clone(),
        fault: format!(
            "{} says that it belongs to log {} of topic {}; {ours}",
            path.display(),
            owner.log,
            owner.topic
        ),
        remedy: format!(
            "give the topic a table of its own; where the table is this topic's, set checkpoints in [lake] to where \
             its log is (or put it back); to start anew, move away \
             {0}/{table} and {1} in both roots",
            roots.root(set).display(),
            roots.staging(set).folder().display(),
        ),
    }
}

/// Whether a name in a staging folder is a stage's.
pub(super) fn stage_named(name: &str) -> Option<eventlake_core::commit::StageId> {
    match staging_entry(name) {
        StagingEntry::Stage(stage) => Some(stage),
        _ => None,
    }
}
