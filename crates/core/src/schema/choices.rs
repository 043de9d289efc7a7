//! `enum` and `const`: which of the listed values a field of one type can hold.

use super::model::{Choices, NullRule};
use super::tree::{Json, Tree};
use crate::violation::Code;

/// The values that one `enum` or `const` lists.
pub(super) struct Listed<'t> {
    pub code: Code,
    pub values: Vec<&'t Tree<'t>>,
}

/// What `enum` and `const` of a subschema list, in that order.
pub(super) fn listed<'t>(tree: &'t Tree<'t>) -> Vec<Listed<'t>> {
    let mut all = Vec::new();
    if let Some(Tree {
        json: Json::Array(values),
        ..
    }) = tree.member("enum")
    {
        all.push(Listed {
            code: Code::Enum,
            values: values.iter().collect(),
        });
    }
    if let Some(value) = tree.member("const") {
        all.push(Listed {
            code: Code::Const,
            values: vec![value],
        });
    }
    all
}

/// What a null gets from a type that names it.
pub(super) fn null_rule(listed: &[Listed<'_>]) -> NullRule {
    let without_null = listed
        .iter()
        .find(|choice| !choice.values.iter().any(|value| matches!(value.json, Json::Null)));
    without_null.map_or(NullRule::Accepted, |choice| {
        NullRule::RefusedByChoice(choice.code)
    })
}

/// The values of one type among those listed; what is of another type no value of the field can equal.
pub(super) fn choices<T>(
    listed: &[Listed<'_>],
    value_of: impl Fn(&Tree<'_>) -> Option<T>,
) -> Vec<Choices<T>> {
    listed
        .iter()
        .map(|choice| {
            let texts: Vec<String> = choice.values.iter().map(|value| value.described()).collect();
            let expected = match choice.code {
                Code::Const => texts.concat(),
                _ => format!("one of {}", texts.join(", ")),
            };
            Choices {
                code: choice.code,
                values: choice.values.iter().filter_map(|value| value_of(value)).collect(),
                expected,
            }
        })
        .collect()
}

/// The `type` that the listed values have in common, with whether null is among them.
pub(super) fn type_in_common(listed: &[Listed<'_>]) -> Option<(&'static str, bool)> {
    let values = &listed.first()?.values;
    let nullable = values.iter().any(|value| matches!(value.json, Json::Null));
    let mut common = None;
    for value in values {
        let found = match &value.json {
            Json::Null => continue,
            Json::Boolean(_) => "boolean",
            Json::String(_) => "string",
            Json::Number
                if super::decimal::integer_of_text(value.raw.as_bytes()) == super::IntegerText::Fraction =>
            {
                "number"
            }
            Json::Number => "integer",
            Json::Array(_) | Json::Object(_) => return None,
        };
        common = match (common, found) {
            (None, found) => Some(found),
            (Some("integer" | "number"), "number") | (Some("number"), "integer") => Some("number"),
            (Some(known), found) if known == found => Some(known),
            _ => return None,
        };
    }
    common.map(|name| (name, nullable))
}
