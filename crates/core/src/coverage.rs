//! Which offsets of a range have been met, and which of them again: a bit an offset.
//!
//! Knows neither files nor commits: whoever proves that each offset is in exactly one place meets each place once and
//! then asks what was not met. Offsets may be met from several threads at the same time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::position::{IntervalSet, Offset, OffsetRange};

const WORD_BITS: u64 = 64;

/// The offsets of one range, each met or not.
#[derive(Debug)]
pub struct Coverage {
    range: OffsetRange,
    words: Box<[AtomicU64]>,
}

/// What meeting an offset showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    First,
    Again,
    /// It is not in the range.
    Outside,
}

impl Coverage {
    /// No offset of the range is met yet.
    #[must_use]
    pub fn new(range: OffsetRange) -> Coverage {
        let words = range.count().div_ceil(WORD_BITS);
        Coverage {
            range,
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The memory that a range of so many offsets takes.
    #[must_use]
    pub fn bytes_for(offsets: u64) -> u64 {
        offsets.div_ceil(WORD_BITS) * (WORD_BITS / 8)
    }

    #[must_use]
    pub fn range(&self) -> OffsetRange {
        self.range
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        Coverage::bytes_for(self.range.count())
    }

    #[inline]
    pub fn meet(&self, offset: Offset) -> Met {
        if !self.range.contains(offset) {
            return Met::Outside;
        }
        let (word, bit) = self.place(offset);
        let mask = 1 << bit;
        if self.words[word].fetch_or(mask, Relaxed) & mask == 0 {
            Met::First
        } else {
            Met::Again
        }
    }

    /// Meets every offset of `range` that lies in this one's; returns those that were met before.
    pub fn meet_range(&self, range: OffsetRange) -> IntervalSet {
        let mut again = IntervalSet::new();
        let (from, next) = (
            range.from().max(self.range.from()),
            range.next().min(self.range.next()),
        );
        let mut at = from;
        while at < next {
            let (word, bit) = self.place(at);
            let bits = (WORD_BITS - bit).min(next.0.abs_diff(at.0));
            let mask = (u64::MAX >> (WORD_BITS - bits)) << bit;
            let before = self.words[word].fetch_or(mask, Relaxed) & mask;
            push_bits(&mut again, before >> bit, at);
            at = after(at, bits);
        }
        again
    }

    #[must_use]
    pub fn is_met(&self, offset: Offset) -> bool {
        self.range.contains(offset) && {
            let (word, bit) = self.place(offset);
            self.words[word].load(Relaxed) & (1 << bit) != 0
        }
    }

    /// The offsets that were not met, as ranges that do not touch, in their order.
    pub fn unmet(&self) -> impl Iterator<Item = OffsetRange> + '_ {
        let mut at = self.range.from();
        std::iter::from_fn(move || {
            let from = self.next_where(at, false)?;
            let next = self.next_where(from, true).unwrap_or(self.range.next());
            at = next;
            Some(OffsetRange::new(from, next).expect("the search goes upwards"))
        })
    }

    /// The first offset from `at` on that is met, or is not.
    fn next_where(&self, at: Offset, met: bool) -> Option<Offset> {
        let mut at = at;
        while at < self.range.next() {
            let (word, bit) = self.place(at);
            let bits = self.words[word].load(Relaxed);
            let wanted = if met { bits } else { !bits } >> bit;
            if wanted != 0 {
                let found = after(at, u64::from(wanted.trailing_zeros()));
                return (found < self.range.next()).then_some(found);
            }
            at = after(at, WORD_BITS - bit);
        }
        None
    }

    fn place(&self, offset: Offset) -> (usize, u64) {
        let index = offset.0.abs_diff(self.range.from().0);
        let word = usize::try_from(index / WORD_BITS).expect("as many words as fit in memory");
        (word, index % WORD_BITS)
    }
}

fn after(offset: Offset, count: u64) -> Offset {
    Offset(offset.0.saturating_add_unsigned(count))
}

/// Adds the offsets of a word's set bits, of which the lowest stands for `first`.
fn push_bits(set: &mut IntervalSet, mut bits: u64, mut first: Offset) {
    while bits != 0 {
        let zeros = u64::from(bits.trailing_zeros());
        first = after(first, zeros);
        bits >>= zeros;
        let ones = u64::from(bits.trailing_ones());
        let next = after(first, ones);
        set.push(OffsetRange::new(first, next).expect("ones follow each other"));
        first = next;
        bits = bits
            .checked_shr(u32::try_from(ones).expect("at most 64"))
            .unwrap_or(0);
    }
}

/// Cuts ranges into slices that hold at most `offsets_max` offsets together (or one of each range, where even that is
/// more). Each slice has the same share of every range: what was written at one time lies in few slices.
#[must_use]
pub fn slices(ranges: &[OffsetRange], offsets_max: u64) -> Vec<Vec<OffsetRange>> {
    let total: u128 = ranges.iter().map(|range| u128::from(range.count())).sum();
    let rounding = ranges.len() as u128;
    let room = u128::from(offsets_max).saturating_sub(rounding).max(1);
    let longest = ranges.iter().map(|range| range.count()).max().unwrap_or(0);
    let count = total.div_ceil(room).clamp(1, u128::from(longest.max(1)));
    let border = |range: &OffsetRange, slice: u128| {
        let share = u128::from(range.count()) * slice / count;
        after(
            range.from(),
            u64::try_from(share).expect("a share is no more than the whole"),
        )
    };
    let slice = |slice: u128| {
        let part = |range: &OffsetRange| {
            OffsetRange::new(border(range, slice), border(range, slice + 1)).expect("borders ascend")
        };
        ranges.iter().map(part).collect()
    };
    (0..count).map(slice).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn range(from: i64, next: i64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(next)).expect("a range")
    }

    fn offsets(ranges: impl IntoIterator<Item = OffsetRange>) -> Vec<i64> {
        ranges
            .into_iter()
            .flat_map(|range| range.from().0..range.next().0)
            .collect()
    }

    #[test]
    fn what_is_not_met_is_named() {
        let coverage = Coverage::new(range(1_000, 1_200));
        assert_eq!(coverage.meet(Offset(1_000)), Met::First);
        assert_eq!(coverage.meet(Offset(1_000)), Met::Again);
        assert_eq!(coverage.meet(Offset(999)), Met::Outside);
        assert_eq!(coverage.meet(Offset(1_200)), Met::Outside);
        assert!(coverage.meet_range(range(1_002, 1_199)).is_empty());
        let unmet: Vec<OffsetRange> = coverage.unmet().collect();
        assert_eq!(unmet, [range(1_001, 1_002), range(1_199, 1_200)]);
        let again = coverage.meet_range(range(0, 5_000));
        assert_eq!(again.ranges(), [range(1_000, 1_001), range(1_002, 1_199)]);
        assert_eq!(coverage.unmet().next(), None);
        assert_eq!(coverage.bytes(), 32, "a bit an offset, in whole words");
    }

    #[derive(Clone, Debug)]
    enum Step {
        One(i64),
        Many(i64, i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..700_i64).prop_map(Step::One),
            (0..700_i64, 0..200_i64).prop_map(|(from, count)| Step::Many(from, from + count)),
        ]
    }

    proptest! {
        /// Against a map of offsets to how often they were met.
        #[test]
        fn every_offset_is_met_as_often_as_it_was(
            from in 0..200_i64, count in 0..400_i64, steps in proptest::collection::vec(step(), 0..40),
        ) {
            let coverage = Coverage::new(range(from, from + count));
            let mut model: BTreeMap<i64, u32> = (from..from + count).map(|offset| (offset, 0)).collect();
            for step in steps {
                match step {
                    Step::One(offset) => {
                        let expected = match model.get_mut(&offset) {
                            None => Met::Outside,
                            Some(times) => { *times += 1; if *times == 1 { Met::First } else { Met::Again } }
                        };
                        prop_assert_eq!(coverage.meet(Offset(offset)), expected);
                    }
                    Step::Many(from, next) => {
                        let mut before = Vec::new();
                        for (offset, times) in model.range_mut(from..next) {
                            if *times > 0 { before.push(*offset); }
                            *times += 1;
                        }
                        let again = coverage.meet_range(range(from, next));
                        prop_assert_eq!(offsets(again.ranges().iter().copied()), before);
                    }
                }
            }
            let unmet: Vec<i64> = model.iter().filter(|(_, times)| **times == 0).map(|(offset, _)| *offset).collect();
            let ranges: Vec<OffsetRange> = coverage.unmet().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].next() < pair[1].from()));
            prop_assert_eq!(offsets(ranges), unmet);
            for (offset, times) in &model {
                prop_assert_eq!(coverage.is_met(Offset(*offset)), *times > 0);
            }
        }

        #[test]
        fn slices_are_the_whole_and_within_bounds(
            ranges in proptest::collection::vec((0..1_000_i64, 0..5_000_i64), 0..9), offsets_max in 1..3_000_u64,
        ) {
            let ranges: Vec<OffsetRange> = ranges.into_iter().map(|(from, count)| range(from, from + count)).collect();
            let slices = slices(&ranges, offsets_max);
            for (index, whole) in ranges.iter().enumerate() {
                let mut at = whole.from();
                for slice in &slices {
                    prop_assert_eq!(slice[index].from(), at);
                    at = slice[index].next();
                }
                prop_assert_eq!(at, whole.next());
            }
            for slice in &slices {
                let held: u64 = slice.iter().map(|range| range.count()).sum();
                prop_assert!(held <= offsets_max.max(2 * ranges.len() as u64), "{} of {}", held, offsets_max);
            }
        }
    }
}
