//! A JSON text read with its members in order and the place of each value: what naming a fault needs.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::model::SchemaFault;

/// Deeper than any schema that can become columns; keeps the recursion below bounded.
const DEPTH_MAX: usize = 100;

/// One value and where in the text it begins, in bytes.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    pub offset: usize,
    pub json: Json<'t>,
    /// The value as the text writes it.
    pub raw: &'t str,
}

#[derive(Debug)]
pub(super) enum Json<'t> {
    Null,
    Boolean(bool),
    /// As written: `raw` is the number.
    Number,
    String(String),
    Array(Vec<Tree<'t>>),
    Object(Vec<(String, Tree<'t>)>),
}

impl<'t> Tree<'t> {
    /// # Errors
    /// When the text is not JSON, nests too deeply, or names a member twice in one object.
    pub(super) fn read(text: &'t str) -> Result<Tree<'t>, SchemaFault> {
        let root: &RawValue = serde_json::from_str(text).map_err(|error| SchemaFault {
            pointer: "#".to_owned(),
            line: Some(error.line()),
            message: format!("not JSON: {error}; hint: the file must hold one JSON object"),
        })?;
        read_value(text, root, &mut String::from("#"), 0)
    }

    pub(super) fn member(&self, name: &str) -> Option<&Tree<'t>> {
        self.members()?
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    pub(super) fn members(&self) -> Option<&[(String, Tree<'t>)]> {
        match &self.json {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.json {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value in words, for messages: on one line, however the text breaks it.
    pub(super) fn described(&self) -> String {
        const SHOWN_CHARS: usize = 60;
        const LOOKED_AT_CHARS: usize = 10 * SHOWN_CHARS;
        let start: String = self.raw.chars().take(LOOKED_AT_CHARS).collect();
        let parts = start.split(['\n', '\r', '\t']).map(str::trim);
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        let line = parts.join(" ");
        let mut shown: String = line.chars().take(SHOWN_CHARS).collect();
        if shown.len() < line.len() || start.len() < self.raw.len() {
            shown.push('…');
        }
        shown
    }
}

/// Appends one reference token to a pointer, escaped as RFC 6901 says.
pub(super) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

/// The line of a byte offset, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

fn read_value<'t>(
    text: &'t str,
    raw: &'t RawValue,
    pointer: &mut String,
    depth: usize,
) -> Result<Tree<'t>, SchemaFault> {
    let raw = raw.get();
    let offset = raw.as_ptr() as usize - text.as_ptr() as usize;
    let fault = |pointer: &str, message: String| SchemaFault {
        pointer: pointer.to_owned(),
        line: Some(line_of(text, offset)),
        message,
    };
    if depth > DEPTH_MAX {
        return Err(fault(pointer, format!("nested deeper than {DEPTH_MAX} levels")));
    }
    let not_json = |pointer: &str, error: serde_json::Error| fault(pointer, format!("not JSON: {error}"));
    let json = match raw.as_bytes()[0] {
        b'{' => {
            let members: Members = serde_json::from_str(raw).map_err(|error| not_json(pointer, error))?;
            let mut read: Vec<(String, Tree<'t>)> = Vec::with_capacity(members.0.len());
            for (name, value) in members.0 {
                let parent = pointer.len();
                push_token(pointer, &name);
                if read.iter().any(|(known, _)| *known == name) {
                    return Err(fault(pointer, format!("{name:?} stands twice in one object")));
                }
                let value = read_value(text, value, pointer, depth + 1)?;
                pointer.truncate(parent);
                read.push((name, value));
            }
            Json::Object(read)
        }
        b'[' => {
            let items: Vec<&RawValue> =
                serde_json::from_str(raw).map_err(|error| not_json(pointer, error))?;
            let mut read = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                let parent = pointer.len();
                push_token(pointer, &index.to_string());
                read.push(read_value(text, item, pointer, depth + 1)?);
                pointer.truncate(parent);
            }
            Json::Array(read)
        }
        b'"' => Json::String(serde_json::from_str(raw).map_err(|error| not_json(pointer, error))?),
        b't' => Json::Boolean(true),
        b'f' => Json::Boolean(false),
        b'n' => Json::Null,
        _ => Json::Number,
    };
    Ok(Tree { offset, json, raw })
}

/// An object's members in the order of the text, not yet read.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(serde::de::Error::custom("expected an object"))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}
