//! Counts of undeclared fields by name, bounded however many names senders think of.

use std::collections::HashMap;

use super::faults::shortened;

/// How often each undeclared field of the root was seen, in records accepted or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndeclaredFields {
    by_name: HashMap<String, u64>,
    others: u64,
}

impl UndeclaredFields {
    /// Names that are told apart; fields of further names are counted together.
    pub const NAMES_MAX: usize = 1_000;

    /// The names seen and how often, in no order. Long names are shortened.
    pub fn by_name(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_name.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// How often fields of further names were seen.
    #[must_use]
    pub fn others(&self) -> u64 {
        self.others
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.others == 0
    }

    /// Counts one field, by its unescaped name.
    pub(super) fn count(&mut self, name: &[u8]) {
        const PLAIN_BYTES_MAX: usize = 80;
        let plain = if name.len() <= PLAIN_BYTES_MAX {
            std::str::from_utf8(name).ok()
        } else {
            None
        };
        let shortened_name;
        let name = match plain {
            Some(name) => name,
            None => {
                shortened_name = shortened(name);
                &shortened_name
            }
        };
        if let Some(count) = self.by_name.get_mut(name) {
            *count += 1;
        } else if self.by_name.len() < UndeclaredFields::NAMES_MAX {
            self.by_name.insert(name.to_owned(), 1);
        } else {
            self.others += 1;
        }
    }
}
