//! Many schedules, from consecutive seeds: what they covered, and the first that breaks a promise.

use crate::choice::Choices;
use crate::coverage::{Coverage, Situation, Transition};
use crate::fence::Fence;
use crate::schedule::{Ended, run};

/// What a run of many schedules brought.
pub struct Explored {
    pub schedules: u64,
    pub steps: u64,
    pub coverage: Coverage,
    /// The first schedule that broke a promise, and its seed.
    pub broken: Option<(u64, Ended)>,
}

/// Runs schedules until one breaks a promise, or so many have run.
#[must_use]
pub fn explore(seed: u64, schedules: u64, removed: Option<Fence>) -> Explored {
    let mut explored = Explored {
        schedules: 0,
        steps: 0,
        coverage: Coverage::default(),
        broken: None,
    };
    for seed in seed..seed + schedules {
        let ended = run(Choices::seeded(seed), removed, false);
        explored.schedules += 1;
        explored.steps += ended.steps;
        explored.coverage.add(&ended.coverage);
        if ended.violation.is_some() {
            explored.broken = Some((seed, ended));
            break;
        }
    }
    explored
}

impl Explored {
    /// The transitions that fired less than so many times, and the situations that no schedule met.
    #[must_use]
    pub fn lacking(&self, fired_min: u64, met_min: u64) -> Vec<&'static str> {
        let transitions = Transition::ALL.iter().zip(&self.coverage.transitions);
        let rare = transitions
            .filter(|(_, fired)| **fired < fired_min)
            .map(|(transition, _)| transition.text());
        let situations = Situation::ALL.iter().zip(&self.coverage.situations);
        let unmet = situations
            .filter(|(_, met)| **met < met_min)
            .map(|(situation, _)| situation.text());
        rare.chain(unmet).collect()
    }
}
