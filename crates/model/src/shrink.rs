//! Makes a counter-example small: fewer decisions, and calmer ones, that still break a promise.

use crate::choice::Choices;
use crate::fence::Fence;
use crate::schedule::{Ended, run};

/// The smallest list of decisions found within so many tries.
#[must_use]
pub fn shrink(ended: Ended, removed: Option<Fence>, tries_max: u32) -> Ended {
    let mut best = ended;
    let mut tries = 0;
    let mut try_it = |best: &mut Ended, candidate: Vec<u32>| {
        tries += 1;
        let ended = run(Choices::replaying(candidate), removed, false);
        let is_better = ended.violation.is_some() && weight(&ended) < weight(best);
        if is_better {
            *best = ended;
        }
        (is_better, tries < tries_max)
    };
    loop {
        let before = weight(&best);
        for size in [256, 64, 16, 8, 4, 2, 1] {
            let mut at = 0;
            while at < best.decisions.len() {
                let end = (at + size).min(best.decisions.len());
                let mut cut = best.decisions.clone();
                cut.drain(at..end);
                let (better, goes_on) = try_it(&mut best, cut);
                if !goes_on {
                    return told(best, removed);
                }
                if better {
                    continue;
                }
                if best.decisions[at..end].iter().any(|decision| *decision != 0) {
                    let mut calm = best.decisions.clone();
                    calm[at..end].fill(0);
                    let (_, goes_on) = try_it(&mut best, calm);
                    if !goes_on {
                        return told(best, removed);
                    }
                }
                at += size;
            }
        }
        if weight(&best) >= before {
            return told(best, removed);
        }
    }
}

/// What makes one counter-example harder to read than another: decisions that are not calm, then steps.
fn weight(ended: &Ended) -> (usize, u64, usize) {
    let restless = ended.decisions.iter().filter(|decision| **decision != 0).count();
    (restless, ended.steps, ended.decisions.len())
}

/// Once more, told.
fn told(best: Ended, removed: Option<Fence>) -> Ended {
    run(Choices::replaying(best.decisions), removed, true)
}
