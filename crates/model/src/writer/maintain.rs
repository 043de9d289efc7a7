//! Whoever looks after the table: compaction, retention and replay, by replace commits of the same rules.

use std::collections::{BTreeMap, BTreeSet};

use eventlake_core::commit::{
    Body, File, FileSet, Folder, GenerationOrdinal, Replace, ReplaceReason, StagePlan,
};

use super::log::{Log, Outcome};
use crate::coverage::{Situation, Transition};
use crate::task::Trouble;
use crate::world::store::Row;
use crate::world::{World, file_name, hour, staged_slot, table_slot};

/// Looks after the table now and then.
pub async fn run(mut log: Log) {
    let thread = log.thread.clone();
    loop {
        let heard = thread.with(|world| world.ticks);
        thread.until(move |world| world.ticks > heard).await;
        let reason = thread.with(|world| {
            let profile = &world.profile;
            let kinds = [
                (profile.compaction, ReplaceReason::Compaction),
                (profile.replay, ReplaceReason::Replay),
                (profile.retention, ReplaceReason::Retention),
            ];
            let wanted: Vec<ReplaceReason> = kinds
                .into_iter()
                .filter(|(wanted, _)| *wanted)
                .map(|(_, kind)| kind)
                .collect();
            let is_over = world.choices.is_calm();
            (!is_over && !wanted.is_empty()).then(|| wanted[world.choices.pick(wanted.len())])
        });
        if let Some(reason) = reason {
            let _ = replace(&mut log, reason).await;
        }
        let _ = log.publish().await;
        let _ = log.clean().await;
        let _ = log.snapshot().await;
    }
}

async fn replace(log: &mut Log, reason: ReplaceReason) -> Result<(), Trouble> {
    log.refresh().await?;
    let candidates = candidates(log, reason);
    let chosen = log.thread.with(|world| world.choices.pick(candidates.len()));
    let Some(inputs) = candidates.into_iter().nth(chosen) else {
        return Ok(());
    };
    let (generation, in_hour) = (inputs[0].generation, hour_of(&inputs[0]));
    let removed: Vec<_> = inputs.iter().map(File::key).collect();
    let mut files = Vec::new();
    if reason != ReplaceReason::Retention {
        let Some(rows) = read_inputs(log, &inputs).await? else {
            return Ok(());
        };
        let mut stage = log
            .stage(StagePlan::Replace {
                generation,
                inputs: removed.clone(),
            })
            .await?;
        let set = if reason == ReplaceReason::Replay {
            FileSet::Accepted
        } else {
            inputs[0].set
        };
        files.push(stage.write(set, in_hour, rows).await?);
        stage.sync().await?;
    }
    let body = Body::Replace(Replace {
        reason,
        removed: removed.clone(),
        files,
    });
    let mut tries = 0;
    let outcome = loop {
        match log.propose(&body).await {
            Ok(outcome) => break outcome,
            Err(Trouble::NotNow) if tries < 10 => tries += 1,
            Err(trouble) => return Err(trouble),
        }
    };
    if !matches!(outcome, Outcome::Committed { .. }) {
        log.thread.with(|world| note_rivals(world, reason, &removed));
    }
    Ok(())
}

/// What was wanted of files that another replaced first.
fn note_rivals(world: &mut World, reason: ReplaceReason, removed: &[eventlake_core::commit::FileKey]) {
    use ReplaceReason::{Compaction, Replay, Retention};
    let by_others: BTreeSet<ReplaceReason> = removed
        .iter()
        .filter_map(|key| world.oracle.replaced_by(key))
        .collect();
    for other in by_others {
        match (reason, other) {
            (Compaction, Compaction) => world.met(Situation::TwoCompactors),
            (Replay, Replay) => world.met(Situation::TwoReplays),
            (Compaction, Retention) | (Retention, Compaction) => {
                world.met(Situation::CompactionAgainstRetention)
            }
            _ => {}
        }
    }
}

/// Sets of files that may be replaced together.
fn candidates(log: &Log, reason: ReplaceReason) -> Vec<Vec<File>> {
    let mut folders: BTreeMap<(Folder, GenerationOrdinal), Vec<File>> = BTreeMap::new();
    for file in log.fold.files().values() {
        folders
            .entry((Folder::of(&file.key()), file.generation))
            .or_default()
            .push(file.clone());
    }
    let groups = folders.into_iter();
    match reason {
        ReplaceReason::Replay => groups
            .filter(|((folder, _), _)| folder.set == FileSet::Rejected)
            .flat_map(|(_, files)| files.into_iter().map(|file| vec![file]))
            .collect(),
        ReplaceReason::Retention => groups
            .filter(|((folder, _), _)| folder.set == FileSet::Accepted)
            .map(|(_, files)| files)
            .collect(),
        _ => groups
            .filter(|(_, files)| files.len() > 1)
            .map(|(_, files)| files)
            .collect(),
    }
}

fn hour_of(file: &File) -> u8 {
    (0..24)
        .find(|candidate| hour(*candidate) == file.path.time_partition())
        .expect("an hour")
}

/// All rows of the inputs, wherever they lie; None when one is not there any more.
async fn read_inputs(log: &Log, inputs: &[File]) -> Result<Option<Vec<Row>>, Trouble> {
    let mut rows = Vec::new();
    for file in inputs {
        let key = file.key();
        let read = log
            .thread
            .call(Transition::ReadInput, |world| {
                let name = file_name(&key);
                let published = world.store.rows(&table_slot(&key), &name);
                published.or_else(|| world.store.rows(&staged_slot(&key), &name))
            })
            .await?;
        match read {
            Some(read) => rows.extend(read.iter().copied()),
            None => return Ok(None),
        }
    }
    Ok(Some(rows))
}
