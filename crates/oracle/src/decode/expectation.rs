//! What the `jsonschema` crate and serde_json make of a record, with the differences that are meant applied.
//!
//! The differences stand in `docs/schemas.md`: a declared field twice, an integer beyond 64 bits, a date-time
//! without its offset, an e-mail address beyond ASCII. Everything else must agree.

use eventlake_core::violation::Code;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::formats;
use super::tree::{self, Tree};

#[derive(Debug)]
pub enum Expectation {
    Accepted,
    NotJson,
    /// What may be reported: each stands in the root field that comes first in the record.
    Rejected(Vec<Fault>),
    /// The oracle loses what would decide.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: Code,
    pub field: String,
    /// Where in the record's order it is found: the index of the root member, or behind them all.
    place: usize,
}

pub struct Oracle {
    validator: Validator,
    schema: Value,
}

impl Oracle {
    pub fn new(schema: &Value) -> Oracle {
        let mut options = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true);
        for oracle in formats::all() {
            let format = oracle.format();
            let accepts = move |text: &str| oracle.judge(text).unwrap_or_else(|| format.matches(text));
            options = options.with_format(format.as_str(), accepts);
        }
        let validator = options
            .build(schema)
            .unwrap_or_else(|error| panic!("{schema}: {error}"));
        Oracle {
            validator,
            schema: schema.clone(),
        }
    }

    pub fn judge(&self, record: &[u8]) -> Expectation {
        match serde_json::from_slice::<Value>(record) {
            Ok(_) => {}
            Err(error) if is_beyond_serde_json(&error) => return Expectation::Unknown,
            Err(_) => return Expectation::NotJson,
        }
        let tree =
            tree::read(std::str::from_utf8(record).expect("serde_json read it")).expect("serde_json read it");
        let mut findings = Findings {
            faults: Vec::new(),
            unknown: false,
        };
        findings.object(&self.schema, &tree, "");
        if findings.unknown {
            return Expectation::Unknown;
        }
        let mut faults = findings.faults;
        let value = tree.value();
        for error in self.validator.iter_errors(&value) {
            faults.extend(faults_of(&error));
        }
        if faults.is_empty() {
            return Expectation::Accepted;
        }
        for fault in &mut faults {
            fault.place = place_of(&fault.field, fault.code, &tree);
        }
        let first = faults
            .iter()
            .map(|fault| fault.place)
            .min()
            .expect("there is one");
        faults.retain(|fault| fault.place == first);
        Expectation::Rejected(faults)
    }
}

/// Numbers beyond a double and nesting beyond 127 levels are JSON all the same.
fn is_beyond_serde_json(error: &serde_json::Error) -> bool {
    let message = error.to_string();
    message.contains("out of range") || message.contains("recursion limit")
}

/// The root member that a fault stands in; what an object lacks is found at its end.
fn place_of(field: &str, code: Code, tree: &Tree<'_>) -> usize {
    let is_in = |name: &str| {
        field
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('['))
    };
    let names: Vec<String> = tree.members().iter().map(|(name, _)| written(name)).collect();
    // A name may look like a path into another.
    let is_name = names.iter().any(|name| name == field);
    let fits = |name: &String| if is_name { name == field } else { is_in(name) };
    let mut places = (0..names.len()).filter(|index| fits(&names[*index]));
    let first = places.next();
    match code {
        Code::DuplicateField if !field.contains(['.', '[']) => places.next(),
        _ => first,
    }
    .unwrap_or(usize::MAX)
}

fn faults_of(error: &jsonschema::ValidationError<'_>) -> Vec<Fault> {
    let path = path_of(error.instance_path().as_str());
    let code = Code::from_text(error.kind().keyword()).unwrap_or_else(|| panic!("{error:?}"));
    let fault = |field: String| Fault {
        code,
        field,
        place: 0,
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            vec![fault(joined(&path, property.as_str().expect("a name")))]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|name| fault(joined(&path, name))).collect()
        }
        _ => vec![fault(path)],
    }
}

/// Names that could be taken for something else stand in quotes, and long ones are cut.
fn written(name: &str) -> String {
    const NAME_CHARS_MAX: usize = 80;
    let mut shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    if name.is_empty() || name.starts_with('[') {
        format!("\"{shown}\"")
    } else {
        shown
    }
}

fn joined(path: &str, name: &str) -> String {
    let name = &written(name);
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// A JSON Pointer as a violation writes it: `/a/0/b` is `a[0].b`. No name here is a number.
fn path_of(pointer: &str) -> String {
    let mut path = String::new();
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() {
            path.push_str(&format!("[{name}]"));
        } else {
            path = joined(&path, &name);
        }
    }
    path
}

/// What we see otherwise than the oracle, by intent; and what it cannot see.
struct Findings {
    faults: Vec<Fault>,
    unknown: bool,
}

impl Findings {
    fn object(&mut self, schema: &Value, tree: &Tree<'_>, path: &str) {
        let properties = schema["properties"].as_object().expect("objects have properties");
        for (index, (name, value)) in tree.members().iter().enumerate() {
            let is_repeated = tree.members()[..index].iter().any(|(known, _)| known == name);
            match properties.get(name) {
                None if is_repeated => {
                    // The oracle's value has it once.
                    self.unknown |=
                        schema.get("minProperties").is_some() || schema.get("maxProperties").is_some();
                }
                None => {}
                Some(_) if is_repeated => {
                    self.faults.push(Fault {
                        code: Code::DuplicateField,
                        field: joined(path, name),
                        place: 0,
                    });
                }
                Some(subschema) => self.value(subschema, value, &joined(path, name)),
            }
        }
    }

    fn value(&mut self, schema: &Value, tree: &Tree<'_>, path: &str) {
        match tree {
            Tree::Object(_) if schema.get("properties").is_some() => self.object(schema, tree, path),
            Tree::Array(items) if schema.get("items").is_some() => {
                // Of two long numbers the oracle may have the same double where they have two.
                let is_long = |item: &Tree<'_>| matches!(item, Tree::Number(text) if is_long(text));
                self.unknown |= schema["uniqueItems"] == true && items.iter().any(is_long);
                for (index, item) in items.iter().enumerate() {
                    self.value(&schema["items"], item, &format!("{path}[{index}]"));
                }
            }
            Tree::Number(text) => self.number(schema, text, path),
            Tree::String(text) => {
                // To the oracle, `.` stands for every character but the line feed.
                let has_dot = schema["pattern"]
                    .as_str()
                    .is_some_and(|pattern| pattern.contains('.'));
                self.unknown |= has_dot && text.contains(['\r', '\u{2028}', '\u{2029}']);
            }
            _ => {}
        }
    }

    fn number(&mut self, schema: &Value, text: &str, path: &str) {
        let is_plain = !text.contains(['.', 'e', 'E']);
        // Of such a number the oracle has the nearest double, where we look at the number itself.
        let is_long = is_long(text);
        let is_divided = schema.get("multipleOf").is_some();
        self.unknown |= is_long && (is_divided || (!is_plain && !is_number(schema)));
        let value: f64 = text.parse().expect("a number");
        // The oracle rounds some of the largest numbers down, and the smallest to 0, which is an integer.
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let is_zero = !mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
        self.unknown |= value.is_infinite() || (value == 0.0 && !is_zero);
        let is_beyond = match is_plain {
            true => text.parse::<i64>().is_err(),
            false => value.fract() == 0.0 && value.abs() >= 9_223_372_036_854_775_808.0,
        };
        if is_beyond && is_integer(schema) {
            self.faults.push(Fault {
                code: Code::OutOfRange,
                field: path.to_owned(),
                place: 0,
            });
        }
    }
}

/// Whether a number has more digits than serde_json reads exactly.
fn is_long(text: &str) -> bool {
    const EXACT_DIGITS: usize = 15;
    text.bytes().filter(u8::is_ascii_digit).count() > EXACT_DIGITS
}

fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only == name,
        Value::Array(names) => names.iter().any(|known| known == name),
        _ => false,
    }
}

fn is_number(schema: &Value) -> bool {
    has_type(schema, "number")
}

/// By its type, or, where it names none, by the values that it lists.
fn is_integer(schema: &Value) -> bool {
    let listed = schema["enum"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![schema["const"].clone()]);
    has_type(schema, "integer")
        || (schema.get("type").is_none()
            && listed.iter().all(|value| value.is_null() || value.is_i64())
            && listed.iter().any(Value::is_i64))
}
