//! A record as serde_json reads it, with what its `Value` loses: repeated names, their order, numbers as text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Debug, PartialEq)]
pub enum Tree<'t> {
    Null,
    Boolean(bool),
    Number(&'t str),
    String(String),
    Array(Vec<Tree<'t>>),
    Object(Vec<(String, Tree<'t>)>),
}

impl<'t> Tree<'t> {
    pub fn members(&self) -> &[(String, Tree<'t>)] {
        match self {
            Tree::Object(members) => members,
            _ => &[],
        }
    }

    /// The last member of a name, as `Value` has it.
    pub fn member(&self, name: &str) -> Option<&Tree<'t>> {
        self.members()
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// As serde_json has it, but of a name that stands twice the first value, which is the one we judge.
    pub fn value(&self) -> Value {
        match self {
            Tree::Null => Value::Null,
            Tree::Boolean(flag) => Value::Bool(*flag),
            Tree::Number(text) => serde_json::from_str(text).expect("a number"),
            Tree::String(text) => Value::String(text.clone()),
            Tree::Array(items) => items.iter().map(Tree::value).collect(),
            Tree::Object(members) => members
                .iter()
                .rev()
                .map(|(name, value)| (name.clone(), value.value()))
                .collect(),
        }
    }
}

pub fn read(text: &str) -> Result<Tree<'_>, serde_json::Error> {
    let raw: &RawValue = serde_json::from_str(text)?;
    let text = raw.get();
    Ok(match text.as_bytes()[0] {
        b'{' => {
            let members: Members<'_> = serde_json::from_str(text)?;
            let mut read_members = Vec::new();
            for (name, value) in members.0 {
                read_members.push((name, read(value.get())?));
            }
            Tree::Object(read_members)
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            Tree::Array(
                items
                    .into_iter()
                    .map(|item| read(item.get()))
                    .collect::<Result<_, _>>()?,
            )
        }
        b'"' => Tree::String(serde_json::from_str(text)?),
        b't' => Tree::Boolean(true),
        b'f' => Tree::Boolean(false),
        b'n' => Tree::Null,
        _ => Tree::Number(text),
    })
}

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
                while let Some(name) = map.next_key::<String>()? {
                    members.push((name, map.next_value::<&RawValue>().map_err(A::Error::custom)?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}
