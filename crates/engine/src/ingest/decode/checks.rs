//! The checks a value must pass once it is read: bounds, lengths, choices, patterns, uniqueness.

use eventlake_core::schema::{BooleanRule, Bound, Choices, IntegerRule, MultipleOf, NumberRule, StringRule};
use eventlake_core::violation::Code;

use super::columns::{Column, Values};
use super::cursor::NumberToken;
use super::faults::{Fault, fault, shortened};

#[inline]
pub(super) fn check_boolean(rule: &BooleanRule, value: bool) -> Result<(), Fault> {
    check_choices(&rule.choices, |known| *known == value, || value.to_string())
}

#[inline]
pub(super) fn check_integer(rule: &IntegerRule, value: i64, raw: &[u8]) -> Result<(), Fault> {
    check_choices(&rule.choices, |known| *known == value, || shortened(raw))?;
    check_bounds(&rule.bounds, value, raw)?;
    match &rule.multiple_of {
        Some(multiple) if !multiple.divides_integer(value) => Err(not_a_multiple(multiple, raw)),
        _ => Ok(()),
    }
}

#[inline]
pub(super) fn check_number(rule: &NumberRule, value: f64, token: &NumberToken<'_>) -> Result<(), Fault> {
    check_choices(&rule.choices, |known| *known == value, || shortened(token.raw))?;
    check_bounds(&rule.bounds, value, token.raw)?;
    match &rule.multiple_of {
        Some(multiple) if !multiple.divisor.divides_text(token.raw) => {
            Err(not_a_multiple(multiple, token.raw))
        }
        _ => Ok(()),
    }
}

#[cold]
fn not_a_multiple(multiple: &MultipleOf, raw: &[u8]) -> Fault {
    fault(Code::MultipleOf, multiple.expected.as_str(), shortened(raw))
}

#[inline]
fn check_bounds<T: PartialOrd + Copy>(bounds: &[Bound<T>], value: T, raw: &[u8]) -> Result<(), Fault> {
    for bound in bounds {
        if !bound.holds(value) {
            return Err(fault(bound.code, bound.expected.as_str(), shortened(raw)));
        }
    }
    Ok(())
}

#[inline]
fn check_choices<T>(
    all: &[Choices<T>],
    is_it: impl Fn(&T) -> bool,
    found: impl Fn() -> String,
) -> Result<(), Fault> {
    for choices in all {
        if !choices.values.iter().any(&is_it) {
            return Err(fault(choices.code, choices.expected.as_str(), found()));
        }
    }
    Ok(())
}

/// Whether two texts are the same. Most listed values are short, and a call would cost more than comparing them.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.first_chunk::<8>(), other.first_chunk::<8>()) {
        (Some(first), Some(first_other)) if one.len() <= 16 => {
            u64::from_le_bytes(*first) == u64::from_le_bytes(*first_other)
                && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        (Some(_), _) => one == other,
        _ => one.iter().zip(other).all(|(byte, other)| byte == other),
    }
}

/// Checks a string's unescaped text.
#[inline]
pub(super) fn check_text(rule: &StringRule, text: &[u8]) -> Result<(), Fault> {
    check_choices(
        &rule.choices,
        |known| is_same(known.as_bytes(), text),
        || quoted(text),
    )?;
    if let Some(least) = rule.length_min
        && !is_at_least(text, least)
    {
        return Err(wrong_length(Code::MinLength, "at least", least, text));
    }
    if let Some(most) = rule.length_max
        && text.len() as u64 > most
        && code_points(text) > most
    {
        return Err(wrong_length(Code::MaxLength, "at most", most, text));
    }
    if rule.pattern.is_none() && rule.format.is_none() {
        return Ok(());
    }
    let text =
        std::str::from_utf8(text).expect("a record's strings are checked to be UTF-8 when they are read");
    if let Some(pattern) = &rule.pattern
        && !pattern.regex.is_match(text)
    {
        return Err(fault(
            Code::Pattern,
            format!("text that matches {}", pattern.source),
            quoted(text.as_bytes()),
        ));
    }
    match rule.format {
        Some(format) if !format.matches(text) => {
            Err(fault(Code::Format, format.expected(), quoted(text.as_bytes())))
        }
        _ => Ok(()),
    }
}

#[cold]
fn wrong_length(code: Code, words: &str, limit: u64, text: &[u8]) -> Fault {
    let found = format!("{} characters: {}", code_points(text), quoted(text));
    fault(code, format!("{words} {limit} characters"), found)
}

/// Whether a text has so many code points, counted only where its bytes do not settle it.
#[inline]
fn is_at_least(text: &[u8], least: u64) -> bool {
    const CODE_POINT_BYTES_MAX: u64 = 4;
    let bytes = text.len() as u64;
    bytes >= least && (bytes >= least.saturating_mul(CODE_POINT_BYTES_MAX) || code_points(text) >= least)
}

fn code_points(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64
}

/// A text in quotes and shortened, for a violation.
#[cold]
pub(super) fn quoted(text: &[u8]) -> String {
    format!("\"{}\"", shortened(text))
}

/// Whether no value stands twice in an array, whose items a column holds from row `from` on.
pub(super) fn are_unique(items: &Column, from: usize) -> bool {
    let rows = from..items.rows();
    let present = || rows.clone().filter(|row| items.is_present(*row));
    let has_one_null_at_most = rows.len() - present().count() <= 1;
    has_one_null_at_most
        && match &items.values {
            Values::Boolean(values) => are_all_different(present().map(|row| values.get_bit(row))),
            Values::Integer(values) => are_all_different(present().map(|row| values[row])),
            // Zero has two signs and is one number.
            Values::Number(values) => are_all_different(present().map(|row| (values[row] + 0.0).to_bits())),
            Values::Text(texts) => are_all_different(present().map(|row| texts.text(row))),
            _ => unreachable!("a schema asks uniqueItems of scalars only"),
        }
}

fn are_all_different<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.windows(2).all(|pair| pair[0] != pair[1])
}
