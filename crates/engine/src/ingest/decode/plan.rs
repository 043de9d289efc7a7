//! The rules of a topic laid out for decoding: which bytes to expect next, which checks a value needs.

use std::collections::HashMap;

use eventlake_core::config::EventTimeUnit;
use eventlake_core::schema::{
    BooleanRule, Choices, DecodeRules, EventTime, Field, Format, IntegerRule, Kind, NullRule, NumberRule,
    ObjectRule, StringRule, ValueRule,
};
use eventlake_core::violation::Code;

/// With more fields than this a name that was not predicted is looked up by its hash.
const SEARCHED_FIELDS_MAX: usize = 24;
/// No field of this object names the event time.
const NONE: usize = usize::MAX;

#[derive(Debug)]
pub(super) struct ObjectPlan {
    pub fields: Vec<FieldPlan>,
    by_name: HashMap<Box<[u8]>, usize>,
    pub allows_undeclared: bool,
    pub properties_min: Option<u64>,
    pub properties_max: Option<u64>,
    /// Index of the field that names the event time; out of range where none does.
    pub event_time_index: usize,
}

#[derive(Debug)]
pub(super) struct FieldPlan {
    pub key: Key,
    pub name: Box<str>,
    pub required: bool,
    pub value: ValuePlan,
}

/// A field's name as most producers write it, quoted and with its colon, laid out to be compared without a call.
#[derive(Debug)]
pub(super) struct Key {
    text: Box<[u8]>,
    /// Its first 16 bytes; where it is shorter, `mask` keeps as many.
    head: u128,
    mask: u128,
    /// Its last 16 bytes, where it is longer.
    tail: Option<u128>,
}

impl Key {
    const PART: usize = size_of::<u128>();

    fn new(text: Vec<u8>) -> Key {
        let mut head = [0; Key::PART];
        let mut mask = [0; Key::PART];
        for ((byte, head), mask) in text.iter().zip(&mut head).zip(&mut mask) {
            (*head, *mask) = (*byte, u8::MAX);
        }
        let tail = text.last_chunk::<{ Key::PART }>();
        Key {
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
            tail: tail
                .filter(|_| text.len() > Key::PART)
                .map(|tail| u128::from_le_bytes(*tail)),
            text: text.into(),
        }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether a record goes on with this key.
    #[inline(always)]
    pub(super) fn is_next(&self, rest: &[u8]) -> bool {
        let Some(head) = rest.first_chunk::<{ Key::PART }>() else {
            return rest.starts_with(&self.text);
        };
        u128::from_le_bytes(*head) & self.mask == self.head
            && self.tail.is_none_or(|tail| self.ends_with(rest, tail))
    }

    #[inline(always)]
    fn ends_with(&self, rest: &[u8], tail: u128) -> bool {
        let is_tail = |text: &[u8]| {
            text.last_chunk::<{ Key::PART }>()
                .is_some_and(|last| u128::from_le_bytes(*last) == tail)
        };
        let Some(text) = rest.get(..self.text.len()) else {
            return false;
        };
        is_tail(text) && (self.text.len() <= 2 * Key::PART || *text == *self.text)
    }
}

#[derive(Debug)]
pub(super) struct ValuePlan {
    pub null: NullRule,
    /// The keyword that a value of another type fails.
    pub type_code: Code,
    pub kind: KindPlan,
}

#[derive(Debug)]
pub(super) enum KindPlan {
    Boolean(BooleanRule),
    Integer(IntegerRule),
    Number(NumberRule),
    /// A string that nothing but its type is asked of.
    FreeText,
    Text(StringRule),
    /// The rule, where it asks more than the format.
    DateTime(Option<StringRule>),
    Date(Option<StringRule>),
    Object(ObjectPlan),
    Array(Box<ArrayPlan>),
}

impl ValuePlan {
    /// What a keyword expects of the type: the values that `enum` or `const` lists, else the type in words.
    pub(super) fn expected_by(&self, code: Code) -> String {
        let listed = match &self.kind {
            KindPlan::Boolean(rule) => expected_of(&rule.choices, code),
            KindPlan::Integer(rule) => expected_of(&rule.choices, code),
            KindPlan::Number(rule) => expected_of(&rule.choices, code),
            KindPlan::Text(rule) | KindPlan::DateTime(Some(rule)) | KindPlan::Date(Some(rule)) => {
                expected_of(&rule.choices, code)
            }
            _ => None,
        };
        match (listed, self.null) {
            (Some(listed), _) => listed.to_owned(),
            (None, NullRule::RefusedByType) => self.kind.described().to_owned(),
            (None, _) => format!("{} or null", self.kind.described()),
        }
    }
}

fn expected_of<T>(all: &[Choices<T>], code: Code) -> Option<&str> {
    all.iter()
        .find(|choices| choices.code == code)
        .map(|choices| choices.expected.as_str())
}

impl KindPlan {
    /// The type in words, with its article.
    pub(super) fn described(&self) -> &'static str {
        match self {
            KindPlan::Boolean(_) => "a boolean",
            KindPlan::Integer(_) => "an integer",
            KindPlan::Number(_) => "a number",
            KindPlan::FreeText | KindPlan::Text(_) | KindPlan::DateTime(_) | KindPlan::Date(_) => "a string",
            KindPlan::Object(_) => "an object",
            KindPlan::Array(_) => "an array",
        }
    }
}

#[derive(Debug)]
pub(super) struct ArrayPlan {
    pub items: ValuePlan,
    /// Columns that each item adds a cell to.
    pub cells_per_item: usize,
    pub items_min: Option<u64>,
    pub items_max: Option<u64>,
    pub unique: bool,
}

/// How the event time follows from its field's column.
#[derive(Clone, Copy, Debug)]
pub(super) enum EventTimePlan {
    Kafka,
    /// Micros in the column, as they are.
    Timestamp,
    /// An integer in the column, of so many micros each.
    Integer {
        micros_each: i64,
    },
}

impl EventTimePlan {
    pub(super) fn new(rules: &DecodeRules) -> EventTimePlan {
        match &rules.event_time {
            EventTime::Kafka => EventTimePlan::Kafka,
            EventTime::DateTime { .. } => EventTimePlan::Timestamp,
            EventTime::Integer { unit, .. } => EventTimePlan::Integer {
                micros_each: match unit {
                    EventTimeUnit::Seconds => 1_000_000,
                    EventTimeUnit::Millis => 1_000,
                    EventTimeUnit::Micros => 1,
                },
            },
        }
    }
}

impl ObjectPlan {
    /// # Panics
    /// When the event time's field is not in the schema, which `Schema::event_time_of` has ruled out.
    pub(super) fn of_root(rules: &DecodeRules) -> ObjectPlan {
        let mut plan = ObjectPlan::new(&rules.schema.root);
        if let Some(name) = rules.event_time.field() {
            plan.event_time_index = plan
                .find(name.as_bytes(), 0)
                .expect("rules name an event time of the schema");
        }
        plan
    }

    fn new(rule: &ObjectRule) -> ObjectPlan {
        let fields: Vec<FieldPlan> = rule.fields.iter().map(field_plan).collect();
        let by_name = if fields.len() > SEARCHED_FIELDS_MAX {
            fields
                .iter()
                .enumerate()
                .map(|(index, field)| (Box::from(field.name.as_bytes()), index))
                .collect()
        } else {
            HashMap::new()
        };
        ObjectPlan {
            fields,
            by_name,
            allows_undeclared: rule.allows_undeclared,
            properties_min: rule.properties_min,
            properties_max: rule.properties_max,
            event_time_index: NONE,
        }
    }

    /// The declared field of a name, searched from where it is most likely.
    #[inline]
    pub(super) fn find(&self, name: &[u8], likely: usize) -> Option<usize> {
        if !self.by_name.is_empty() {
            return self.by_name.get(name).copied();
        }
        let likely = likely.min(self.fields.len());
        let is_it = |field: &FieldPlan| field.name.as_bytes() == name;
        let behind = self.fields[likely..]
            .iter()
            .position(is_it)
            .map(|index| likely + index);
        behind.or_else(|| self.fields[..likely].iter().position(is_it))
    }
}

fn field_plan(field: &Field) -> FieldPlan {
    let quoted = serde_json::to_string(&field.name).expect("a string is always JSON");
    FieldPlan {
        key: Key::new(format!("{quoted}:").into_bytes()),
        name: field.name.as_str().into(),
        required: field.required,
        value: value_plan(&field.rule),
    }
}

fn value_plan(rule: &ValueRule) -> ValuePlan {
    let kind = match &rule.kind {
        Kind::Boolean(rule) => KindPlan::Boolean(rule.clone()),
        Kind::Integer(rule) => KindPlan::Integer(rule.clone()),
        Kind::Number(rule) => KindPlan::Number(rule.clone()),
        Kind::String(rule) => text_plan(rule),
        Kind::Object(rule) => KindPlan::Object(ObjectPlan::new(rule)),
        Kind::Array(rule) => KindPlan::Array(Box::new(ArrayPlan {
            items: value_plan(&rule.items),
            cells_per_item: cells_of(&rule.items),
            items_min: rule.items_min,
            items_max: rule.items_max,
            unique: rule.unique,
        })),
    };
    ValuePlan {
        null: rule.null,
        type_code: rule.type_code,
        kind,
    }
}

fn text_plan(rule: &StringRule) -> KindPlan {
    match rule.format {
        Some(format @ (Format::DateTime | Format::Date)) => {
            // The format is checked by reading the value; what is left are the other keywords.
            let rest = StringRule {
                format: None,
                ..rule.clone()
            };
            let rest = (!rest.is_free()).then_some(rest);
            if format == Format::Date {
                KindPlan::Date(rest)
            } else {
                KindPlan::DateTime(rest)
            }
        }
        _ if rule.is_free() => KindPlan::FreeText,
        _ => KindPlan::Text(rule.clone()),
    }
}

fn cells_of(rule: &ValueRule) -> usize {
    match &rule.kind {
        Kind::Object(object) => object
            .fields
            .iter()
            .map(|field| cells_of(&field.rule))
            .sum::<usize>()
            .max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_next_exactly_where_the_record_starts_with_it() {
        for length in 1..40_u8 {
            let text: Vec<u8> = (0..length).map(|place| b'a' + place % 26).collect();
            let key = Key::new(text.clone());
            for more in 0..40 {
                let mut record = text.clone();
                record.resize(text.len() + more, b'.');
                assert!(key.is_next(&record), "{length} and {more} bytes");
                for place in 0..text.len() {
                    let mut other = record.clone();
                    other[place] ^= 1;
                    assert!(!key.is_next(&other), "{length} bytes, another at {place}");
                    assert!(!key.is_next(&record[..place]), "{length} bytes, cut at {place}");
                }
            }
        }
    }
}
