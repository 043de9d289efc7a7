//! The compiled schema: fields in their order, each with its type and the checks its values must pass.

use regex::Regex;

use super::decimal::Decimal;
use super::format::Format;
use crate::violation::Code;

/// A compiled schema. Its root is always an object; its properties, in the schema's order, are the columns.
#[derive(Clone, Debug)]
pub struct Schema {
    pub root: ObjectRule,
}

impl Schema {
    /// The root's declared fields, in the schema's order: the columns.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.root.fields
    }
}

/// One thing wrong with a schema text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{pointer}: {message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct SchemaFault {
    /// JSON Pointer into the schema, as a URI fragment: `#` for the whole, `#/properties/user_id/type`.
    pub pointer: String,
    /// The line of the schema's text, from 1.
    pub line: Option<usize>,
    pub message: String,
}

/// A declared property of an object.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub required: bool,
    pub rule: ValueRule,
}

/// What a value must be.
#[derive(Clone, Debug)]
pub struct ValueRule {
    pub null: NullRule,
    /// The keyword that a value of another type fails: `type`, or, where the schema has none and the type
    /// follows from the values it lists, `enum` or `const`.
    pub type_code: Code,
    pub kind: Kind,
}

/// What a JSON null gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullRule {
    /// The type does not name null.
    RefusedByType,
    /// The type names null, but `enum` or `const` does not.
    RefusedByChoice(Code),
    Accepted,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Boolean(BooleanRule),
    Integer(IntegerRule),
    Number(NumberRule),
    String(StringRule),
    Object(ObjectRule),
    Array(Box<ArrayRule>),
}

impl Kind {
    /// The type in words, with its article.
    #[must_use]
    pub fn described(&self) -> &'static str {
        match self {
            Kind::Boolean(_) => "a boolean",
            Kind::Integer(_) => "an integer",
            Kind::Number(_) => "a number",
            Kind::String(_) => "a string",
            Kind::Object(_) => "an object",
            Kind::Array(_) => "an array",
        }
    }
}

/// An `enum` or a `const`: the values of the field's own type that it lists.
#[derive(Clone, Debug)]
pub struct Choices<T> {
    pub code: Code,
    pub values: Vec<T>,
    /// What the schema lists, in words: `one of "a", "b"`.
    pub expected: String,
}

/// One of `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`.
#[derive(Clone, Debug)]
pub struct Bound<T> {
    pub code: Code,
    /// For integers the limit is rounded so that the same comparison decides the same.
    pub limit: T,
    /// The bound in words: `at least 0.5`.
    pub expected: String,
}

impl<T: PartialOrd + Copy> Bound<T> {
    #[must_use]
    #[inline]
    pub fn holds(&self, value: T) -> bool {
        match self.code {
            Code::Minimum => value >= self.limit,
            Code::ExclusiveMinimum => value > self.limit,
            Code::Maximum => value <= self.limit,
            _ => value < self.limit,
        }
    }
}

/// `multipleOf`, decided in decimal and so without the rounding of binary fractions.
#[derive(Clone, Debug)]
pub struct MultipleOf {
    pub divisor: Decimal,
    /// The divisor, where it is a 64-bit integer.
    pub whole: Option<i64>,
    pub expected: String,
}

impl MultipleOf {
    #[must_use]
    #[inline]
    pub fn divides_integer(&self, value: i64) -> bool {
        match self.whole {
            Some(divisor) => value % divisor == 0,
            None => self.divisor.divides_integer(value),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct BooleanRule {
    pub choices: Vec<Choices<bool>>,
}

#[derive(Clone, Debug, Default)]
pub struct IntegerRule {
    pub choices: Vec<Choices<i64>>,
    pub bounds: Vec<Bound<i64>>,
    pub multiple_of: Option<MultipleOf>,
}

/// Numbers are compared as the doubles they land as.
#[derive(Clone, Debug, Default)]
pub struct NumberRule {
    pub choices: Vec<Choices<f64>>,
    pub bounds: Vec<Bound<f64>>,
    pub multiple_of: Option<MultipleOf>,
}

#[derive(Clone, Debug, Default)]
pub struct StringRule {
    pub choices: Vec<Choices<Box<str>>>,
    /// In Unicode code points, as everywhere in JSON Schema.
    pub length_min: Option<u64>,
    pub length_max: Option<u64>,
    pub pattern: Option<Pattern>,
    pub format: Option<Format>,
}

impl StringRule {
    /// Whether the type alone decides: no keyword looks at the text.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.choices.is_empty()
            && self.length_min.is_none()
            && self.length_max.is_none()
            && self.pattern.is_none()
            && self.format.is_none()
    }
}

/// `pattern`: found anywhere in the text, unless it anchors itself.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As the schema writes it, in ECMA-262's dialect.
    pub source: String,
    pub regex: Regex,
}

#[derive(Clone, Debug)]
pub struct ObjectRule {
    pub fields: Vec<Field>,
    /// `additionalProperties`.
    pub allows_undeclared: bool,
    pub properties_min: Option<u64>,
    pub properties_max: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct ArrayRule {
    pub items: ValueRule,
    pub items_min: Option<u64>,
    pub items_max: Option<u64>,
    pub unique: bool,
}
