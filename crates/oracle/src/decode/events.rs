//! Records made at random: most of what their schema asks for, written as all kinds of producers write.

use rand::Rng;
use rand::RngCore;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::Value;

use super::schemas::{FORMATS, NAMES, PATTERNS};

/// How sloppy the producer of one record is.
#[derive(Clone, Copy)]
struct Producer {
    /// The chance of a value that its schema does not ask for, each.
    stray: f64,
    /// The chance of whitespace, each place.
    space: f64,
    /// The chance that a character is written as an escape, each.
    escape: f64,
    /// Whether names come in the schema's order.
    orderly: bool,
}

/// The bytes of one record.
pub fn record(schema: &Value, random: &mut dyn RngCore) -> Vec<u8> {
    let producer = Producer {
        stray: if random.random_bool(0.5) { 0.0 } else { 0.08 },
        space: if random.random_bool(0.7) { 0.0 } else { 0.3 },
        escape: if random.random_bool(0.7) { 0.0 } else { 0.2 },
        orderly: random.random_bool(0.6),
    };
    let mut writer = Writer {
        out: String::new(),
        producer,
        random,
    };
    writer.space();
    writer.object(schema);
    writer.space();
    let bytes = writer.out.into_bytes();
    if random.random_bool(0.3) {
        mutated(bytes, random)
    } else {
        bytes
    }
}

/// A record with some bytes changed, dropped, doubled or cut off.
fn mutated(mut bytes: Vec<u8>, random: &mut dyn RngCore) -> Vec<u8> {
    const INTERESTING: &[u8] = b"\"\\{}[]:,0123456789-+.eEtfnu \t\n\x00\x1f\x7f\x80\xc3\xff";
    for _ in 0..random.random_range(1..3) {
        let at = random.random_range(0..bytes.len());
        let byte = *INTERESTING.choose(random).expect("there are some");
        match random.random_range(0..6) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            3 => bytes[at] ^= 1 << random.random_range(0..8),
            4 => bytes.truncate(at.max(1)),
            _ => {
                let end = (at + random.random_range(1..12)).min(bytes.len());
                let doubled = bytes[at..end].to_vec();
                bytes.splice(at..at, doubled);
            }
        }
        if bytes.is_empty() {
            return bytes;
        }
    }
    bytes
}

struct Writer<'r> {
    out: String,
    producer: Producer,
    random: &'r mut dyn RngCore,
}

impl Writer<'_> {
    fn chance(&mut self, chance: f64) -> bool {
        self.random.random_bool(chance)
    }

    fn is_stray(&mut self) -> bool {
        self.chance(self.producer.stray)
    }

    fn space(&mut self) {
        while self.chance(self.producer.space) {
            let space = *[' ', '\n', '\t', '\r']
                .choose(self.random)
                .expect("there are some");
            self.out.push(space);
        }
    }

    fn object(&mut self, schema: &Value) {
        let properties = schema["properties"].as_object().expect("objects have properties");
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut names: Vec<(&str, Option<&Value>)> = Vec::new();
        for (name, subschema) in properties {
            let missing = if required.contains(&name.as_str()) {
                self.is_stray()
            } else {
                self.chance(0.25)
            };
            if !missing {
                names.push((name, Some(subschema)));
            }
            if self.chance(self.producer.stray / 6.0) {
                names.push((name, Some(subschema)));
            }
        }
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        if !closed && self.chance(0.3) || self.is_stray() {
            let undeclared = ["undeclared", "A", "", "userid", "é2"]
                .choose(self.random)
                .expect("there are some");
            names.push((undeclared, None));
        }
        if !self.producer.orderly {
            names.shuffle(self.random);
        }
        self.out.push('{');
        for (index, (name, subschema)) in names.into_iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.space();
            self.string(name);
            self.space();
            self.out.push(':');
            self.space();
            match subschema {
                Some(subschema) => self.value(subschema),
                None => self.any(0),
            }
            self.space();
        }
        self.space();
        self.out.push('}');
    }

    fn value(&mut self, schema: &Value) {
        if self.is_stray() {
            return self.any(0);
        }
        for keyword in ["const", "enum"] {
            if let (Some(listed), false) = (schema.get(keyword), self.chance(self.producer.stray)) {
                let value = match listed {
                    Value::Array(values) => values.choose(self.random).expect("there are some"),
                    value => value,
                };
                return self.scalar(value);
            }
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(name)) => vec![name],
            _ => vec![],
        };
        if types.contains(&"null") && self.chance(0.2) {
            return self.out.push_str("null");
        }
        match types.iter().find(|name| **name != "null").copied() {
            Some("boolean") => {
                let text = if self.chance(0.5) { "true" } else { "false" };
                self.out.push_str(text);
            }
            Some("integer") => self.integer(schema),
            Some("number") => self.decimal(schema),
            Some("string") => self.text(schema),
            Some("object") => self.object(schema),
            Some("array") => self.array(schema),
            _ => self.any(0),
        }
    }

    fn array(&mut self, schema: &Value) {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let most = schema["maxItems"].as_u64().unwrap_or(least + 4);
        let count = if self.is_stray() {
            self.random.random_range(0..8)
        } else {
            self.random.random_range(least..=most)
        };
        self.out.push('[');
        for index in 0..count {
            if index > 0 {
                self.out.push(',');
            }
            self.space();
            self.value(&schema["items"]);
            self.space();
        }
        self.space();
        self.out.push(']');
    }

    fn integer(&mut self, schema: &Value) {
        let bound = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| schema.get(name))
                .and_then(Value::as_f64)
        };
        let low = bound(["minimum", "exclusiveMinimum"]).unwrap_or(-60.0).ceil() as i64;
        let high = bound(["maximum", "exclusiveMaximum"]).unwrap_or(60.0).floor() as i64;
        let mut value = if low < high {
            self.random.random_range(low..=high)
        } else {
            low
        };
        if let Some(divisor) = schema.get("multipleOf").and_then(Value::as_f64) {
            let step = (divisor * 2.0) as i64;
            value -= value % step;
        }
        if self.is_stray() {
            value = *[
                i64::MAX,
                i64::MIN,
                0,
                -1,
                1 << 53,
                999_999_999_999_999_999,
                1_000_000_000_000_000_000,
            ]
            .choose(self.random)
            .expect("some");
        }
        let text = match self.random.random_range(0..20) {
            0 => format!("{value}.0"),
            1 if value.unsigned_abs() < 1_000 => format!("{value}e0"),
            2 if value.unsigned_abs() < 1_000 => format!("{value}000E-3"),
            3 if value % 10 == 0 && value.unsigned_abs() < 1_000 => format!("{}e+1", value / 10),
            4 if self.producer.stray > 0.0 => format!("{value}.5"),
            5 if self.producer.stray > 0.0 => "18446744073709551616".to_owned(),
            _ => value.to_string(),
        };
        self.out.push_str(&text);
    }

    fn decimal(&mut self, schema: &Value) {
        let bound = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| schema.get(name))
                .and_then(Value::as_f64)
        };
        let low = bound(["minimum", "exclusiveMinimum"]).unwrap_or(-1_000.0);
        let high = bound(["maximum", "exclusiveMaximum"]).unwrap_or(low + 2_000.0);
        let cents = self
            .random
            .random_range((low * 100.0) as i64..=(high.max(low) * 100.0) as i64);
        let text = match schema.get("multipleOf").and_then(Value::as_f64) {
            Some(divisor) => {
                let steps = (cents as f64 / 100.0 / divisor) as i64;
                format!("{}", (steps as f64 * divisor * 100.0).round() / 100.0)
            }
            None => match self.random.random_range(0..8) {
                0 => format!("{}", cents / 100),
                1 => format!("{:e}", cents as f64 / 100.0),
                2 => format!("{}.{:02}e0", cents / 100, (cents % 100).abs()),
                3 => self.random.random::<f64>().to_string(),
                4 => "-0.0".to_owned(),
                5 => "1.7976931348623157e308".to_owned(),
                _ => format!("{}", cents as f64 / 100.0),
            },
        };
        self.out.push_str(&text);
    }

    fn text(&mut self, schema: &Value) {
        let known = |table: &[(&str, &[&'static str])], keyword: &str| {
            let name = schema.get(keyword)?.as_str()?;
            table
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, texts)| texts.to_vec())
        };
        let samples = known(PATTERNS, "pattern").or_else(|| known(FORMATS, "format"));
        let text = match samples {
            Some(samples) if !self.is_stray() => (*samples.choose(self.random).expect("some")).to_owned(),
            Some(samples) if self.chance(0.5) => {
                // Nearly right is more telling than wrong.
                let mut text: Vec<char> = samples.choose(self.random).expect("some").chars().collect();
                let at = self.random.random_range(0..=text.len());
                text.insert(
                    at,
                    *['0', '9', 'a', '-', ':', ' ', '.', 'é']
                        .choose(self.random)
                        .expect("some"),
                );
                text.into_iter().collect()
            }
            _ => {
                let least = schema["minLength"].as_u64().unwrap_or(0);
                let most = schema["maxLength"].as_u64().unwrap_or(least + 20);
                let length = self.random.random_range(least..=most);
                (0..length).map(|_| self.char()).collect()
            }
        };
        self.string(&text);
    }

    fn char(&mut self) -> char {
        match self.random.random_range(0..10) {
            0 => *[
                'é',
                '😀',
                '\u{2028}',
                '\u{7f}',
                '"',
                '\\',
                '/',
                '\n',
                '\u{0}',
                '\u{10ffff}',
                '\u{d7ff}',
            ]
            .choose(self.random)
            .expect("some"),
            _ => char::from(self.random.random_range(b' '..=b'~')),
        }
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.string(text),
            other => {
                let text = other.to_string();
                self.out.push_str(&text);
            }
        }
    }

    /// Some value of any type.
    fn any(&mut self, depth: usize) {
        match self.random.random_range(0..if depth < 4 { 9 } else { 6 }) {
            0 => self.out.push_str("null"),
            1 => self.out.push_str("true"),
            2 => {
                let text = *["0", "-1", "1.5", "1e2", "123456789012345678901234567890", "3.0"]
                    .choose(self.random)
                    .expect("some");
                self.out.push_str(text);
            }
            3 | 4 => {
                let text: String = (0..self.random.random_range(0..30))
                    .map(|_| self.char())
                    .collect();
                self.string(&text);
            }
            5 => self.out.push_str("\"\""),
            6 | 7 => {
                self.out.push('[');
                for index in 0..self.random.random_range(0..4) {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.any(depth + 1);
                }
                self.out.push(']');
            }
            _ => {
                self.out.push('{');
                for index in 0..self.random.random_range(0..4) {
                    if index > 0 {
                        self.out.push(',');
                    }
                    let name = *NAMES.choose(self.random).expect("some");
                    self.string(name);
                    self.space();
                    self.out.push(':');
                    self.any(depth + 1);
                }
                self.out.push('}');
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for char in text.chars() {
            let must = matches!(char, '"' | '\\' | '\0'..='\x1f');
            if !must && !self.chance(self.producer.escape) {
                self.out.push(char);
                continue;
            }
            let short = match char {
                '"' => "\\\"",
                '\\' => "\\\\",
                '/' => "\\/",
                '\n' => "\\n",
                '\t' => "\\t",
                '\r' => "\\r",
                _ => "",
            };
            if short.is_empty() || self.chance(0.3) {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let escape = if self.random.random_bool(0.5) {
                        format!("\\u{unit:04x}")
                    } else {
                        format!("\\u{unit:04X}")
                    };
                    self.out.push_str(&escape);
                }
            } else {
                self.out.push_str(short);
            }
        }
        self.out.push('"');
    }
}
