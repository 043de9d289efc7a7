//! The keywords there are, what each applies to, and how the value of each is read.

use super::decimal::{Decimal, IntegerText, integer_of_text};
use super::model::{Bound, MultipleOf};
use super::tree::{Json, Tree};
use crate::violation::Code;

/// The types of value that a keyword says anything about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Applies {
    Everywhere,
    /// Only at the root of a schema file.
    Root,
    Numbers,
    Strings,
    Objects,
    Arrays,
}

pub(super) const KEYWORDS: &[(&str, Applies)] = &[
    ("type", Applies::Everywhere),
    ("enum", Applies::Everywhere),
    ("const", Applies::Everywhere),
    ("$ref", Applies::Everywhere),
    ("$defs", Applies::Root),
    ("$schema", Applies::Root),
    ("$id", Applies::Root),
    ("minimum", Applies::Numbers),
    ("maximum", Applies::Numbers),
    ("exclusiveMinimum", Applies::Numbers),
    ("exclusiveMaximum", Applies::Numbers),
    ("multipleOf", Applies::Numbers),
    ("minLength", Applies::Strings),
    ("maxLength", Applies::Strings),
    ("pattern", Applies::Strings),
    ("format", Applies::Strings),
    ("properties", Applies::Objects),
    ("required", Applies::Objects),
    ("additionalProperties", Applies::Objects),
    ("minProperties", Applies::Objects),
    ("maxProperties", Applies::Objects),
    ("items", Applies::Arrays),
    ("minItems", Applies::Arrays),
    ("maxItems", Applies::Arrays),
    ("uniqueItems", Applies::Arrays),
];

/// Keywords that say nothing about a value and are free to stand anywhere, with what their own value must be.
pub(super) const ANNOTATIONS: &[(&str, Annotation)] = &[
    ("title", Annotation::Text),
    ("description", Annotation::Text),
    ("$comment", Annotation::Text),
    ("default", Annotation::Anything),
    ("examples", Annotation::List),
    ("deprecated", Annotation::Boolean),
    ("readOnly", Annotation::Boolean),
    ("writeOnly", Annotation::Boolean),
];

#[derive(Clone, Copy)]
pub(super) enum Annotation {
    Text,
    Boolean,
    List,
    Anything,
}

impl Annotation {
    /// What was expected of an annotation's value, where it is not that.
    pub(super) fn fault(self, value: &Tree<'_>) -> Option<&'static str> {
        match (self, &value.json) {
            (Annotation::Anything, _)
            | (Annotation::Text, Json::String(_))
            | (Annotation::Boolean, Json::Boolean(_))
            | (Annotation::List, Json::Array(_)) => None,
            (Annotation::Text, _) => Some("a string"),
            (Annotation::Boolean, _) => Some("true or false"),
            (Annotation::List, _) => Some("an array"),
        }
    }
}

const BOUNDS: &[(&str, Code, &str)] = &[
    ("minimum", Code::Minimum, "at least"),
    ("exclusiveMinimum", Code::ExclusiveMinimum, "more than"),
    ("maximum", Code::Maximum, "at most"),
    ("exclusiveMaximum", Code::ExclusiveMaximum, "less than"),
];

/// A fault of one keyword: its name, and what is wrong.
pub(super) type KeywordFault = (&'static str, String);

/// The bounds of a number field, in the order they are checked.
pub(super) fn bounds<T>(
    tree: &Tree<'_>,
    limit_of: impl Fn(&str, Code) -> Result<T, &'static str>,
    faults: &mut Vec<KeywordFault>,
) -> Vec<Bound<T>> {
    let mut bounds = Vec::new();
    for (keyword, code, words) in BOUNDS.iter().copied() {
        let Some(value) = tree.member(keyword) else {
            continue;
        };
        if !matches!(value.json, Json::Number) {
            faults.push((keyword, format!("expected a number, found {}", value.described())));
            continue;
        }
        match limit_of(value.raw, code) {
            Ok(limit) => bounds.push(Bound {
                code,
                limit,
                expected: format!("{words} {}", value.raw),
            }),
            Err(reason) => faults.push((keyword, format!("{} {reason}", value.raw))),
        }
    }
    bounds
}

/// A number's bound as a double.
pub(super) fn number_limit(text: &str, _: Code) -> Result<f64, &'static str> {
    number_of_text(text).ok_or("lies beyond a double")
}

/// An integer field's bound as an integer that the same comparison decides alike: `minimum` 0.5 is 1.
pub(super) fn integer_limit(text: &str, code: Code) -> Result<i64, &'static str> {
    const NONE_FITS: &str = "lies beyond a 64-bit integer: no value could pass; hint: correct or remove it";
    match integer_of_text(text.as_bytes()) {
        IntegerText::Integer(limit) => Ok(limit),
        IntegerText::Beyond => {
            let below_all = text.starts_with('-');
            match (code, below_all) {
                (Code::Minimum, true) => Ok(i64::MIN),
                (Code::Maximum, false) => Ok(i64::MAX),
                (Code::ExclusiveMinimum, true) | (Code::ExclusiveMaximum, false) => {
                    Err("lies beyond a 64-bit integer and excludes nothing; hint: remove it")
                }
                _ => Err(NONE_FITS),
            }
        }
        IntegerText::Fraction => {
            let limit = number_of_text(text).ok_or(NONE_FITS)?;
            let limit = match code {
                Code::Minimum | Code::ExclusiveMaximum => limit.ceil(),
                _ => limit.floor(),
            };
            // A fraction with so many digits that its double is beyond 2^53 could be rounded to the wrong side.
            const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
            if limit.abs() > EXACT_MAX {
                return Err("has more digits than can be compared exactly; hint: write an integer");
            }
            Ok(limit as i64)
        }
    }
}

/// A JSON number's text as a finite double.
pub(super) fn number_of_text(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

pub(super) fn multiple_of(tree: &Tree<'_>, faults: &mut Vec<KeywordFault>) -> Option<MultipleOf> {
    let value = tree.member("multipleOf")?;
    let divisor = match value.json {
        Json::Number => Decimal::parse(value.raw),
        _ => None,
    };
    let Some(divisor) = divisor else {
        faults.push((
            "multipleOf",
            format!(
                "expected a number above 0 with at most 18 digits and 18 decimal places, found {}",
                value.described()
            ),
        ));
        return None;
    };
    Some(MultipleOf {
        divisor,
        whole: divisor.whole(),
        expected: format!("a multiple of {}", value.raw),
    })
}

/// A count such as `minLength`: an integer from 0.
pub(super) fn count(tree: &Tree<'_>, keyword: &'static str, faults: &mut Vec<KeywordFault>) -> Option<u64> {
    let value = tree.member(keyword)?;
    let count = match value.json {
        Json::Number => match integer_of_text(value.raw.as_bytes()) {
            IntegerText::Integer(count) => u64::try_from(count).ok(),
            _ => None,
        },
        _ => None,
    };
    if count.is_none() {
        faults.push((
            keyword,
            format!("expected an integer from 0, found {}", value.described()),
        ));
    }
    count
}

/// `true` or `false`, or the default where the keyword is absent.
pub(super) fn flag(
    tree: &Tree<'_>,
    keyword: &'static str,
    default: bool,
    faults: &mut Vec<KeywordFault>,
) -> bool {
    match tree.member(keyword).map(|value| (&value.json, value)) {
        None => default,
        Some((Json::Boolean(flag), _)) => *flag,
        Some((_, value)) => {
            faults.push((
                keyword,
                format!("expected true or false, found {}", value.described()),
            ));
            default
        }
    }
}
