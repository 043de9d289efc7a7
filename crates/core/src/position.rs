//! Positions in a topic: partitions, offsets, half-open offset ranges and sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A partition of a topic, Kafka's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub i32);

/// A record's place in its partition. Kafka's offsets start at 0 and never recur within a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    pub const ZERO: Offset = Offset(0);

    /// The offset that follows this one: what Kafka would call the committed offset after this record.
    #[must_use]
    pub fn following(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A half-open range of offsets, `[from, next)`. Written in JSON as `[from, next]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "[i64; 2]", try_from = "[i64; 2]")]
pub struct OffsetRange {
    from: Offset,
    next: Offset,
}

/// A pair of offsets that is no range: its end lies before its start, or its start below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[{from}, {next}) is not a range of offsets")]
pub struct NotARange {
    from: i64,
    next: i64,
}

impl OffsetRange {
    /// # Errors
    /// When `next < from` or `from < 0`.
    pub fn new(from: Offset, next: Offset) -> Result<OffsetRange, NotARange> {
        if from.0 < 0 || next < from {
            return Err(NotARange {
                from: from.0,
                next: next.0,
            });
        }
        Ok(OffsetRange { from, next })
    }

    /// The range that holds one offset.
    #[must_use]
    pub fn one(offset: Offset) -> OffsetRange {
        OffsetRange {
            from: offset,
            next: offset.following(),
        }
    }

    #[must_use]
    pub fn from(self) -> Offset {
        self.from
    }

    #[must_use]
    pub fn next(self) -> Offset {
        self.next
    }

    /// How many offsets the range holds.
    #[must_use]
    pub fn count(self) -> u64 {
        u64::try_from(self.next.0 - self.from.0).expect("a range never ends before it starts")
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.from == self.next
    }

    #[must_use]
    pub fn contains(self, offset: Offset) -> bool {
        self.from <= offset && offset < self.next
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.next)
    }
}

impl From<OffsetRange> for [i64; 2] {
    fn from(range: OffsetRange) -> Self {
        [range.from.0, range.next.0]
    }
}

impl TryFrom<[i64; 2]> for OffsetRange {
    type Error = NotARange;

    fn try_from([from, next]: [i64; 2]) -> Result<Self, NotARange> {
        OffsetRange::new(Offset(from), Offset(next))
    }
}

/// A set of offsets, held as sorted ranges that neither overlap nor touch; never holds an empty range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<OffsetRange>", try_from = "Vec<OffsetRange>")]
pub struct IntervalSet(Vec<OffsetRange>);

/// Ranges that are no interval set: one is empty, out of order, overlapping or touching its neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the intervals are not sorted, disjoint and maximal at {0}")]
pub struct NotAnIntervalSet(OffsetRange);

impl IntervalSet {
    #[must_use]
    pub fn new() -> IntervalSet {
        IntervalSet::default()
    }

    /// Adds a range at the end; one that touches the last is merged with it. An empty range adds nothing.
    ///
    /// # Panics
    /// When the range starts before the end of the last one: offsets are named in their order, once.
    pub fn push(&mut self, range: OffsetRange) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.next == range.from => last.next = range.next,
            Some(last) => {
                assert!(last.next < range.from, "{range} is named after {last}");
                self.0.push(range);
            }
            None => self.0.push(range),
        }
    }

    /// Appends the ranges of a set that lies wholly behind this one.
    pub fn extend(&mut self, later: &IntervalSet) {
        for range in later.ranges() {
            self.push(*range);
        }
    }

    /// How many offsets the set holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.count()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn ranges(&self) -> &[OffsetRange] {
        &self.0
    }

    #[must_use]
    pub fn contains(&self, offset: Offset) -> bool {
        let after = self.0.partition_point(|range| range.from <= offset);
        after > 0 && self.0[after - 1].contains(offset)
    }
}

impl From<IntervalSet> for Vec<OffsetRange> {
    fn from(set: IntervalSet) -> Self {
        set.0
    }
}

impl TryFrom<Vec<OffsetRange>> for IntervalSet {
    type Error = NotAnIntervalSet;

    fn try_from(ranges: Vec<OffsetRange>) -> Result<Self, NotAnIntervalSet> {
        for (index, range) in ranges.iter().enumerate() {
            let touches_last = index > 0 && ranges[index - 1].next >= range.from;
            if range.is_empty() || touches_last {
                return Err(NotAnIntervalSet(*range));
            }
        }
        Ok(IntervalSet(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: i64, next: i64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(next)).expect("a range")
    }

    #[test]
    fn touching_ranges_merge_and_counts_add_up() {
        let mut set = IntervalSet::new();
        set.push(range(3, 5));
        set.push(range(5, 6));
        set.push(range(9, 9));
        set.push(range(10, 12));
        assert_eq!(set.ranges(), [range(3, 6), range(10, 12)]);
        assert_eq!(set.count(), 5);
        assert!(set.contains(Offset(5)) && !set.contains(Offset(6)) && set.contains(Offset(11)));
        assert!(!set.contains(Offset(2)) && !set.contains(Offset(12)));
    }

    #[test]
    #[should_panic(expected = "is named after")]
    fn an_offset_is_never_named_twice() {
        let mut set = IntervalSet::new();
        set.push(range(3, 5));
        set.push(range(4, 6));
    }

    #[test]
    fn json_refuses_what_is_no_interval_set() {
        for text in ["[[5,3]]", "[[3,3]]", "[[1,2],[2,3]]", "[[4,6],[1,2]]", "[[-1,2]]"] {
            assert!(serde_json::from_str::<IntervalSet>(text).is_err(), "{text}");
        }
        let set: IntervalSet = serde_json::from_str("[[1,2],[4,6]]").expect("a set");
        assert_eq!(serde_json::to_string(&set).expect("json"), "[[1,2],[4,6]]");
    }
}
