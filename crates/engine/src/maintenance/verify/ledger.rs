//! Which appends count: the checkpoints of a log, followed from its first commit without the writer's fold.
//!
//! Needs of each append only what an account keeps of it. After a commit that is gone or damaged nobody knows where the
//! checkpoints stood, so from there on an append that leaves a gap is taken, too: the gap is reported elsewhere.

use std::collections::BTreeMap;

use eventlake_core::commit::{AccountedAppend, AccountedGeneration, GenerationOrdinal, PartitionStart};
use eventlake_core::position::{Offset, PartitionId};

/// The current generation and its checkpoints.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    current: Option<GenerationOrdinal>,
    next: BTreeMap<PartitionId, Offset>,
    /// Something before was not to be read.
    has_gap: bool,
}

impl Ledger {
    pub fn passed_a_gap(&mut self) {
        self.has_gap = true;
    }

    /// Whether the generation was the next one; its partitions then start where it says.
    pub fn open(&mut self, opened: &AccountedGeneration) -> bool {
        let expected = self.current.map_or(1, |current| current.0 + 1);
        let found = opened.opened.ordinal;
        if found.0 == expected || self.has_gap && found.0 > expected {
            self.start(found, &opened.opened.starts);
            return true;
        }
        false
    }

    pub fn start(&mut self, ordinal: GenerationOrdinal, starts: &[PartitionStart]) {
        self.current = Some(ordinal);
        self.next = starts.iter().map(|start| (start.partition, start.from)).collect();
    }

    /// Whether the append takes every partition from its checkpoint onwards; if so, they move on.
    pub fn take(&mut self, append: &AccountedAppend) -> bool {
        let follows = |partition: PartitionId, from: Offset| {
            let checkpoint = self.next.get(&partition).copied().unwrap_or(Offset::ZERO);
            from == checkpoint || self.has_gap && from > checkpoint
        };
        let is_current = self.current == Some(append.generation);
        let takes = !append.taken.is_empty()
            && append
                .taken
                .iter()
                .all(|taken| taken.next > taken.from && follows(taken.partition, taken.from));
        if !is_current || !takes {
            return false;
        }
        for taken in &append.taken {
            self.next.insert(taken.partition, taken.next);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use eventlake_core::commit::{CommitNumber, Named, Taken};

    use super::*;

    fn append(generation: u32, ranges: &[(i32, i64, i64)]) -> AccountedAppend {
        let taken = ranges.iter().map(|(partition, from, next)| Taken {
            partition: PartitionId(*partition),
            from: Offset(*from),
            next: Offset(*next),
            accepted: next.abs_diff(*from),
            rejected: 0,
            named: Named::default(),
        });
        AccountedAppend {
            number: CommitNumber(9),
            generation: GenerationOrdinal(generation),
            taken: taken.collect(),
        }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        let start = PartitionStart {
            partition: PartitionId(1),
            from: Offset(5),
        };
        ledger.start(GenerationOrdinal(1), &[start]);
        ledger
    }

    #[test]
    fn an_append_counts_when_it_goes_on_where_the_last_one_ended() {
        let mut ledger = ledger();
        assert!(ledger.take(&append(1, &[(0, 0, 3), (1, 5, 6)])));
        for late in [
            append(1, &[(0, 0, 3)]),
            append(1, &[(0, 2, 4)]),
            append(1, &[(0, 4, 9)]),
            append(1, &[(0, 3, 4), (1, 5, 6)]),
            append(1, &[(0, 3, 3)]),
            append(2, &[(0, 3, 4)]),
            append(1, &[]),
        ] {
            assert!(!ledger.take(&late), "{late:?}");
        }
        assert!(ledger.take(&append(1, &[(0, 3, 4)])));
    }

    #[test]
    fn behind_a_gap_an_append_may_leave_one_and_never_goes_back() {
        let mut ledger = ledger();
        ledger.passed_a_gap();
        assert!(ledger.take(&append(1, &[(0, 40, 50)])));
        assert!(
            !ledger.take(&append(1, &[(0, 40, 50)])),
            "it was taken by the one before"
        );
        assert!(ledger.take(&append(1, &[(0, 50, 51)])));
    }
}
