//! What was seen of a field, decided: its type and its keywords, or why it cannot be declared.

use super::seen::{FieldSeen, NAMES_MAX, ObjectSeen, ValuesSeen};
use super::value::Value;
use super::{LeftOut, TIMES_A_VALUE};
use crate::schema::column_names::name_fault;
use crate::schema::format::Format;

/// Fields of a schema in all: more than any table should have.
const FIELDS_MAX: usize = 2_000;
/// Deeper objects and arrays are left as they are.
const DEPTH_MAX: usize = 20;

/// A value's declaration.
#[derive(Debug)]
pub(super) struct Declared {
    pub kind: Kind,
    pub is_nullable: bool,
    pub examples: Vec<Value>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Boolean,
    Integer,
    Number,
    String,
    Formatted(Format),
    /// One value is a `const`.
    Few(Vec<String>),
    Array(Box<Declared>),
    Object(DeclaredObject),
}

#[derive(Debug, Default)]
pub(super) struct DeclaredObject {
    pub fields: Vec<DeclaredField>,
}

#[derive(Debug)]
pub(super) struct DeclaredField {
    pub name: String,
    pub is_required: bool,
    pub value: Declared,
}

impl DeclaredObject {
    /// The first field that can name the event time, by what was seen of all of them.
    pub fn event_time(&self, seen: &ObjectSeen) -> Option<String> {
        let can_be = |name: &str| {
            let mut fields = seen.fields.iter();
            fields.any(|field| field.name == name && field.values.strings.can_be_event_times())
        };
        let is_event_time = |field: &&DeclaredField| {
            field.is_required
                && !field.value.is_nullable
                && can_be(&field.name)
                && matches!(field.value.kind, Kind::Formatted(Format::DateTime))
        };
        self.fields
            .iter()
            .find(is_event_time)
            .map(|field| field.name.clone())
    }
}

#[derive(Default)]
pub(super) struct Decider {
    fields: usize,
    pub left_out: Vec<LeftOut>,
}

impl Decider {
    pub fn root(&mut self, seen: &ObjectSeen) -> DeclaredObject {
        if seen.is_a_map {
            self.leave_out("", format!("fields after the first {NAMES_MAX} different ones"));
        }
        self.object(seen, "", 0)
    }

    fn leave_out(&mut self, field: &str, reason: String) {
        self.left_out.push(LeftOut {
            field: field.to_owned(),
            reason,
        });
    }

    /// Declares what can be declared of an object; `path` is empty for the root.
    fn object(&mut self, seen: &ObjectSeen, path: &str, depth: usize) -> DeclaredObject {
        let mut declared = DeclaredObject::default();
        for field in &seen.fields {
            let place = match path {
                "" => field.name.clone(),
                path => format!("{path}.{}", field.name),
            };
            match self.field(field, &declared, &place, depth) {
                Ok(value) => {
                    self.fields += 1;
                    declared.fields.push(DeclaredField {
                        name: field.name.clone(),
                        is_required: field.objects == seen.objects,
                        value,
                    });
                }
                Err(reason) => self.leave_out(&place, reason),
            }
        }
        declared
    }

    fn field(
        &mut self,
        field: &FieldSeen,
        before: &DeclaredObject,
        path: &str,
        depth: usize,
    ) -> Result<Declared, String> {
        if field.is_doubled {
            return Err("it stands twice in one object".to_owned());
        }
        let names = before.fields.iter().map(|field| field.name.as_str());
        if let Some(fault) = name_fault(&field.name, names, depth == 0) {
            return Err(fault);
        }
        if self.fields >= FIELDS_MAX {
            return Err(format!("there are more than {FIELDS_MAX} fields"));
        }
        self.value(&field.values, path, depth)
    }

    fn value(&mut self, seen: &ValuesSeen, path: &str, depth: usize) -> Result<Declared, String> {
        if depth >= DEPTH_MAX {
            return Err(format!("it lies deeper than {DEPTH_MAX} levels"));
        }
        let kind = match kinds(seen).as_slice() {
            [] => return Err("it was never anything but null".to_owned()),
            ["boolean"] => Kind::Boolean,
            ["integer"] => Kind::Integer,
            ["number"] => Kind::Number,
            ["string"] => Decider::string(seen),
            ["array"] => self.array(seen, path, depth)?,
            ["object"] => self.nested(seen, path, depth)?,
            several => {
                let several = several.join(" and ");
                return Err(format!("it has values of different types: {several}"));
            }
        };
        let shows_its_values = matches!(kind, Kind::Few(_));
        Ok(Declared {
            kind,
            is_nullable: seen.nulls > 0,
            examples: if shows_its_values {
                Vec::new()
            } else {
                seen.examples.clone()
            },
        })
    }

    fn string(seen: &ValuesSeen) -> Kind {
        if let Some(format) = seen.strings.format() {
            return Kind::Formatted(format);
        }
        match seen.strings.few(TIMES_A_VALUE) {
            Some(values) => Kind::Few(values.into_iter().map(str::to_owned).collect()),
            None => Kind::String,
        }
    }

    fn array(&mut self, seen: &ValuesSeen, path: &str, depth: usize) -> Result<Kind, String> {
        let items = seen
            .items
            .as_ref()
            .expect("an array that was seen has left its items");
        if kinds(items).is_empty() && items.nulls == 0 {
            return Err("its arrays were all empty".to_owned());
        }
        let item = self.value(items, &format!("{path}[]"), depth + 1);
        let item = item.map_err(|reason| format!("of its items: {reason}"))?;
        Ok(Kind::Array(Box::new(item)))
    }

    fn nested(&mut self, seen: &ValuesSeen, path: &str, depth: usize) -> Result<Kind, String> {
        let object = seen
            .object
            .as_ref()
            .expect("an object that was seen has left its fields");
        if object.is_a_map {
            return Err(format!(
                "it has more than {NAMES_MAX} different names, so they are data and no fields"
            ));
        }
        let declared = self.object(object, path, depth + 1);
        if declared.fields.is_empty() {
            return Err("none of its fields can be declared".to_owned());
        }
        Ok(Kind::Object(declared))
    }
}

/// The types that values other than null had; integers among numbers are numbers.
fn kinds(seen: &ValuesSeen) -> Vec<&'static str> {
    let numbers = if seen.numbers > 0 { "number" } else { "integer" };
    [
        ("boolean", seen.booleans),
        (numbers, seen.integers + seen.numbers),
        ("string", seen.strings.strings),
        ("array", seen.arrays),
        ("object", seen.object.as_ref().map_or(0, |object| object.objects)),
    ]
    .into_iter()
    .filter(|(_, times)| *times > 0)
    .map(|(kind, _)| kind)
    .collect()
}
