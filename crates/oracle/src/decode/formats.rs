//! Formats as the `jsonschema` crate checks them, with the differences that are meant applied.

use std::sync::LazyLock;

use eventlake_core::schema::Format;
use jsonschema::Validator;
use serde_json::{Value, json};

static ALL: LazyLock<Vec<FormatOracle>> = LazyLock::new(|| {
    Format::ALL
        .iter()
        .map(|format| FormatOracle::new(*format))
        .collect()
});

/// An oracle for each format there is.
#[must_use]
pub fn all() -> &'static [FormatOracle] {
    &ALL
}

/// Whether texts have one format.
#[derive(Debug)]
pub struct FormatOracle {
    format: Format,
    validator: Validator,
}

impl FormatOracle {
    fn new(format: Format) -> FormatOracle {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&json!({"format": format.as_str()}))
            .expect("a schema");
        FormatOracle { format, validator }
    }

    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// None where the two differ by intent and the crate is no judge.
    #[must_use]
    pub fn judge(&self, text: &str) -> Option<bool> {
        let is_one = |text: &str| self.validator.is_valid(&Value::String(text.to_owned()));
        match self.format {
            // The crate takes some punctuation for digits (`2026-11-0-`): the shape is checked here.
            Format::Date => Some(shape_of(text) == "0000-00-00" && is_one(text)),
            Format::Time => Some(has_clock_shape(&shape_of(text)) && is_one(text)),
            Format::DateTime => {
                let shape = shape_of(text).to_uppercase();
                let has_shape = shape.strip_prefix("0000-00-00T").is_some_and(has_clock_shape);
                Some(has_shape && (is_one(text) || is_one(&format!("{text}Z"))))
            }
            // It wants Punycode to decode.
            Format::Hostname | Format::Email if text.contains("--") => None,
            // It wants something between quotes, lets a tab be there, and takes names before addresses in `<>`.
            Format::Email if text.starts_with("\"\"@") || text.contains(['\t', '<']) => None,
            // It has no escaped space.
            Format::Email if text.contains("\\ ") => None,
            Format::Email => Some(text.is_ascii() && is_one(text)),
            // It lets a time follow weeks.
            Format::Duration if text.contains('W') && text.contains('T') => None,
            _ => Some(is_one(text)),
        }
    }
}

fn shape_of(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_ascii_digit() { '0' } else { char })
        .collect()
}

/// Whether digits stand where a time of day has them.
fn has_clock_shape(shape: &str) -> bool {
    let Some(rest) = shape.strip_prefix("00:00:00") else {
        return false;
    };
    let rest = match rest.strip_prefix('.') {
        Some(fraction) if fraction.starts_with('0') => fraction.trim_start_matches('0'),
        Some(_) => return false,
        None => rest,
    };
    matches!(rest, "" | "Z" | "z" | "+00:00" | "-00:00")
}
