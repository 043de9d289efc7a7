//! What a run has found so far: a bounded number of examples of each kind, exact counts, and what was not checked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use eventlake_core::position::{Offset, OffsetRange};

use super::report::{Code, Finding};

/// Examples kept of each code.
const EXAMPLES_MAX: u64 = 40;
const UNCHECKED_MAX: usize = 40;

/// Gathers findings from several threads.
#[derive(Debug, Default)]
pub(super) struct Findings {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<Code, u64>,
    examples: Vec<Finding>,
    unchecked: Vec<String>,
    unchecked_more: u64,
}

/// All that was found, in an order that does not depend on threads.
#[derive(Debug)]
pub(super) struct Found {
    pub counts: BTreeMap<Code, u64>,
    pub examples: Vec<Finding>,
    pub unchecked: Vec<String>,
}

impl Findings {
    pub fn add(&self, finding: Finding) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.counts.entry(finding.code).or_default();
        *count += 1;
        if *count <= EXAMPLES_MAX {
            inner.examples.push(finding);
        }
    }

    pub fn unchecked(&self, what: String) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.unchecked.len() < UNCHECKED_MAX {
            inner.unchecked.push(what);
        } else {
            inner.unchecked_more += 1;
        }
    }

    /// Whether anything of these kinds was found.
    pub fn has(&self, codes: &[Code]) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        codes.iter().any(|code| inner.counts.contains_key(code))
    }

    pub fn into_found(self) -> Found {
        let mut inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        inner.examples.sort_by(|one, other| {
            let key = |finding: &Finding| {
                let first = finding.offsets.first().copied();
                (finding.code, finding.commit, finding.place, first)
            };
            key(one)
                .cmp(&key(other))
                .then_with(|| one.files.cmp(&other.files))
        });
        inner.unchecked.sort();
        if inner.unchecked_more > 0 {
            inner.unchecked.push(format!("and {} more", inner.unchecked_more));
        }
        Found {
            counts: inner.counts,
            examples: inner.examples,
            unchecked: inner.unchecked,
        }
    }
}

/// Offsets met in any order, kept up to a bound; how many there were is exact.
#[derive(Clone, Debug, Default)]
pub(super) struct OffsetSample {
    kept: Vec<i64>,
    count: u64,
}

const SAMPLE_MAX: usize = 1_000;

impl OffsetSample {
    pub fn push(&mut self, offset: Offset) {
        self.count += 1;
        if self.kept.len() < SAMPLE_MAX {
            self.kept.push(offset.0);
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The offsets kept, ascending, each once.
    pub fn offsets(&self) -> Vec<Offset> {
        let mut kept = self.kept.clone();
        kept.sort_unstable();
        kept.dedup();
        kept.into_iter().map(Offset).collect()
    }

    /// The first few as ranges.
    pub fn ranges(&self) -> Vec<OffsetRange> {
        ranges_of(&self.offsets())
    }
}

/// Ranges shown of one finding.
pub(super) const RANGES_MAX: usize = 20;

/// Ascending offsets as ranges, the first few.
pub(super) fn ranges_of(offsets: &[Offset]) -> Vec<OffsetRange> {
    let mut ranges: Vec<OffsetRange> = Vec::new();
    for offset in offsets {
        let is_full = ranges.len() == RANGES_MAX;
        match ranges.last_mut() {
            Some(last) if last.next() == *offset => {
                *last = OffsetRange::new(last.from(), offset.following()).expect("it grows");
            }
            _ if is_full => break,
            _ => ranges.push(OffsetRange::one(*offset)),
        }
    }
    ranges
}
