//! Counts by a bounded set of labels: violation codes, roll reasons, names of undeclared fields.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use eventlake_core::flush::RollReason;
use eventlake_core::violation::Code;

const CODES: usize = Code::ALL.len();

/// How many names of undeclared fields are told apart, a topic. Names are the senders' and have no end.
pub const UNDECLARED_NAMES_MAX: usize = 1000;

/// What further names count as.
pub const UNDECLARED_REST: &str = "(other names)";

/// How many records were rejected with each code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCounts([u64; CODES]);

impl Default for CodeCounts {
    fn default() -> CodeCounts {
        CodeCounts([0; CODES])
    }
}

impl CodeCounts {
    pub fn add(&mut self, code: Code, count: u64) {
        self.0[code as usize] += count;
    }

    pub fn merge(&mut self, other: &CodeCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    #[must_use]
    pub fn get(&self, code: Code) -> u64 {
        self.0[code as usize]
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every code with its count, zeros too, in the order of [`Code::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        Code::ALL.iter().copied().zip(self.0)
    }
}

/// [`CodeCounts`] that many threads may add to.
#[derive(Debug)]
pub(super) struct AtomicCodeCounts([AtomicU64; CODES]);

impl Default for AtomicCodeCounts {
    fn default() -> AtomicCodeCounts {
        AtomicCodeCounts(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl AtomicCodeCounts {
    pub(super) fn add(&self, counts: &CodeCounts) {
        for (mine, theirs) in self.0.iter().zip(counts.0) {
            if theirs > 0 {
                mine.fetch_add(theirs, Relaxed);
            }
        }
    }

    pub(super) fn load(&self) -> CodeCounts {
        CodeCounts(std::array::from_fn(|index| self.0[index].load(Relaxed)))
    }
}

/// Counts a name, or counts it as [`UNDECLARED_REST`] where there are too many names already.
pub(super) fn add_bounded(names: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    if let Some(held) = names.get_mut(name) {
        *held += count;
    } else if names.len() < UNDECLARED_NAMES_MAX {
        names.insert(name.to_owned(), count);
    } else {
        *names.entry(UNDECLARED_REST.to_owned()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_its_own_place_in_the_list_of_all() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index, "{code}");
        }
        for (index, reason) in RollReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index, "{reason}");
        }
    }

    #[test]
    fn names_without_end_are_counted_in_bounded_memory() {
        let mut names = BTreeMap::new();
        for index in 0..3 * UNDECLARED_NAMES_MAX {
            add_bounded(&mut names, &format!("field_{index}"), 1);
        }
        add_bounded(&mut names, "field_0", 4);
        assert_eq!(names.len(), UNDECLARED_NAMES_MAX + 1);
        assert_eq!(names["field_0"], 5);
        assert_eq!(names[UNDECLARED_REST], 2 * UNDECLARED_NAMES_MAX as u64);
    }
}
