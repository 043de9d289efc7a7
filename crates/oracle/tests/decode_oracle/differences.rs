//! The table in `docs/schemas.md` of where the decoder and the `jsonschema` crate differ, line by line.
//!
//! A difference that goes away, on either side, fails here: then its line in the table goes too.

use eventlake_core::schema::{DecodeRules, compile};
use eventlake_engine::ingest::decode::{Decoder, EventRows};
use serde_json::{Value, json};

/// What one of the two makes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accepts,
    Rejects(&'static str),
}

use Verdict::{Accepts, Rejects};

/// A field's schema, its value in the record, whether the crate accepts it, and our verdict.
fn table() -> Vec<(Value, String, bool, Verdict)> {
    let string = |format: &str| json!({"type": "string", "format": format});
    let quoted = |text: &str| json!(text).to_string();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let any_array = json!({"type": "array", "items": {"type": "integer"}});
    vec![
        // Our columns hold 64 bits.
        (
            json!({"type": "integer"}),
            "1e30".to_owned(),
            true,
            Rejects("out_of_range"),
        ),
        (
            json!({"type": "integer"}),
            "18446744073709551615".to_owned(),
            true,
            Rejects("out_of_range"),
        ),
        (
            json!({"type": "number"}),
            "1e400".to_owned(),
            false,
            Rejects("out_of_range"),
        ),
        // Not an integer, though the nearest double is.
        (
            json!({"type": "integer"}),
            "40000E-346".to_owned(),
            true,
            Rejects("type"),
        ),
        // A name twice: serde_json takes the last.
        (
            json!({"type": "integer"}),
            "1,\"f\":2".to_owned(),
            true,
            Rejects("duplicate_field"),
        ),
        // Date-times without an offset, and what the crate takes for digits.
        (string("date-time"), quoted("2026-11-21T01:02:03"), false, Accepts),
        (
            string("date-time"),
            quoted("2026-11-0-T01:02:03Z"),
            true,
            Rejects("format"),
        ),
        (string("date"), quoted("2026-11-0-"), true, Rejects("format")),
        (string("time"), quoted("1-:02:03Z"), true, Rejects("format")),
        // Weeks stand alone.
        (string("duration"), quoted("P1WT1S"), true, Rejects("format")),
        // E-mail addresses and host names are those of RFC 5321 and RFC 1123.
        (string("email"), quoted("é@example.com"), true, Rejects("format")),
        (string("email"), quoted("\"\"@example.com"), false, Accepts),
        (string("email"), quoted("\"\\ \"@example.com"), false, Accepts),
        (
            string("email"),
            quoted("\"\t\"@example.com"),
            true,
            Rejects("format"),
        ),
        (
            string("email"),
            quoted("Ann <a@example.com>"),
            true,
            Rejects("format"),
        ),
        (string("email"), quoted("a@xn--X"), false, Accepts),
        (string("hostname"), quoted("xn--X"), false, Accepts),
        (string("hostname"), quoted("ab--cd"), false, Accepts),
        // Decimal fractions are divided in decimal, and integers beyond 2^53 as they are.
        (
            json!({"type": "number", "multipleOf": 0.01}),
            "1029.61".to_owned(),
            false,
            Accepts,
        ),
        (
            json!({"type": "integer", "multipleOf": 2.5}),
            "999999999999999999".to_owned(),
            true,
            Rejects("multipleOf"),
        ),
        // Numbers are compared as the doubles they land as.
        (
            json!({"type": "number", "maximum": 9_007_199_254_740_992_i64}),
            "9007199254740993".to_owned(),
            false,
            Accepts,
        ),
        // ECMA-262's white space has every space of Unicode.
        (
            json!({"type": "string", "pattern": "^\\s$"}),
            quoted("\u{2009}"),
            false,
            Accepts,
        ),
        // And its `.` stands for no line terminator.
        (
            json!({"type": "string", "pattern": "^.$"}),
            quoted("\u{2028}"),
            true,
            Rejects("pattern"),
        ),
        // Nesting: the crate reads what serde_json reads, at most 127 levels.
        (any_array, format!("[],\"u\":{}", deep(200)), false, Accepts),
    ]
}

#[test]
fn the_differences_are_those_that_are_written_down() {
    for (subschema, value, crate_accepts, ours) in table() {
        let schema = json!({"type": "object", "properties": {"f": subschema}});
        let record = format!("{{\"f\":{value}}}");
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&schema)
            .expect("a schema");
        let read = serde_json::from_str::<Value>(&record);
        let theirs = read.as_ref().is_ok_and(|value| validator.is_valid(value));
        assert_eq!(theirs, crate_accepts, "the crate on {schema} and {record}");

        let rules = DecodeRules::new(compile(&schema.to_string()).expect("a schema"));
        let verdict = Decoder::new(&rules).decode(
            record.as_bytes(),
            &eventlake_oracle::decode::META,
            &mut EventRows::new(&rules),
        );
        let found = match &verdict {
            Ok(()) => Accepts,
            Err(violation) => Rejects(violation.code.as_str()),
        };
        assert_eq!(found, ours, "{schema} and {record}: {verdict:?}");
    }
}
