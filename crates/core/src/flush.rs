//! When a topic rolls, goes on consuming, or waits: one pure decision from the facts of the moment.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a topic's open buffers were sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollReason {
    Interval,
    Size,
    Memory,
    Revoke,
    Shutdown,
}

impl RollReason {
    pub const ALL: &[RollReason] = &[
        RollReason::Interval,
        RollReason::Size,
        RollReason::Memory,
        RollReason::Revoke,
        RollReason::Shutdown,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RollReason::Interval => "interval",
            RollReason::Size => "size",
            RollReason::Memory => "memory",
            RollReason::Revoke => "revoke",
            RollReason::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for RollReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known when a topic asks what to do next.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Offsets have been passed since the last roll, be they rows or absent ones.
    pub pending: bool,
    /// Since the first of them was passed.
    pub age: Duration,
    /// Bytes in the topic's open buffers.
    pub open_bytes: u64,
    /// An earlier roll of this topic is still being written or committed.
    pub writing: bool,
    /// Bytes in all buffers of the process, open and sealed.
    pub used_bytes: u64,
    /// No other topic has more bytes in its open buffers.
    pub largest: bool,
}

/// The limits a topic rolls by.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub roll_interval: Duration,
    /// Open bytes of one topic at which it rolls.
    pub roll_bytes: u64,
    /// Bytes that all buffers of the process may hold together.
    pub budget_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Consume,
    Roll(RollReason),
    /// Take nothing in until a roll in progress has freed memory.
    Wait,
}

/// Decides the next step. Never lets a topic consume when the process' buffers are at their budget, and never
/// waits when nothing that frees memory is under way or about to be.
#[must_use]
pub fn decide(facts: &Facts, limits: &Limits) -> Step {
    let full = facts.open_bytes >= limits.roll_bytes;
    let over_budget = facts.used_bytes >= limits.budget_bytes;
    let near_budget = facts.used_bytes >= limits.budget_bytes / 4 * 3;
    if facts.pending && !facts.writing {
        if facts.age >= limits.roll_interval {
            return Step::Roll(RollReason::Interval);
        }
        if full {
            return Step::Roll(RollReason::Size);
        }
        if near_budget && facts.largest && facts.open_bytes > 0 {
            return Step::Roll(RollReason::Memory);
        }
    }
    if over_budget || (full && facts.writing) {
        Step::Wait
    } else {
        Step::Consume
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        roll_interval: Duration::from_secs(10),
        roll_bytes: 100,
        budget_bytes: 400,
    };

    fn facts() -> Facts {
        Facts {
            pending: true,
            age: Duration::from_secs(1),
            open_bytes: 50,
            writing: false,
            used_bytes: 50,
            largest: true,
        }
    }

    #[test]
    fn each_limit_alone_makes_a_roll() {
        assert_eq!(decide(&facts(), &LIMITS), Step::Consume);
        let old = Facts {
            age: Duration::from_secs(10),
            ..facts()
        };
        assert_eq!(decide(&old, &LIMITS), Step::Roll(RollReason::Interval));
        let full = Facts {
            open_bytes: 100,
            used_bytes: 100,
            ..facts()
        };
        assert_eq!(decide(&full, &LIMITS), Step::Roll(RollReason::Size));
        let near = Facts {
            used_bytes: 300,
            ..facts()
        };
        assert_eq!(decide(&near, &LIMITS), Step::Roll(RollReason::Memory));
    }

    #[test]
    fn nothing_pending_never_rolls() {
        let idle = Facts {
            pending: false,
            age: Duration::from_secs(99),
            open_bytes: 0,
            used_bytes: 0,
            ..facts()
        };
        assert_eq!(decide(&idle, &LIMITS), Step::Consume);
    }

    #[test]
    fn consumption_stops_at_the_budget_and_when_a_full_buffer_cannot_be_handed_on() {
        let over = Facts {
            used_bytes: 400,
            largest: false,
            ..facts()
        };
        assert_eq!(decide(&over, &LIMITS), Step::Wait);
        let behind = Facts {
            open_bytes: 100,
            used_bytes: 200,
            writing: true,
            ..facts()
        };
        assert_eq!(decide(&behind, &LIMITS), Step::Wait);
        let writing = Facts {
            writing: true,
            age: Duration::from_secs(99),
            ..facts()
        };
        assert_eq!(decide(&writing, &LIMITS), Step::Consume);
    }

    /// Whatever the mix of topics, some topic can move: the largest open one rolls, or a roll is under way.
    #[test]
    fn the_budget_never_locks_all_topics() {
        let largest = Facts {
            used_bytes: 400,
            open_bytes: 1,
            ..facts()
        };
        assert_eq!(decide(&largest, &LIMITS), Step::Roll(RollReason::Memory));
    }
}
