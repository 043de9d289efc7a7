//! What was seen of each field of a sample. Memory is bounded by the number of fields, not of records.

use std::collections::{BTreeMap, HashMap};

use super::InferOptions;
use super::value::Value;
use crate::schema::format::Format;

/// An object with more different names than this is a map: its names are data, not fields.
pub(super) const NAMES_MAX: usize = 1_000;
/// A time with an offset may be in another year, where it is no event time. Nobody means these days as one, either.
const END_DAYS: [&str; 2] = ["0000-01-01", "9999-12-31"];
/// Longer texts make no example, and no value of an `enum`.
const SHORT_CHARS_MAX: usize = 60;

/// Formats that a text can be told by, the narrowest first. The others (`hostname`, `uri-reference`, `json-pointer`) are met
/// by many texts that were not meant as such.
const TELLING_FORMATS: [Format; 9] = [
    Format::DateTime,
    Format::Date,
    Format::Time,
    Format::Duration,
    Format::Uuid,
    Format::Email,
    Format::Ipv4,
    Format::Ipv6,
    Format::Uri,
];

/// What the objects at one place have had.
#[derive(Debug, Default)]
pub(super) struct ObjectSeen {
    pub objects: u64,
    /// In the order in which they were first seen.
    pub fields: Vec<FieldSeen>,
    places: HashMap<String, usize>,
    pub is_a_map: bool,
}

#[derive(Debug)]
pub(super) struct FieldSeen {
    pub name: String,
    pub values: ValuesSeen,
    /// In how many objects.
    pub objects: u64,
    /// It stood twice in one object.
    pub is_doubled: bool,
}

/// What the values at one place were.
#[derive(Debug, Default)]
pub(super) struct ValuesSeen {
    pub nulls: u64,
    pub booleans: u64,
    pub integers: u64,
    pub numbers: u64,
    pub strings: StringsSeen,
    pub arrays: u64,
    pub items: Option<Box<ValuesSeen>>,
    pub object: Option<Box<ObjectSeen>>,
    /// Scalars, the first different ones.
    pub examples: Vec<Value>,
}

#[derive(Debug)]
pub(super) struct StringsSeen {
    pub strings: u64,
    /// Those that every string so far has had.
    formats: Vec<Format>,
    /// None: too many, or too long.
    distinct: Option<BTreeMap<String, u64>>,
    /// One of them lies, in some time zone, beyond the first or last day that there is a time partition for.
    is_at_the_ends_of_time: bool,
}

impl Default for StringsSeen {
    fn default() -> Self {
        StringsSeen {
            strings: 0,
            formats: TELLING_FORMATS.to_vec(),
            distinct: Some(BTreeMap::new()),
            is_at_the_ends_of_time: false,
        }
    }
}

impl ObjectSeen {
    pub fn see(&mut self, members: Vec<(String, Value)>, options: &InferOptions) {
        self.objects += 1;
        let mut met = vec![false; self.fields.len()];
        for (name, value) in members {
            let Some(place) = self.place(name) else {
                self.is_a_map = true;
                continue;
            };
            met.resize(self.fields.len(), false);
            let field = &mut self.fields[place];
            if met[place] {
                field.is_doubled = true;
            } else {
                field.objects += 1;
            }
            met[place] = true;
            field.values.see(value, options);
        }
    }

    /// Where the field of that name is; None when there are too many already.
    fn place(&mut self, name: String) -> Option<usize> {
        if let Some(place) = self.places.get(&name) {
            return Some(*place);
        }
        if self.fields.len() == NAMES_MAX {
            return None;
        }
        let place = self.fields.len();
        self.places.insert(name.clone(), place);
        self.fields.push(FieldSeen {
            name,
            values: ValuesSeen::default(),
            objects: 0,
            is_doubled: false,
        });
        Some(place)
    }
}

impl ValuesSeen {
    fn see(&mut self, value: Value, options: &InferOptions) {
        match value {
            Value::Null => self.nulls += 1,
            Value::Boolean(_) => self.booleans += 1,
            Value::Integer(_) => self.integers += 1,
            Value::Number(_) => self.numbers += 1,
            Value::String(ref text) => self.strings.see(text, options.enum_values_max),
            Value::Array(items) => {
                self.arrays += 1;
                let seen = self.items.get_or_insert_default();
                items.into_iter().for_each(|item| seen.see(item, options));
                return;
            }
            Value::Object(members) => {
                self.object.get_or_insert_default().see(members, options);
                return;
            }
        }
        self.keep_example(value, options.examples_max);
    }

    fn keep_example(&mut self, value: Value, examples_max: usize) {
        let is_telling = match &value {
            Value::Null | Value::Boolean(_) => false,
            Value::String(text) => is_short(text),
            _ => true,
        };
        if is_telling && self.examples.len() < examples_max && !self.examples.contains(&value) {
            self.examples.push(value);
        }
    }
}

impl StringsSeen {
    fn see(&mut self, text: &str, distinct_max: usize) {
        self.strings += 1;
        self.formats.retain(|format| format.matches(text));
        self.is_at_the_ends_of_time |= END_DAYS.iter().any(|day| text.starts_with(day));
        let Some(distinct) = &mut self.distinct else {
            return;
        };
        if let Some(times) = distinct.get_mut(text) {
            *times += 1;
        } else if distinct.len() < distinct_max && is_short(text) {
            distinct.insert(text.to_owned(), 1);
        } else {
            self.distinct = None;
        }
    }

    /// Whether every one of them, if it is a `date-time`, can be an event time.
    pub fn can_be_event_times(&self) -> bool {
        !self.is_at_the_ends_of_time
    }

    /// The narrowest format that every string has.
    pub fn format(&self) -> Option<Format> {
        self.formats.first().copied().filter(|_| self.strings > 0)
    }

    /// All the values there were, if they are few and each was seen often enough.
    pub fn few(&self, times_a_value: u64) -> Option<Vec<&str>> {
        let distinct = self.distinct.as_ref()?;
        let enough = distinct.len() as u64 * times_a_value;
        (!distinct.is_empty() && self.strings >= enough)
            .then(|| distinct.keys().map(String::as_str).collect())
    }
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= SHORT_CHARS_MAX
}
