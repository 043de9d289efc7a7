//! How records become bytes: one line of JSON whose last member is the SHA-256 of everything before it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ids::{AttemptId, Checksum, CommitNumber, Moment, WriterId};
use super::record::{Append, Body, Commit, OpenGeneration, Replace};
use crate::names::TopicName;

/// The version of the format of commits, snapshots, manifests and owners.
pub const FORMAT: u32 = 1;

const CHECKSUM_OPENS: &[u8] = b",\"checksum\":\"";
const LINE_ENDS: &[u8] = b"\"}\n";

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    #[error("it does not end in a checksum: it was cut short, or never written by eventlake")]
    Cut,
    #[error("it was altered: its checksum says {stated}, its content has {computed}")]
    Altered { stated: Checksum, computed: Checksum },
    #[error("it was written by a newer version of eventlake: format {found}, this version reads {FORMAT}")]
    Newer { found: u32 },
    #[error("its checksum holds, but it is not understood (written by a newer version?): {0}")]
    NotUnderstood(String),
}

/// The bytes of a record, and its checksum. The record must serialize as a JSON object.
///
/// # Panics
/// When the record cannot be written as JSON, which no type of this crate allows.
#[must_use]
pub fn encode_record<T: Serialize>(record: &T) -> (Vec<u8>, Checksum) {
    let mut line = serde_json::to_vec(record).expect("records are plain data with text keys");
    assert_eq!(line.pop(), Some(b'}'), "a record is a JSON object");
    let checksum = Checksum::of(&line);
    line.extend_from_slice(CHECKSUM_OPENS);
    line.extend_from_slice(checksum.to_string().as_bytes());
    line.extend_from_slice(LINE_ENDS);
    (line, checksum)
}

/// The record in these bytes, and its checksum.
///
/// # Errors
/// When a single byte differs from what was written, or this version does not know the format.
pub fn decode_record<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Checksum), DecodeFault> {
    decode_record_in(bytes.to_vec())
}

/// As `decode_record`, in the place of the bytes: for a record that is large.
///
/// # Errors
/// As `decode_record`.
pub fn decode_record_in<T: DeserializeOwned>(mut bytes: Vec<u8>) -> Result<(T, Checksum), DecodeFault> {
    let (content, stated) = split_checksum(&bytes).ok_or(DecodeFault::Cut)?;
    let computed = Checksum::of(content);
    if stated != computed {
        return Err(DecodeFault::Altered { stated, computed });
    }
    let length = content.len();
    bytes.truncate(length);
    bytes.push(b'}');
    let json = bytes;
    match serde_json::from_slice(&json) {
        Ok(record) => Ok((record, computed)),
        Err(error) => Err(match serde_json::from_slice::<AnyFormat>(&json) {
            Ok(AnyFormat { format }) if format > FORMAT => DecodeFault::Newer { found: format },
            _ => DecodeFault::NotUnderstood(error.to_string()),
        }),
    }
}

fn split_checksum(bytes: &[u8]) -> Option<(&[u8], Checksum)> {
    let rest = bytes.strip_suffix(LINE_ENDS)?;
    let (rest, hex) = rest.split_at_checked(rest.len().checked_sub(Checksum::TEXT_BYTES)?)?;
    let content = rest.strip_suffix(CHECKSUM_OPENS)?;
    Some((content, std::str::from_utf8(hex).ok()?.parse().ok()?))
}

/// Reads the format of a record of whatever version.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// The `format` member: written as this version's, and nothing else is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Format;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(FORMAT)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            FORMAT => Ok(Format),
            other => Err(serde::de::Error::custom(format!(
                "format {other} is not {FORMAT}"
            ))),
        }
    }
}

/// A commit as it stands in its file: the member named by `kind` holds the body.
#[derive(Serialize)]
struct CommitOut<'a> {
    format: Format,
    number: CommitNumber,
    kind: &'static str,
    topic: &'a TopicName,
    writer: &'a WriterId,
    attempt: AttemptId,
    time: Moment,
    previous: Checksum,
    #[serde(skip_serializing_if = "Option::is_none")]
    append: Option<&'a Append>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace: Option<&'a Replace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'a OpenGeneration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitIn {
    #[serde(rename = "format")]
    _format: Format,
    number: CommitNumber,
    kind: String,
    topic: TopicName,
    writer: WriterId,
    attempt: AttemptId,
    time: Moment,
    previous: Checksum,
    append: Option<Append>,
    replace: Option<Replace>,
    generation: Option<OpenGeneration>,
}

impl Serialize for Commit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = CommitOut {
            format: Format,
            number: self.number,
            kind: self.body.kind(),
            topic: &self.topic,
            writer: &self.writer,
            attempt: self.attempt,
            time: self.time,
            previous: self.previous,
            append: None,
            replace: None,
            generation: None,
        };
        match &self.body {
            Body::Append(append) => out.append = Some(append),
            Body::Replace(replace) => out.replace = Some(replace),
            Body::Generation(generation) => out.generation = Some(generation),
        }
        out.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Commit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = CommitIn::deserialize(deserializer)?;
        let body = match (read.append, read.replace, read.generation) {
            (Some(append), None, None) => Body::Append(append),
            (None, Some(replace), None) => Body::Replace(replace),
            (None, None, Some(generation)) => Body::Generation(generation),
            _ => {
                return Err(serde::de::Error::custom(
                    "not exactly one of append, replace and generation",
                ));
            }
        };
        if body.kind() != read.kind {
            return Err(serde::de::Error::custom(format!(
                "kind {:?} carries {}",
                read.kind,
                body.kind()
            )));
        }
        Ok(Commit {
            number: read.number,
            topic: read.topic,
            writer: read.writer,
            attempt: read.attempt,
            time: read.time,
            previous: read.previous,
            body,
        })
    }
}
