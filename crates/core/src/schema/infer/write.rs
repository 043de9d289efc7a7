//! What was decided, as the text of a schema file: a field a line, objects and arrays of objects set in.

use std::fmt::Write as _;

use super::decide::{Declared, DeclaredObject, Kind};
use super::value::Value;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

pub(super) fn schema(title: &str, root: &DeclaredObject) -> String {
    let mut text = format!(
        "{{\n  \"$schema\": {},\n  \"title\": {},\n  \"type\": \"object\"",
        json_text(DIALECT),
        json_text(title)
    );
    push_members(&mut text, root, 1);
    text.push_str("\n}\n");
    text
}

/// `properties` and `required`, after a member that stands before them.
fn push_members(text: &mut String, object: &DeclaredObject, depth: usize) {
    let indent = "  ".repeat(depth);
    if object.fields.is_empty() {
        return;
    }
    push(text, format_args!(",\n{indent}\"properties\": {{"));
    for (index, field) in object.fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        push(
            text,
            format_args!("{comma}\n{indent}  {}: ", json_text(&field.name)),
        );
        push_value(text, &field.value, depth + 1);
    }
    push(text, format_args!("\n{indent}}}"));
    let required = object.fields.iter().filter(|field| field.is_required);
    let required: Vec<String> = required.map(|field| json_text(&field.name)).collect();
    if !required.is_empty() {
        push(
            text,
            format_args!(",\n{indent}\"required\": [{}]", required.join(", ")),
        );
    }
}

fn push_value(text: &mut String, value: &Declared, depth: usize) {
    let indent = "  ".repeat(depth);
    match &value.kind {
        Kind::Object(object) => {
            push(
                text,
                format_args!("{{\n{indent}  \"type\": {}", type_of("object", value)),
            );
            push_members(text, object, depth + 1);
            push(text, format_args!("\n{indent}}}"));
        }
        Kind::Array(item) if matches!(item.kind, Kind::Object(_) | Kind::Array(_)) => {
            push(
                text,
                format_args!(
                    "{{\n{indent}  \"type\": {},\n{indent}  \"items\": ",
                    type_of("array", value)
                ),
            );
            push_value(text, item, depth + 1);
            push(text, format_args!("\n{indent}}}"));
        }
        Kind::Array(item) => {
            push(
                text,
                format_args!("{{ \"type\": {}, \"items\": ", type_of("array", value)),
            );
            push_value(text, item, depth);
            text.push_str(" }");
        }
        _ => push_scalar(text, value),
    }
}

fn push_scalar(text: &mut String, value: &Declared) {
    let keywords = match &value.kind {
        Kind::Boolean => format!("\"type\": {}", type_of("boolean", value)),
        Kind::Integer => format!("\"type\": {}", type_of("integer", value)),
        Kind::Number => format!("\"type\": {}", type_of("number", value)),
        Kind::Formatted(format) => {
            format!(
                "\"type\": {}, \"format\": \"{}\"",
                type_of("string", value),
                format.as_str()
            )
        }
        Kind::Few(values) => few(values, value),
        Kind::String | Kind::Array(_) | Kind::Object(_) => format!("\"type\": {}", type_of("string", value)),
    };
    push(text, format_args!("{{ {keywords}"));
    if !value.examples.is_empty() {
        let examples: Vec<String> = value.examples.iter().map(scalar_text).collect();
        push(text, format_args!(", \"examples\": [{}]", examples.join(", ")));
    }
    text.push_str(" }");
}

fn few(values: &[String], value: &Declared) -> String {
    let mut texts: Vec<String> = values.iter().map(|value| json_text(value)).collect();
    if value.is_nullable {
        texts.push("null".to_owned());
    }
    match texts.as_slice() {
        [only] => format!("\"const\": {only}"),
        several => format!("\"enum\": [{}]", several.join(", ")),
    }
}

fn type_of(name: &str, value: &Declared) -> String {
    if value.is_nullable {
        format!("[\"{name}\", \"null\"]")
    } else {
        format!("\"{name}\"")
    }
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::Integer(integer) => integer.to_string(),
        Value::Number(number) => {
            serde_json::to_string(number).expect("JSON has no other numbers than finite ones")
        }
        Value::String(text) => json_text(text),
        Value::Boolean(_) | Value::Null | Value::Array(_) | Value::Object(_) => {
            unreachable!("only numbers and strings are kept as examples")
        }
    }
}

fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("writing to a String never fails");
}
