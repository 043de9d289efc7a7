//! A writer dies, or one of its calls fails, before and after every single call there is.

use eventlake_core::position::PartitionId;

use super::super::store::Store;
use super::super::{Outcome, TopicLog};
use super::support::{AtStrike, Lake, Then, Tried, compact, hour, open_first_generation, roll};

/// Everything a writer does: the first generation, rolls, a compaction, snapshots, truncation.
fn whole_life(lake: &Lake, log: &mut TopicLog) -> Tried<()> {
    if log.fold()?.generation().is_none() {
        open_first_generation(log)?;
    }
    for count in [4, 1, 3] {
        roll(log, count)?;
    }
    compact(lake, log, hour(0))?;
    log.publish()?;
    log.clean()?;
    roll(log, 2)?;
    log.clean()?;
    Ok(())
}

/// How many places there are for a fault.
fn strikes_in_a_life() -> usize {
    let counter = AtStrike::new(usize::MAX, Then::FailOnce);
    let lake = Lake::new();
    let mut log = lake
        .try_writer(Store::with_faults(counter.clone()))
        .expect("opened");
    whole_life(&lake, &mut log).expect("no fault");
    lake.assert_exact();
    assert_eq!(lake.leftovers(), Vec::<std::path::PathBuf>::new());
    counter.strikes()
}

#[test]
fn whatever_call_a_writer_dies_at_the_next_one_goes_on_exactly() {
    let strikes = strikes_in_a_life();
    assert!(strikes > 300, "only {strikes} places to die at");
    for at in 0..strikes {
        let lake = Lake::new();
        let faults = AtStrike::new(at, Then::Die);
        let died = lake
            .try_writer(Store::with_faults(faults.clone()))
            .map_err(Into::into)
            .and_then(|mut log| whole_life(&lake, &mut log));
        assert!(
            faults.came() && (died.is_err() || at + 20 > strikes),
            "fault {at} had no effect"
        );
        check_visible_is_committed(&lake, at);

        let mut heir = lake.writer();
        if heir.fold().expect("a fold").generation().is_none() {
            open_first_generation(&mut heir).expect("opened");
        }
        let before = heir.fold().expect("a fold").next(PartitionId(0)).0;
        for count in [3, 3] {
            let outcome = roll(&mut heir, count).expect("rolled");
            assert!(
                matches!(outcome, Outcome::Committed { .. }),
                "fault {at}: {outcome:?}"
            );
        }
        assert_eq!(heir.fold().expect("a fold").next(PartitionId(0)).0, before + 6);
        lake.assert_exact();
        // A dead compactor's files wait for one of their inputs to be replaced.
        compact(&lake, &mut heir, hour(0)).expect("compacted");
        heir.publish().expect("published");
        heir.clean().expect("cleaned");
        heir.clean().expect("cleaned");
        lake.assert_exact();
        assert_eq!(lake.leftovers(), Vec::<std::path::PathBuf>::new(), "fault {at}");
    }
}

#[test]
fn whatever_single_call_fails_the_same_writer_goes_on_exactly() {
    let strikes = strikes_in_a_life();
    for at in 0..strikes {
        let lake = Lake::new();
        let store = Store::with_faults(AtStrike::new(at, Then::FailOnce));
        let mut log = match lake.try_writer(store.clone()) {
            Ok(log) => log,
            Err(_) => lake.try_writer(store.clone()).expect("the fault is over"),
        };
        // The first run ends at the fault; the second meets none.
        if whole_life(&lake, &mut log).is_err() {
            check_visible_is_committed(&lake, at);
            whole_life(&lake, &mut log).expect("the fault is over");
        }
        lake.assert_exact();
        compact(&lake, &mut log, hour(0)).expect("compacted");
        log.publish().expect("published");
        log.clean().expect("cleaned");
        log.clean().expect("cleaned");
        lake.assert_exact();
    }
}

/// At no instant does a reader's glob find what is not committed, or a row twice.
fn check_visible_is_committed(lake: &Lake, at: usize) {
    let mut rows = Vec::new();
    for (set, path) in lake.visible() {
        let content = std::fs::read_to_string(lake.root(set).join(path)).expect("readable");
        let ranges = super::support::ranges_in(&content);
        rows.extend(ranges.into_iter().flat_map(|(_, from, next)| from..next));
    }
    rows.sort_unstable();
    let fold = super::super::read_fold(&lake.paths.checkpoints, &super::support::topic()).expect("a fold");
    let next = fold.map_or(0, |fold| fold.next(PartitionId(0)).0);
    assert!(
        rows.windows(2).all(|pair| pair[0] < pair[1]),
        "fault {at}: a row is visible twice"
    );
    assert!(
        rows.last().is_none_or(|last| *last < next),
        "fault {at}: visible and not committed"
    );
}
