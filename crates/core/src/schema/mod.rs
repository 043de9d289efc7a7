//! A topic's schema: JSON Schema 2020-12 compiled to columns and checks, or refused with every fault named.
//!
//! # For the configuration
//!
//! 1. [`compile`] the schema file's text. It fails with *every* fault, each with its JSON Pointer, its line in
//!    the text and a message; a message names no file, the caller does.
//! 2. `DecodeRules::new(schema)` gives the rules with their defaults: Kafka's timestamp as event time, no
//!    `_extra`, 16 MiB a record, one hour into the future, UTC. Set the fields that the topic sets.
//! 3. [`Schema::event_time_of`] turns `event_time` and `event_time_unit` into [`EventTime`], or says, in one
//!    message with a hint, why that field cannot name the event time.
//! 4. [`DecodeRules::fault`] finds what is wrong between settings that are right one by one (`extra = true`
//!    where the schema forbids undeclared fields, an event time the schema does not have, a limit too large).
//!
//! Nothing is ever ignored: a keyword is enforced as the specification defines it, is an annotation, or is a
//! fault. `docs/schemas.md` lists which is which.

mod choices;
mod column_names;
mod compile;
mod datetime;
mod decimal;
mod format;
mod infer;
mod keywords;
mod model;
mod pattern;
#[cfg(test)]
mod tests;
mod tree;

pub use column_names::name_fault;
pub use compile::compile;
pub use datetime::{DAY_MICROS, EVENT_TIME_MICROS_MAX, EVENT_TIME_MICROS_MIN, parse_date, parse_date_time};
pub use decimal::{Decimal, IntegerText, integer_of_text};
pub use format::Format;
pub use infer::{InferOptions, Inferred, LeftOut, Sample, TIMES_A_VALUE, Unusable};
pub use model::{
    ArrayRule, BooleanRule, Bound, Choices, Field, IntegerRule, Kind, MultipleOf, NullRule, NumberRule,
    ObjectRule, Pattern, Schema, SchemaFault, StringRule, ValueRule,
};

use crate::config::EventTimeUnit;

/// Default of `max_record`: payload bytes above which a record is rejected `too_large`.
pub const RECORD_BYTES_MAX_DEFAULT: usize = 16 << 20;
/// The largest `max_record` there can be: what librdkafka can be told to fetch, and what one column can hold
/// beside a full buffer.
pub const RECORD_BYTES_MAX_LIMIT: usize = 1_000_000_000;
/// Default of `max_future`: one hour.
pub const FUTURE_MICROS_MAX_DEFAULT: i64 = 3_600 * 1_000_000;

/// All that decides a record's verdict; the same record under the same rules always gets the same verdict.
#[derive(Clone, Debug)]
pub struct DecodeRules {
    pub schema: Schema,
    pub event_time: EventTime,
    /// Keep undeclared fields of the root object as JSON text in `_extra`.
    pub extra: bool,
    /// Bytes of payload above which a record is rejected `too_large`.
    pub record_bytes_max: usize,
    /// How far the event time may lie after Kafka's timestamp, in microseconds.
    pub future_micros_max: i64,
    /// Offset from UTC, in seconds, of a date-time that names none.
    pub time_zone_offset_secs: i32,
}

/// Where a record's event time comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// Kafka's own timestamp.
    Kafka,
    /// A required, non-null `date-time` field of the root.
    DateTime { field: String },
    /// A required, non-null integer field of the root, in this unit since 1970.
    Integer { field: String, unit: EventTimeUnit },
}

impl EventTime {
    /// The root field that holds it; none for Kafka's timestamp.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            EventTime::Kafka => None,
            EventTime::DateTime { field } | EventTime::Integer { field, .. } => Some(field),
        }
    }
}

impl DecodeRules {
    /// The rules of a topic that sets nothing but its schema.
    #[must_use]
    pub fn new(schema: Schema) -> DecodeRules {
        DecodeRules {
            schema,
            event_time: EventTime::Kafka,
            extra: false,
            record_bytes_max: RECORD_BYTES_MAX_DEFAULT,
            future_micros_max: FUTURE_MICROS_MAX_DEFAULT,
            time_zone_offset_secs: 0,
        }
    }

    /// What is wrong between settings that are right one by one, with a hint; none when all is well.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.extra && !self.schema.root.allows_undeclared {
            return Some(
                "extra = true keeps undeclared fields, but the schema's additionalProperties forbids them; \
                 hint: drop one of the two"
                    .to_owned(),
            );
        }
        if self.record_bytes_max == 0 || self.record_bytes_max > RECORD_BYTES_MAX_LIMIT {
            return Some(format!(
                "max_record must lie between 1 and {RECORD_BYTES_MAX_LIMIT} bytes, found {}",
                self.record_bytes_max
            ));
        }
        if self.future_micros_max < 0 {
            return Some("max_future must not be negative".to_owned());
        }
        if self.time_zone_offset_secs.abs() >= 86_400 {
            return Some(format!(
                "the time zone must lie less than a day from UTC, found {} seconds",
                self.time_zone_offset_secs
            ));
        }
        let unit = match &self.event_time {
            EventTime::Integer { unit, .. } => Some(*unit),
            EventTime::Kafka | EventTime::DateTime { .. } => None,
        };
        let field = self.event_time.field()?;
        self.schema.event_time_of(field, unit).err()
    }
}

impl Schema {
    /// The event time that a root field gives: a `date-time` (no unit), or an integer (with its unit).
    ///
    /// # Errors
    /// Why the field cannot, in one message with a hint: it does not exist, is not required, may be null, is
    /// of another type, or its unit is missing or superfluous.
    pub fn event_time_of(&self, field: &str, unit: Option<EventTimeUnit>) -> Result<EventTime, String> {
        let Some(declared) = self.fields().iter().find(|declared| declared.name == field) else {
            let nearest = compile::nearest(field, self.fields().iter().map(|known| known.name.as_str()));
            return Err(match nearest {
                Some(known) => format!("the schema has no field {field:?}; hint: did you mean {known:?}?"),
                None => format!("the schema has no field {field:?}; hint: name one of its root properties"),
            });
        };
        if !declared.required {
            return Err(format!(
                "field {field:?} names the event time but may be absent; hint: list it in the schema's \"required\""
            ));
        }
        if declared.rule.null == NullRule::Accepted {
            return Err(format!(
                "field {field:?} names the event time but may be null; hint: take \"null\" from its type"
            ));
        }
        let field = field.to_owned();
        match (&declared.rule.kind, unit) {
            (Kind::String(text), None) if text.format == Some(Format::DateTime) => {
                Ok(EventTime::DateTime { field })
            }
            (Kind::String(text), Some(_)) if text.format == Some(Format::DateTime) => Err(format!(
                "field {field:?} is a date-time, which needs no event_time_unit; hint: take the unit out"
            )),
            (Kind::Integer(_), Some(unit)) => Ok(EventTime::Integer { field, unit }),
            (Kind::Integer(_), None) => Err(format!(
                "field {field:?} is an integer; hint: say what it counts with event_time_unit = \"s\", \"ms\" or \"us\""
            )),
            (kind, _) => Err(format!(
                "field {field:?} is {}; expected a string with format \"date-time\", or an integer with event_time_unit",
                kind.described()
            )),
        }
    }
}
