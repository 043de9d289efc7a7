//! A schema from a sample of records: what all of them have in common, written as JSON Schema.
//!
//! The promise: every record that [`Sample::take`] took is accepted by the schema that [`Sample::infer`] writes. A field of which
//! that cannot be said (it is a string here and a number there, it stands twice in one object, its name cannot be a
//! column's) is left out of the schema and named, with the reason: an undeclared field is accepted as it is.
//!
//! The files, in the order of the flow: `value` reads a record, `seen` remembers what was seen of each field, `decide` says what
//! that makes of it, `write` writes it down.

mod decide;
mod seen;
#[cfg(test)]
mod tests;
mod value;
mod write;

use decide::Decider;
use seen::ObjectSeen;
use value::Value;

/// What is asked of a schema beyond its types.
#[derive(Clone, Debug)]
pub struct InferOptions {
    /// The schema's `title`.
    pub title: String,
    /// A string field of at most so many different values, each seen [`TIMES_A_VALUE`] times on average, is an `enum`;
    /// 0 for none.
    pub enum_values_max: usize,
    /// How many examples of each field are kept; 0 for none.
    pub examples_max: usize,
}

/// How often a value must have been seen, on average over the field's values, for a few values to be all there are.
pub const TIMES_A_VALUE: u64 = 10;

/// Why a record cannot be part of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusable {
    /// Not JSON, nested deeper than 127 levels, or with a number beyond a double.
    NoJson,
    /// JSON, but not an object.
    NoObject,
}

impl Unusable {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Unusable::NoJson => "not JSON",
            Unusable::NoObject => "not a JSON object",
        }
    }
}

/// What was seen so far.
#[derive(Debug)]
pub struct Sample {
    options: InferOptions,
    root: ObjectSeen,
}

/// A schema, and what of the sample is not in it.
#[derive(Clone, Debug)]
pub struct Inferred {
    /// The schema file's text.
    pub text: String,
    pub left_out: Vec<LeftOut>,
    /// A field that can be the topic's `event_time`: the first `date-time` at the root that is always there.
    pub event_time: Option<String>,
}

/// A field that is not declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path, `address.city` or `items[].sku`.
    pub field: String,
    pub reason: String,
}

impl Sample {
    #[must_use]
    pub fn new(options: InferOptions) -> Sample {
        Sample {
            options,
            root: ObjectSeen::default(),
        }
    }

    /// Takes one record into the sample, whole or not at all.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn take(&mut self, payload: &[u8]) -> Result<(), Unusable> {
        match serde_json::from_slice(payload) {
            Ok(Value::Object(fields)) => {
                self.root.see(fields, &self.options);
                Ok(())
            }
            Ok(_) => Err(Unusable::NoObject),
            Err(_) => Err(Unusable::NoJson),
        }
    }

    /// Records taken.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.root.objects
    }

    /// The schema of all records taken; of none it declares nothing.
    #[must_use]
    pub fn infer(&self) -> Inferred {
        let mut decider = Decider::default();
        let root = decider.root(&self.root);
        Inferred {
            text: write::schema(&self.options.title, &root),
            event_time: root.event_time(&self.root),
            left_out: decider.left_out,
        }
    }
}
