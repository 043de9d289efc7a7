//! The events of the cases: their schema, records with known verdicts, and what the lake must hold for them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::{Map, Value, json};

use crate::lake::{Row, by_position, rows};
use crate::producer::{Record, Sent, Verdict};
use crate::workspace::Workspace;

pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "An event of the integration tests",
  "type": "object",
  "required": ["id", "at", "kind"],
  "properties": {
    "id": { "type": "integer", "minimum": 0 },
    "at": { "type": "string", "format": "date-time" },
    "kind": { "enum": ["plain", "odd", "élan"] },
    "note": { "type": ["string", "null"], "maxLength": 200 },
    "value": { "type": "number" },
    "ready": { "type": "boolean" },
    "day": { "type": "string", "format": "date" },
    "tags": { "type": "array", "items": { "type": "string" } },
    "place": {
      "type": "object",
      "properties": { "lat": { "type": "number" }, "name": { "type": ["string", "null"] } }
    }
  }
}
"#;

/// 2026-03-01T00:00:00Z
pub const FIRST_MICROS: i64 = 1_772_323_200_000_000;

/// The nth good event: every field present, absent, null, escaped or nested in turn, its time spread over days.
pub fn good(n: i64, partition: i32) -> Record {
    let micros = FIRST_MICROS + n * 37_000_000 + n % 1000;
    let at = DateTime::from_timestamp_micros(micros).expect("a time of this century");
    let kind = ["plain", "odd", "élan"][usize::try_from(n % 3).expect("not negative")];
    let mut event = json!({
        "id": n,
        "at": at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        "kind": kind,
        "an undeclared field": { "deep": [1, 2, { "x": null }] },
    });
    let fields = event.as_object_mut().expect("an object");
    match n % 4 {
        0 => drop(fields.insert("note".to_owned(), Value::Null)),
        1 => drop(fields.insert(
            "note".to_owned(),
            json!(format!("n° {n} \"quoted\" \u{1F600}\t\\")),
        )),
        _ => {}
    }
    if n % 2 == 0 {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        fields.insert("value".to_owned(), json!(n as f64 / 8.0 - 1e3));
        fields.insert("ready".to_owned(), json!(n % 3 == 0));
    }
    if n % 5 == 0 {
        fields.insert("day".to_owned(), json!(at.format("%Y-%m-%d").to_string()));
        fields.insert("tags".to_owned(), json!(["a", "", format!("t{n}")]));
        fields.insert(
            "place".to_owned(),
            json!({ "lat": -0.5, "name": if n % 10 == 0 { Value::Null } else { json!("here") } }),
        );
    }
    record(
        n,
        partition,
        Some(event.to_string().into_bytes()),
        Verdict::Accepted,
    )
}

/// The nth record of a stream where every tenth is broken, in one of several ways, and every 97th is a tombstone.
pub fn mixed(n: i64, partition: i32) -> Record {
    if n % 97 == 96 {
        return record(n, partition, None, Verdict::Tombstone);
    }
    if n % 10 != 9 {
        return good(n, partition);
    }
    // Each is broken in one way alone: its time is the record's own.
    let at = DateTime::from_timestamp_micros(FIRST_MICROS + n * 37_000_000).expect("a time of this century");
    let at = at.format("%Y-%m-%dT%H:%M:%SZ");
    let (payload, code): (Vec<u8>, &'static str) = match (n / 10) % 8 {
        0 => (
            format!("{{\"id\":{n},\"at\":\"{at}\",\"kind\":\"pla").into_bytes(),
            "malformed_json",
        ),
        1 => (Vec::new(), "malformed_json"),
        2 => (
            [format!("{{\"id\":{n},\"note\":\"").as_bytes(), b"\xff\xfe\"}"].concat(),
            "invalid_unicode",
        ),
        3 => (format!("{{\"id\":{n},\"at\":\"{at}\"}}").into_bytes(), "required"),
        4 => (
            format!("{{\"id\":\"{n}\",\"at\":\"{at}\",\"kind\":\"odd\"}}").into_bytes(),
            "type",
        ),
        5 => (
            format!("{{\"id\":-{n},\"at\":\"{at}\",\"kind\":\"odd\"}}").into_bytes(),
            "minimum",
        ),
        6 => (
            format!("{{\"id\":{n},\"at\":\"{at}\",\"kind\":\"other\"}}").into_bytes(),
            "enum",
        ),
        _ => (
            format!("{{\"id\":{n},\"at\":\"soon\",\"kind\":\"odd\"}}").into_bytes(),
            "format",
        ),
    };
    record(n, partition, Some(payload), Verdict::Rejected(code))
}

fn record(n: i64, partition: i32, payload: Option<Vec<u8>>, verdict: Verdict) -> Record {
    let key = (n % 6 != 5).then(|| format!("key-{n}").into_bytes());
    // Kafka's clock runs with the event's, so that no event lies in its future.
    Record {
        partition,
        key,
        payload,
        timestamp_millis: Some((FIRST_MICROS + n * 37_000_000) / 1000 + 1),
        verdict,
    }
}

/// `count` records from the nth on, dealt over the partitions.
pub fn mixed_stream(from: i64, count: i64, partitions: i32) -> impl Iterator<Item = Record> {
    (from..from + count).map(move |n| mixed(n, i32::try_from(n % i64::from(partitions)).expect("small")))
}

/// Asserts that the lake holds exactly what was sent: each event once, field by field, in its time partition;
/// each broken record once among the rejected, with its reason and its bytes.
#[track_caller]
pub fn assert_landed(space: &Workspace, table: &str, sent: &[Sent]) {
    let accepted = by_position(rows(&space.table(table)));
    let rejected = by_position(rows(&space.rejected(table)));
    assert_rows_are(sent, accepted, rejected);
}

#[track_caller]
pub fn assert_rows_are(
    sent: &[Sent],
    mut accepted: BTreeMap<(i32, i64), Row>,
    mut rejected: BTreeMap<(i32, i64), Row>,
) {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let mut missing = Vec::new();
    for Sent { record, offset } in sent {
        let position = (record.partition, *offset);
        match record.verdict {
            Verdict::Tombstone => {}
            Verdict::Accepted => match accepted.remove(&position) {
                Some(row) => assert_accepted(record, &row, &schema),
                None => missing.push((position, record.verdict)),
            },
            Verdict::Rejected(code) => match rejected.remove(&position) {
                Some(row) => assert_rejected(record, code, &row),
                None => missing.push((position, record.verdict)),
            },
        }
    }
    let some = missing.iter().take(5).collect::<Vec<_>>();
    assert!(
        missing.is_empty(),
        "{} of {} records are not in the lake: {some:?} ...",
        missing.len(),
        sent.len()
    );
    let unknown: Vec<_> = accepted.keys().chain(rejected.keys()).take(5).collect();
    assert!(
        unknown.is_empty(),
        "the lake holds records that nobody sent, or in the wrong place: {unknown:?} ..."
    );
}

#[track_caller]
fn assert_accepted(record: &Record, row: &Row, schema: &Value) {
    let payload = record
        .payload
        .as_deref()
        .expect("an accepted record has a payload");
    let event: Value = serde_json::from_slice(payload).expect("an accepted record is JSON");
    let Value::Object(mut expected) = expected_value(schema, Some(&event)) else {
        panic!("an event is an object")
    };
    let mut columns = row.columns.clone();
    let at = columns["at"].as_i64().expect("a time");
    assert_eq!(
        columns["_kafka_timestamp"],
        json!(record.timestamp_millis.map(|millis| millis * 1000))
    );
    columns.retain(|name, _| !name.starts_with("_kafka_"));
    // A struct that is absent is null; serde_json's map does not care for the order of columns.
    expected.retain(|name, _| columns.contains_key(name));
    assert_eq!(
        columns.len(),
        schema["properties"].as_object().expect("properties").len(),
        "every declared column"
    );
    assert_eq!(
        columns,
        expected,
        "at {:?} in {}",
        row.position(),
        row.file.display()
    );
    let time = DateTime::from_timestamp_micros(at).expect("a time of this century");
    assert_eq!(
        row.time_partition(),
        time.format("date=%Y-%m-%d/hour=%H").to_string(),
        "{}",
        row.file.display()
    );
}

#[track_caller]
fn assert_rejected(record: &Record, code: &str, row: &Row) {
    assert_eq!(
        row.bytes.get("payload"),
        record.payload.as_ref(),
        "payload at {:?}",
        row.position()
    );
    assert_eq!(
        row.bytes.get("key"),
        record.key.as_ref(),
        "key at {:?}",
        row.position()
    );
    assert!(
        code.is_empty() || row.columns["code"] == json!(code),
        "code at {:?}: {:?}",
        row.position(),
        row.columns
    );
    let millis = record
        .timestamp_millis
        .expect("every record of the cases has a timestamp");
    assert_eq!(row.columns["_kafka_timestamp"], json!(millis * 1000));
    let time = DateTime::from_timestamp_millis(millis).expect("a time of this century");
    assert_eq!(
        row.time_partition(),
        time.format("date=%Y-%m-%d/hour=%H").to_string(),
        "{}",
        row.file.display()
    );
}

/// What a JSON value becomes in the lake under a schema: times in microseconds, dates in days, absent as null.
pub fn expected_value(schema: &Value, value: Option<&Value>) -> Value {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Value::Null;
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let format = schema["format"].as_str().unwrap_or("");
    if types.contains(&"object") {
        let properties = schema["properties"]
            .as_object()
            .expect("an object has properties");
        let fields = properties
            .iter()
            .map(|(name, inner)| (name.clone(), expected_value(inner, value.get(name))));
        return Value::Object(fields.collect::<Map<_, _>>());
    }
    if types.contains(&"array") {
        let items = value.as_array().expect("an array");
        return items
            .iter()
            .map(|item| expected_value(&schema["items"], Some(item)))
            .collect();
    }
    if types.contains(&"number") {
        return json!(value.as_f64().expect("a number"));
    }
    match format {
        "date-time" => json!(micros_of(value.as_str().expect("a time is text"))),
        "date" => {
            let day: NaiveDate = value.as_str().expect("a date is text").parse().expect("a date");
            let first = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
            json!((day - first).num_days())
        }
        _ => value.clone(),
    }
}

fn micros_of(text: &str) -> i64 {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.timestamp_micros(),
        // An offset may be missing: UTC.
        Err(_) => text
            .parse::<NaiveDateTime>()
            .expect("a date-time")
            .and_utc()
            .timestamp_micros(),
    }
}
