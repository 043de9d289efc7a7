//! What becomes of a record, and why one is refused: a stable reason code, the field, what was expected and what was found.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason code of a violation. The text of a code is stable: it stands in files and in metrics.
///
/// A code is the JSON Schema keyword that failed, or one of the verdicts that no keyword has.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code there is, in the order of this file.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// Not a JSON text by RFC 8259: empty, truncated, trailing bytes, BOM, NaN and the like, in any field.
    MalformedJson = "malformed_json",
    /// Bytes that are not UTF-8, or an escaped lone surrogate.
    InvalidUnicode = "invalid_unicode",
    /// Nested deeper than 256 levels.
    TooDeep = "too_deep",
    /// More bytes than `max_record`.
    TooLarge = "too_large",
    /// An integer beyond 64 bits or a number beyond a double, in a declared field.
    OutOfRange = "out_of_range",
    /// A declared field twice in one object.
    DuplicateField = "duplicate_field",
    /// The event time lies more than `max_future` after Kafka's timestamp.
    EventTimeInFuture = "event_time_in_future",
    Type = "type",
    Required = "required",
    Enum = "enum",
    Const = "const",
    Minimum = "minimum",
    Maximum = "maximum",
    ExclusiveMinimum = "exclusiveMinimum",
    ExclusiveMaximum = "exclusiveMaximum",
    MultipleOf = "multipleOf",
    MinLength = "minLength",
    MaxLength = "maxLength",
    Pattern = "pattern",
    Format = "format",
    MinItems = "minItems",
    MaxItems = "maxItems",
    UniqueItems = "uniqueItems",
    MinProperties = "minProperties",
    MaxProperties = "maxProperties",
    AdditionalProperties = "additionalProperties",
    /// The topic's transform cannot be worked out for the event: a division by zero, a cast that fails.
    Transform = "transform",
}

impl Code {
    /// The code of a text that `as_str` gave.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Code::from_text(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown violation code {text:?}")))
    }
}

/// Why one record was refused: the first fault in the record's own order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    pub code: Code,
    /// The field as a path of names, `address.city` or `items[3].sku`; empty for the record as a whole.
    pub field: String,
    pub expected: String,
    /// What stood there instead, shortened where long. Text of the sender: never print it unescaped.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            code,
            field,
            expected,
            found,
        } = self;
        if field.is_empty() {
            write!(f, "{code}: expected {expected}, found {found}")
        } else {
            write!(f, "{code}: {field}: expected {expected}, found {found}")
        }
    }
}

/// What becomes of a record that has a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is an event, and a row of its table.
    Accepted,
    /// It is an event that the `where` of its topic's transform does not let through.
    Filtered,
    Rejected(Violation),
}
