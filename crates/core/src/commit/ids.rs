//! The identities and numbers that a commit log is made of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checked_text::{checked_text, read_from_text};

/// A commit's place in its log: 1, 2, 3, ... without gaps. 0 stands for the empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitNumber(pub u64);

/// A generation's place in its log: 1, 2, 3, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationOrdinal(pub u32);

impl CommitNumber {
    #[must_use]
    pub fn following(self) -> CommitNumber {
        CommitNumber(self.0 + 1)
    }
}

impl fmt::Display for CommitNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for GenerationOrdinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not the identity it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct BadId {
    text: String,
    expected: &'static str,
}

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(into = "String")]
        pub struct $name(u128);

        impl $name {
            /// Length of the text form.
            pub const TEXT_BYTES: usize = 36;

            /// From the 128 bits of a UUID.
            #[must_use]
            pub fn from_u128(bits: u128) -> Self {
                Self(bits)
            }

            #[must_use]
            pub fn as_u128(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hex = format!("{:032x}", self.0);
                write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                uuid_bits(text).map(Self).ok_or_else(|| BadId {
                    text: text.to_owned(),
                    expected: "a UUID in lower case, 8-4-4-4-12 hexadecimal digits",
                })
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        read_from_text!($name, BadId, $name::from_str);
    };
}

uuid_type! {
    /// One try to create one commit file. Never recurs, so a writer knows its own commit when a reply got lost.
    AttemptId
}

uuid_type! {
    /// The attempt id of a log's first commit: what tells one log from another.
    LogId
}

uuid_type! {
    /// One set of files staged together. A UUID of version 7, so names sort by time.
    StageId
}

fn uuid_bits(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut bits = 0u128;
    for (index, byte) in bytes.iter().enumerate() {
        match (index, byte) {
            (8 | 13 | 18 | 23, b'-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            (_, digit) => bits = bits << 4 | u128::from(hex_digit(*digit)?),
        }
    }
    Some(bits)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

checked_text! {
    /// Kafka's id of a topic's one life, in the text form Kafka's tools print. Part of file names.
    TopicId, BadId, |text| is(is_file_name_part(text), text, "an id of 1 to 64 ASCII letters, digits, '_' and '-'")
}

checked_text! {
    /// The version of a table's schema that a file was written with: a short hash of it.
    SchemaVersion, BadId, |text| is(is_file_name_part(text), text, "a schema version of 1 to 64 ASCII letters, digits, '_' and '-'")
}

checked_text! {
    /// Kafka's id of a cluster.
    ClusterId, BadId, |text| is(is_short_line(text), text, "a cluster id of at most 200 printable characters")
}

checked_text! {
    /// One running ingester.
    WriterId, BadId, |text| is(is_short_line(text), text, "a writer id of at most 200 printable characters")
}

fn is(fits: bool, text: &str, expected: &'static str) -> Result<(), BadId> {
    if fits {
        return Ok(());
    }
    let text = text.to_owned();
    Err(BadId { text, expected })
}

fn is_file_name_part(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_short_line(text: &str) -> bool {
    text.chars().count() <= 200 && !text.chars().any(char::is_control)
}

/// A SHA-256. Written as 64 hexadecimal digits in lower case, as `sha256sum` prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// What the first commit states as its predecessor's.
    pub const NONE: Checksum = Checksum([0; 32]);
    /// Length of the text form.
    pub const TEXT_BYTES: usize = 64;

    #[must_use]
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum(Sha256::digest(bytes).into())
    }

    /// From a digest that was computed while writing.
    #[must_use]
    pub fn from_digest(digest: [u8; 32]) -> Checksum {
        Checksum(digest)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Checksum {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        checksum_bytes(text).map(Checksum).ok_or_else(|| BadId {
            text: text.to_owned(),
            expected: "a SHA-256 of 64 hexadecimal digits in lower case",
        })
    }
}

fn checksum_bytes(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != Checksum::TEXT_BYTES {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(bytes)
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> String {
        checksum.to_string()
    }
}

read_from_text!(Checksum, BadId, Checksum::from_str);

/// A moment in microseconds since 1970. Written as `2026-11-21T01:02:03.000004Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Moment {
    unix_micros: i64,
}

const MOMENT_FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

impl Moment {
    /// A moment outside of the years 1 to 9999 is taken as the nearest inside.
    #[must_use]
    pub fn from_unix_micros(unix_micros: i64) -> Moment {
        Moment {
            unix_micros: unix_micros.clamp(-62_135_596_800_000_000, 253_402_300_799_999_999),
        }
    }

    #[must_use]
    pub fn unix_micros(self) -> i64 {
        self.unix_micros
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time =
            chrono::DateTime::from_timestamp_micros(self.unix_micros).expect("clamped to what chrono can");
        time.format(MOMENT_FORMAT).fmt(f)
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> String {
        moment.to_string()
    }
}

impl TryFrom<String> for Moment {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        chrono::NaiveDateTime::parse_from_str(&text, MOMENT_FORMAT)
            .ok()
            .map(|time| Moment::from_unix_micros(time.and_utc().timestamp_micros()))
            .filter(|moment| moment.to_string() == text)
            .ok_or(BadId {
                text,
                expected: "a time of the form 2026-11-21T01:02:03.000004Z",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_only_what_they_write() {
        let text = "01900000-0000-7000-8000-0000000000ab";
        assert_eq!(text.parse::<StageId>().expect("a uuid").to_string(), text);
        for text in [
            "01900000-0000-7000-8000-0000000000AB",
            "01900000000070008000-0000000000ab",
            "",
            "0190000000000-7000-8000-0000000000ab",
            "+1900000-0000-7000-8000-0000000000ab",
        ] {
            assert!(text.parse::<StageId>().is_err(), "{text}");
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Checksum::of(b"").to_string(), empty);
        assert_eq!(empty.parse::<Checksum>(), Ok(Checksum::of(b"")));
        assert!(empty.to_uppercase().parse::<Checksum>().is_err());
        assert!(TopicId::new("a/b").is_err() && TopicId::new("").is_err() && TopicId::new("x-_9").is_ok());
        assert!(WriterId::new("two\nlines").is_err());
    }

    #[test]
    fn moments_read_only_what_they_write() {
        let moment = Moment::from_unix_micros(1_795_222_800_000_004);
        assert_eq!(moment.to_string(), "2026-11-21T01:00:00.000004Z");
        assert_eq!(Moment::try_from(moment.to_string()), Ok(moment));
        for text in [
            "2026-11-21T01:00:00Z",
            "2026-11-21 01:00:00.000004Z",
            "2026-11-21T01:00:00.000004+00:00",
        ] {
            assert!(Moment::try_from(text.to_owned()).is_err(), "{text}");
        }
        for micros in [i64::MIN, i64::MAX] {
            let moment = Moment::from_unix_micros(micros);
            assert_eq!(Moment::try_from(moment.to_string()), Ok(moment));
        }
    }
}
