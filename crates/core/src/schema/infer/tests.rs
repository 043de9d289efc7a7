//! What is inferred from small samples, as text.

use super::{InferOptions, Inferred, Sample, Unusable};
use crate::schema::compile;

fn sample_of(records: &[&str]) -> Sample {
    let mut sample = Sample::new(InferOptions {
        title: "test".to_owned(),
        enum_values_max: 12,
        examples_max: 2,
    });
    for record in records {
        sample.take(record.as_bytes()).expect("an object");
    }
    sample
}

fn inferred(records: &[&str]) -> Inferred {
    let inferred = sample_of(records).infer();
    compile(&inferred.text).unwrap_or_else(|faults| panic!("{faults:?}\n{}", inferred.text));
    inferred
}

fn reasons(inferred: &Inferred) -> Vec<(&str, &str)> {
    inferred
        .left_out
        .iter()
        .map(|left| (left.field.as_str(), left.reason.as_str()))
        .collect()
}

#[test]
fn types_formats_requirements_and_examples_are_those_of_the_sample() {
    let found = inferred(&[
        r#"{"id":"5f0c1f2e-8c7e-4c54-9d1a-0a6c1f2e8c7e","at":"2026-11-21T01:02:03Z","n":1,"price":2,"ok":true,"note":null}"#,
        r#"{"id":"6f0c1f2e-8c7e-4c54-9d1a-0a6c1f2e8c7e","at":"2026-11-21T01:02:04","n":2,"price":2.5,"ok":false,"note":"x"}"#,
        r#"{"id":"7f0c1f2e-8c7e-4c54-9d1a-0a6c1f2e8c7e","at":"2026-11-21T01:02:05Z","price":3,"ok":true,"note":"y","mail":"a@b.fr"}"#,
    ]);
    let expected = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "test",
  "type": "object",
  "properties": {
    "id": { "type": "string", "format": "uuid", "examples": ["5f0c1f2e-8c7e-4c54-9d1a-0a6c1f2e8c7e", "6f0c1f2e-8c7e-4c54-9d1a-0a6c1f2e8c7e"] },
    "at": { "type": "string", "format": "date-time", "examples": ["2026-11-21T01:02:03Z", "2026-11-21T01:02:04"] },
    "n": { "type": "integer", "examples": [1, 2] },
    "price": { "type": "number", "examples": [2, 2.5] },
    "ok": { "type": "boolean" },
    "note": { "type": ["string", "null"], "examples": ["x", "y"] },
    "mail": { "type": "string", "format": "email", "examples": ["a@b.fr"] }
  },
  "required": ["id", "at", "price", "ok", "note"]
}
"#;
    assert_eq!(found.text, expected);
    assert_eq!(found.left_out, []);
    assert_eq!(found.event_time.as_deref(), Some("at"));
}

#[test]
fn objects_and_arrays_are_declared_to_their_depth() {
    let found = inferred(&[
        r#"{"where":{"city":"Lyon","geo":[45.7,4.8]},"lines":[{"sku":"a","n":1},{"sku":"b"}]}"#,
        r#"{"where":{"city":"Nice","geo":[]},"lines":[]}"#,
    ]);
    let expected = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "test",
  "type": "object",
  "properties": {
    "where": {
      "type": "object",
      "properties": {
        "city": { "type": "string", "examples": ["Lyon", "Nice"] },
        "geo": { "type": "array", "items": { "type": "number", "examples": [45.7, 4.8] } }
      },
      "required": ["city", "geo"]
    },
    "lines": {
      "type": "array",
      "items": {
        "type": "object",
        "properties": {
          "sku": { "type": "string", "examples": ["a", "b"] },
          "n": { "type": "integer", "examples": [1] }
        },
        "required": ["sku"]
      }
    }
  },
  "required": ["where", "lines"]
}
"#;
    assert_eq!(found.text, expected);
    assert_eq!(found.event_time, None);
}

#[test]
fn few_values_seen_often_are_an_enum_and_one_is_a_const() {
    let record = |index: usize| {
        let (kind, level) = (["a", "b"][index % 2], ["\"x\"", "\"y\"", "null"][index % 3]);
        format!(r#"{{"event":"click","kind":"{kind}","level":{level},"name":"n{index}"}}"#)
    };
    let records: Vec<String> = (0..60).map(record).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let text = inferred(&records).text;
    for line in [
        r#""event": { "const": "click" }"#,
        r#""kind": { "enum": ["a", "b"] }"#,
        r#""level": { "enum": ["x", "y", null] }"#,
        r#""name": { "type": "string", "examples": ["n0", "n1"] }"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let text = inferred(&records[..19]).text;
    assert!(
        text.contains(r#""kind": { "type": "string""#),
        "not often enough: {text}"
    );
}

#[test]
fn what_cannot_be_declared_is_left_out_and_named() {
    let found = inferred(&[
        r#"{"a":1,"b":"x","b":"y","date":"2026-11-21","A":2,"c":null,"d":[],"e":{},"f":{"g":null},"":1}"#,
        r#"{"a":2,"mixed":[1,"x"],"h":{"i":1}}"#,
        r#"{"a":3,"mixed":[],"h":"x"}"#,
    ]);
    let reasons = reasons(&found);
    for (field, reason) in [
        ("b", "it stands twice in one object"),
        ("date", "it is a key of the lake's time partitions"),
        ("A", "differ by case only"),
        ("c", "it was never anything but null"),
        ("d", "its arrays were all empty"),
        ("e", "none of its fields can be declared"),
        ("f.g", "it was never anything but null"),
        ("f", "none of its fields can be declared"),
        ("", "cannot name a column"),
        (
            "mixed",
            "of its items: it has values of different types: integer and string",
        ),
        ("h", "it has values of different types: string and object"),
    ] {
        assert!(
            reasons
                .iter()
                .any(|(left, why)| *left == field && why.contains(reason)),
            "{field}: {reason} is not among {reasons:?}"
        );
    }
    assert_eq!(reasons.len(), 11);
}

#[test]
fn an_object_of_very_many_names_is_a_map() {
    let names: Vec<String> = (0..2_000).map(|index| format!("\"user{index}\":1")).collect();
    let record = format!("{{\"by_user\":{{{}}},\"n\":1}}", names.join(","));
    let found = inferred(&[&record]);
    assert!(
        reasons(&found)[0].1.contains("more than 1000 different names"),
        "{found:?}"
    );
    let root = format!("{{{}}}", names.join(","));
    let found = inferred(&[&root]);
    assert!(reasons(&found)[0].1.contains("after the first 1000"), "{found:?}");
}

#[test]
fn records_that_are_no_objects_are_refused_and_leave_nothing_behind() {
    let mut sample = sample_of(&[]);
    for (payload, why) in [
        (b"".as_slice(), Unusable::NoJson),
        (b"{\"a\":1", Unusable::NoJson),
        (b"{\"a\":1e999}", Unusable::NoJson),
        (b"\xff", Unusable::NoJson),
        (b"[1]", Unusable::NoObject),
        (b"null", Unusable::NoObject),
    ] {
        assert_eq!(sample.take(payload), Err(why));
    }
    assert_eq!(sample.records(), 0);
    let found = sample.infer();
    assert!(!found.text.contains("properties"), "{}", found.text);
    compile(&found.text).expect("a schema that declares nothing is one");
}
