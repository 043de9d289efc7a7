//! The verdict table, case by case, in declared and in undeclared fields; and what lands in the columns.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use eventlake_core::config::EventTimeUnit;
use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::schema::{DecodeRules, EventTime, RECORD_BYTES_MAX_DEFAULT, compile};
use eventlake_core::violation::{Code, Violation};

use super::*;

const NOON: i64 = 1_795_262_400_000_000;

fn rules(schema: &str) -> DecodeRules {
    DecodeRules::new(compile(schema).expect(schema))
}

/// A schema of optional fields.
fn of_fields(properties: &str) -> DecodeRules {
    rules(&format!(r#"{{"type":"object","properties":{{{properties}}}}}"#))
}

fn meta(timestamp_micros: Option<i64>) -> RecordMeta {
    RecordMeta {
        partition: PartitionId(3),
        offset: Offset(41),
        timestamp_micros,
    }
}

fn verdict_at(
    rules: &DecodeRules,
    payload: &[u8],
    timestamp_micros: Option<i64>,
) -> Result<EventBatch, Violation> {
    let mut rows = EventRows::new(rules);
    let verdict = Decoder::new(rules).decode(payload, &meta(timestamp_micros), &mut rows);
    assert_eq!(
        rows.len(),
        usize::from(verdict.is_ok()),
        "a record is one row or none"
    );
    let batch = rows.finish();
    assert_eq!(batch.batch.schema(), arrow_schema(rules));
    verdict.map(|()| batch)
}

fn verdict(rules: &DecodeRules, payload: impl AsRef<[u8]>) -> Result<EventBatch, Violation> {
    verdict_at(rules, payload.as_ref(), Some(NOON))
}

fn violation(rules: &DecodeRules, payload: impl AsRef<[u8]>) -> Violation {
    let payload = payload.as_ref();
    match verdict(rules, payload) {
        Err(violation) => violation,
        Ok(_) => panic!("{} was accepted", String::from_utf8_lossy(payload)),
    }
}

fn accepted(rules: &DecodeRules, payload: impl AsRef<[u8]>) -> RecordBatch {
    let payload = payload.as_ref();
    match verdict(rules, payload) {
        Ok(batch) => batch.batch,
        Err(violation) => panic!("{}: {violation}", String::from_utf8_lossy(payload)),
    }
}

fn assert_rejected(rules: &DecodeRules, payload: impl AsRef<[u8]>, code: Code, field: &str) {
    let payload = payload.as_ref();
    let violation = violation(rules, payload);
    let shown = String::from_utf8_lossy(payload);
    assert_eq!(
        (violation.code, violation.field.as_str()),
        (code, field),
        "{shown}: {violation}"
    );
}

/// The payload with a value in the declared field `d`, and with it in the undeclared field `u`.
fn in_both(value: &[u8]) -> [(Vec<u8>, &'static str); 2] {
    let around = |name: &str| [format!("{{\"{name}\":").as_bytes(), value, b"}"].concat();
    [(around("d"), "d"), (around("u"), "u")]
}

#[test]
fn what_is_not_json_is_malformed_in_any_field() {
    let strings = of_fields(r#""d":{"type":"string"}"#);
    let integers = of_fields(r#""d":{"type":"integer"}"#);
    let values: &[&str] = &[
        "",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "nul",
        "True",
        "None",
        "undefined",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\t\"",
        "\"\n\"",
        "\"\u{1}\"",
        "01",
        "-01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "1 2",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{1:2}",
        "[1}",
        "{\"a\":1]",
        "/**/1",
        "1//",
        "\u{feff}1",
        "\u{a0}1",
        "\"a\" \"b\"",
        "nullx",
        "truefalse",
        "\u{c}1",
        "\0",
    ];
    for value in values {
        for rules in [&strings, &integers] {
            for (payload, _) in in_both(value.as_bytes()) {
                let violation = violation(rules, &payload);
                assert_eq!(
                    violation.code,
                    Code::MalformedJson,
                    "{}: {violation}",
                    String::from_utf8_lossy(&payload)
                );
            }
        }
    }
}

#[test]
fn what_is_no_json_text_as_a_whole_is_malformed() {
    let rules = of_fields(r#""d":{"type":"string"}"#);
    for payload in [
        "",
        " ",
        "\n",
        "{",
        "{\"d\"",
        "{\"d\":",
        "{\"d\":\"a\"",
        "{\"d\":\"a\",",
        "{\"d\":\"a\"}}",
        "{\"d\":\"a\"} x",
        "{} {}",
        "{},",
        "\u{feff}{}",
        "NaN",
        "hello",
        "{'d':1}",
        "{d:1}",
        "{\"d\" 1}",
        "{,}",
        "{\"d\":\"a\",}",
        "{\"d\":\"a\" \"u\":1}",
        "\0",
        "{}\0",
        "12 x",
        "[1,2",
        "\"a",
        "2026-11-21 ERROR",
    ] {
        assert_rejected(
            &rules,
            payload,
            Code::MalformedJson,
            violation(&rules, payload).field.as_str(),
        );
    }
    let empty = violation(&rules, "");
    assert_eq!(
        (empty.expected.as_str(), empty.found.as_str()),
        ("a JSON object", "nothing")
    );
    assert!(violation(&rules, "\u{feff}{}").found.contains("byte order mark"));
}

#[test]
fn a_root_that_is_no_object_is_of_the_wrong_type() {
    let rules = of_fields(r#""d":{"type":"string"}"#);
    for payload in ["null", "1", "\"a\"", "[]", "[{\"d\":\"a\"}]", " true "] {
        assert_rejected(&rules, payload, Code::Type, "");
    }
}

#[test]
fn whitespace_of_json_is_passed_over_and_no_other() {
    let rules = of_fields(r#""d":{"type":"array","items":{"type":"integer"}},"e":{"type":"string"}"#);
    accepted(
        &rules,
        " \t\r\n{ \t\r\n\"d\" \t\r\n: \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n, \t\r\n\"e\" : \"a\" , \"u\" : { \"x\" : [ ] } } \t\r\n",
    );
    assert_rejected(&rules, "{\u{b}}", Code::MalformedJson, "");
}

#[test]
fn what_is_not_unicode_is_invalid_in_any_field() {
    let rules = of_fields(r#""d":{"type":"string"}"#);
    let values: &[&[u8]] = &[
        b"\"\xff\"",
        b"\"a\xc3\"",
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"abcdefghijklmnop\x80\"",
        b"\"\\ud800\"",
        b"\"\\udc00\"",
        b"\"\\ud800\\n\"",
        b"\"\\ud800\\ud800\"",
        b"\"\\udc00\\ud800\"",
        b"\"\\ud800a\"",
        b"[\"\\ud800\"]",
        b"{\"\\udfff\":1}",
        b"{\"\xff\":1}",
    ];
    for value in values {
        for (payload, field) in in_both(value) {
            assert_rejected(&rules, &payload, Code::InvalidUnicode, field);
        }
    }
    assert_rejected(&rules, b"\xff\xfe{\0}\0", Code::InvalidUnicode, "");
    assert_rejected(&rules, b"{\"\xff\":1}", Code::InvalidUnicode, "");
    assert_rejected(&rules, b"{}\xff", Code::InvalidUnicode, "");
    assert_rejected(&rules, b"{\"d\":\"\xc3", Code::InvalidUnicode, "d");
    accepted(
        &rules,
        r#"{"d":"\ud83d\ude00","u":"\ud83d\ude00","\ud83d\ude00":"\u0000"}"#,
    );
    accepted(&rules, "{\"d\":\"\u{10ffff}\u{fffe}\u{85}\u{7f}\"}");
}

#[test]
fn depth_is_counted_and_never_recursed_into() {
    let rules =
        of_fields(r#""d":{"type":"string"},"n":{"type":"object","properties":{"d":{"type":"string"}}}"#);
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    // The root is one level.
    for value in [nested(255), objects(255)] {
        accepted(&rules, format!("{{\"u\":{value}}}"));
        assert_rejected(&rules, format!("{{\"d\":{value}}}"), Code::Type, "d");
    }
    accepted(&rules, format!("{{\"n\":{{\"u\":{}}}}}", nested(254)));
    assert_rejected(
        &rules,
        format!("{{\"n\":{{\"u\":{}}}}}", nested(255)),
        Code::TooDeep,
        "n",
    );
    for value in [
        nested(256),
        objects(256),
        nested(1_000_000),
        objects(1_000_000),
        "[".repeat(1_000_000),
        "{\"a\":".repeat(1_000_000),
    ] {
        for (payload, field) in in_both(value.as_bytes()) {
            assert_rejected(&rules, &payload, Code::TooDeep, field);
        }
    }
    assert_rejected(&rules, "[".repeat(1_000_000), Code::TooDeep, "");
    // Wide is not deep.
    accepted(&rules, format!("{{\"u\":[{}[]]}}", "[],".repeat(1_000)));
}

#[test]
fn a_record_that_is_too_large_is_not_read() {
    let rules = DecodeRules {
        record_bytes_max: 20,
        ..of_fields(r#""d":{"type":"string"}"#)
    };
    accepted(&rules, r#"{"d":"01234567890"}"#.replace('0', ""));
    let exactly = format!(r#"{{"d":"{}"}}"#, "x".repeat(12));
    assert_eq!(exactly.len(), 20);
    accepted(&rules, &exactly);
    assert_rejected(&rules, format!("{exactly} "), Code::TooLarge, "");
    assert_rejected(&rules, vec![0xff; 21], Code::TooLarge, "");
}

#[test]
fn small_items_of_many_columns_do_not_multiply_without_end() {
    let fields: Vec<String> = (0..100)
        .map(|index| format!(r#""f{index}":{{"type":"integer"}}"#))
        .collect();
    let rules = of_fields(&format!(
        r#""a":{{"type":"array","items":{{"type":"object","properties":{{{}}}}}}}"#,
        fields.join(",")
    ));
    let payload = |items: usize| format!("{{\"a\":[{}{{}}]}}", "{},".repeat(items - 1));
    let cells = RECORD_BYTES_MAX_DEFAULT / 2;
    accepted(&rules, payload(cells / 100));
    assert_rejected(&rules, payload(cells / 100 + 1), Code::TooLarge, "a");
    let integers = of_fields(r#""a":{"type":"array","items":{"type":"integer"}}"#);
    let most = format!("{{\"a\":[{}1]}}", "1,".repeat((RECORD_BYTES_MAX_DEFAULT - 9) / 2));
    assert!(most.len() <= RECORD_BYTES_MAX_DEFAULT && most.len() > RECORD_BYTES_MAX_DEFAULT - 4);
    accepted(&integers, most);
}

#[test]
fn numbers_beyond_their_column_are_out_of_range_and_skipped_elsewhere() {
    let rules = of_fields(r#""i":{"type":"integer"},"n":{"type":"number"}"#);
    for value in [
        "9223372036854775808",
        "-9223372036854775809",
        "1e19",
        "1e400",
        "123456789012345678901234567890",
        "92233720368547758080e-1",
    ] {
        assert_rejected(&rules, format!("{{\"i\":{value}}}"), Code::OutOfRange, "i");
        accepted(&rules, format!("{{\"u\":{value},\"v\":[{value}]}}"));
    }
    for value in [
        "1e309",
        "-1e400",
        "1e99999999999999999999",
        &format!("1{}", "0".repeat(400)),
    ] {
        assert_rejected(&rules, format!("{{\"n\":{value}}}"), Code::OutOfRange, "n");
        accepted(&rules, format!("{{\"u\":{value}}}"));
    }
    let batch = accepted(&rules, r#"{"i":-9223372036854775808,"n":1e-400}"#);
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), i64::MIN);
    assert_eq!(batch.column(1).as_primitive::<Float64Type>().value(0), 0.0);
}

#[test]
fn an_integer_may_be_written_with_a_point_or_an_exponent() {
    let rules = of_fields(r#""i":{"type":"integer"}"#);
    for (text, value) in [
        ("1.0", 1),
        ("1e2", 100),
        ("-2.50E1", -25),
        ("0e5", 0),
        ("-0", 0),
        ("9223372036854775807", i64::MAX),
        ("9.223372036854775807e18", i64::MAX),
        ("999999999999999999", 999_999_999_999_999_999),
        ("1000000000000000000", 1_000_000_000_000_000_000),
    ] {
        let batch = accepted(&rules, format!("{{\"i\":{text}}}"));
        assert_eq!(
            batch.column(0).as_primitive::<Int64Type>().value(0),
            value,
            "{text}"
        );
    }
    for text in ["1.5", "1e-1", "123e-2", "0.1e0"] {
        assert_rejected(&rules, format!("{{\"i\":{text}}}"), Code::Type, "i");
    }
}

#[test]
fn numbers_land_as_the_nearest_double() {
    let rules = of_fields(r#""n":{"type":"number"}"#);
    for text in [
        "0.1",
        "1e22",
        "1.7976931348623157e308",
        "5e-324",
        "2.2250738585072011e-308",
        "9007199254740993",
        "123456789.125",
        "-0.0",
        "-0",
        "0.1234567890123456789012345678901234567890",
        "1e-10",
        "3",
    ] {
        let batch = accepted(&rules, format!("{{\"n\":{text}}}"));
        let expected: f64 = text.parse().expect("a number");
        assert_eq!(
            batch.column(0).as_primitive::<Float64Type>().value(0).to_bits(),
            expected.to_bits(),
            "{text}"
        );
    }
}

#[test]
fn a_declared_field_twice_is_rejected_and_an_undeclared_one_is_not() {
    let rules =
        of_fields(r#""d":{"type":"integer"},"n":{"type":"object","properties":{"d":{"type":"integer"}}}"#);
    assert_rejected(&rules, r#"{"d":1,"d":1}"#, Code::DuplicateField, "d");
    assert_rejected(&rules, r#"{"d":1,"\u0064":1}"#, Code::DuplicateField, "d");
    assert_rejected(
        &rules,
        r#"{"n":{"d":1,"u":1,"d":2}}"#,
        Code::DuplicateField,
        "n.d",
    );
    accepted(&rules, r#"{"u":1,"u":2,"d":1,"n":{"u":1,"u":1}}"#);
}

#[test]
fn undeclared_fields_are_counted_by_name_and_kept_where_the_topic_says_so() {
    let properties = r#""d":{"type":"integer"}"#;
    let rules = DecodeRules {
        extra: true,
        ..of_fields(properties)
    };
    let mut rows = EventRows::new(&rules);
    let mut decoder = Decoder::new(&rules);
    for payload in [
        r#"{"u": [1, {"x":1.50}] ,"d":1,"\u0076":"\u00e9","u":2}"#,
        r#"{"d":2}"#,
        r#"{"w":1,"d":"x"}"#,
        r#"{"é":null}"#,
    ] {
        let _ = decoder.decode(payload.as_bytes(), &meta(Some(NOON)), &mut rows);
    }
    let batch = rows.finish().batch;
    let extra = batch
        .column_by_name(EXTRA_COLUMN)
        .expect("the column")
        .as_string::<i32>();
    let kept: Vec<Option<&str>> = extra.iter().collect();
    assert_eq!(
        kept,
        [
            Some(r#"{"u":[1, {"x":1.50}],"\u0076":"\u00e9","u":2}"#),
            None,
            Some(r#"{"é":null}"#)
        ]
    );
    for text in kept.into_iter().flatten() {
        serde_json::from_str::<serde_json::Value>(text).expect("what is kept is JSON");
    }
    let counts = decoder.take_undeclared();
    let mut by_name: Vec<(&str, u64)> = counts.by_name().collect();
    by_name.sort_unstable();
    assert_eq!(by_name, [("u", 2), ("v", 1), ("w", 1), ("é", 1)]);
    assert!(decoder.undeclared().is_empty());

    let closed = rules_closed(properties);
    assert_rejected(&closed, r#"{"d":1,"u":[}"#, Code::AdditionalProperties, "u");
    assert_eq!(arrow_schema(&closed).fields().len(), 4);
}

fn rules_closed(properties: &str) -> DecodeRules {
    rules(&format!(
        r#"{{"type":"object","additionalProperties":false,"properties":{{{properties}}}}}"#
    ))
}

#[test]
fn names_of_undeclared_fields_take_bounded_memory() {
    let rules = of_fields("");
    let mut rows = EventRows::new(&rules);
    let mut decoder = Decoder::new(&rules);
    for index in 0..1_500 {
        let payload = format!("{{\"{index}{}\":1}}", "x".repeat(5_000));
        decoder
            .decode(payload.as_bytes(), &meta(None), &mut rows)
            .expect("accepted");
    }
    assert_eq!(
        decoder.undeclared().by_name().count(),
        UndeclaredFields::NAMES_MAX
    );
    assert_eq!(decoder.undeclared().others(), 500);
    assert!(
        decoder
            .undeclared()
            .by_name()
            .all(|(name, _)| name.chars().count() <= 81)
    );
}

#[test]
fn null_and_absent_are_told_apart_where_the_schema_does() {
    let rules = rules(
        r#"{"type":"object","properties":{"optional":{"type":"string"},"nullable":{"type":["string","null"]},"both":{"type":["string","null"]},"strict":{"type":"string"}},"required":["nullable","strict"]}"#,
    );
    accepted(&rules, r#"{"nullable":null,"strict":"a"}"#);
    let batch = accepted(&rules, r#"{"strict":"","both":null,"nullable":null}"#);
    let nulls: Vec<bool> = (0..4).map(|index| batch.column(index).is_null(0)).collect();
    assert_eq!(nulls, [true, true, true, false]);
    let nullable: Vec<bool> = arrow_schema(&rules)
        .fields()
        .iter()
        .take(4)
        .map(|field| field.is_nullable())
        .collect();
    assert_eq!(nullable, [true, true, true, false]);
    assert_rejected(
        &rules,
        r#"{"optional":null,"nullable":null,"strict":"a"}"#,
        Code::Type,
        "optional",
    );
    assert_rejected(&rules, r#"{"strict":"a"}"#, Code::Required, "nullable");
    assert_rejected(&rules, r#"{"nullable":null,"strict":null}"#, Code::Type, "strict");
    assert_rejected(&rules, r#"{"nullable":null}"#, Code::Required, "strict");
}

#[test]
fn every_keyword_has_its_code() {
    for (subschema, good, bad, code) in [
        (r#"{"type":"integer"}"#, "1", "\"1\"", Code::Type),
        (r#"{"type":"integer"}"#, "1", "true", Code::Type),
        (r#"{"type":"string"}"#, "\"\"", "1", Code::Type),
        (r#"{"type":"boolean"}"#, "false", "0", Code::Type),
        (r#"{"type":"boolean"}"#, "true", "\"true\"", Code::Type),
        (r#"{"type":"number"}"#, "1", "\"1\"", Code::Type),
        (r#"{"type":["integer","null"]}"#, "null", "1.5", Code::Type),
        (r#"{"enum":["a","b"]}"#, "\"b\"", "\"c\"", Code::Enum),
        (r#"{"enum":["é"]}"#, "\"\\u00e9\"", "\"e\"", Code::Enum),
        (r#"{"enum":[1,2]}"#, "2.0", "3", Code::Enum),
        (r#"{"enum":[1.5,2]}"#, "2", "1", Code::Enum),
        (
            r#"{"type":["string","null"],"enum":["a"]}"#,
            "\"a\"",
            "null",
            Code::Enum,
        ),
        // Without a type it is the list that fails.
        (r#"{"enum":["a"]}"#, "\"a\"", "5", Code::Enum),
        (r#"{"enum":["a"]}"#, "\"a\"", "null", Code::Enum),
        (r#"{"const":1}"#, "1", "1.5", Code::Const),
        (r#"{"const":1}"#, "1", "[1]", Code::Const),
        (r#"{"type":"string","enum":["a"]}"#, "\"a\"", "5", Code::Type),
        (r#"{"const":"a"}"#, "\"a\"", "\"A\"", Code::Const),
        (r#"{"const":true}"#, "true", "false", Code::Const),
        (r#"{"const":0.5}"#, "5e-1", "0.50001", Code::Const),
        (r#"{"type":"integer","minimum":3}"#, "3", "2", Code::Minimum),
        (r#"{"type":"integer","minimum":2.5}"#, "3", "2", Code::Minimum),
        (r#"{"type":"integer","maximum":3}"#, "3", "4", Code::Maximum),
        (
            r#"{"type":"integer","exclusiveMinimum":3}"#,
            "4",
            "3",
            Code::ExclusiveMinimum,
        ),
        (
            r#"{"type":"integer","exclusiveMaximum":3}"#,
            "2",
            "3",
            Code::ExclusiveMaximum,
        ),
        (
            r#"{"type":"integer","multipleOf":3}"#,
            "-9",
            "4",
            Code::MultipleOf,
        ),
        (
            r#"{"type":"integer","multipleOf":2.5}"#,
            "5",
            "6",
            Code::MultipleOf,
        ),
        (r#"{"type":"number","minimum":0.5}"#, "0.5", "0.4", Code::Minimum),
        (r#"{"type":"number","maximum":0.5}"#, "0.5", "0.6", Code::Maximum),
        (
            r#"{"type":"number","exclusiveMinimum":0.5}"#,
            "0.6",
            "0.5",
            Code::ExclusiveMinimum,
        ),
        (
            r#"{"type":"number","exclusiveMaximum":0.5}"#,
            "0.4",
            "0.5",
            Code::ExclusiveMaximum,
        ),
        (
            r#"{"type":"number","multipleOf":0.1}"#,
            "0.3",
            "0.35",
            Code::MultipleOf,
        ),
        (
            r#"{"type":"string","minLength":2}"#,
            "\"éé\"",
            "\"é\"",
            Code::MinLength,
        ),
        (
            r#"{"type":"string","minLength":2}"#,
            "\"\\ud83d\\ude00a\"",
            "\"\\ud83d\\ude00\"",
            Code::MinLength,
        ),
        (
            r#"{"type":"string","maxLength":2}"#,
            "\"éé\"",
            "\"abc\"",
            Code::MaxLength,
        ),
        (
            r#"{"type":"string","pattern":"b"}"#,
            "\"abc\"",
            "\"ac\"",
            Code::Pattern,
        ),
        (
            r#"{"type":"string","pattern":"^a\\nb$"}"#,
            "\"a\\nb\"",
            "\"anb\"",
            Code::Pattern,
        ),
        (
            r#"{"type":"string","format":"date-time"}"#,
            "\"2026-11-21T01:02:03\"",
            "\"2026-11-21\"",
            Code::Format,
        ),
        (
            r#"{"type":"string","format":"date"}"#,
            "\"2026-11-21\"",
            "\"2026-11-31\"",
            Code::Format,
        ),
        (
            r#"{"type":"string","format":"uuid"}"#,
            "\"2eb8aa08-aa98-11ea-b4aa-73b441d16380\"",
            "\"x\"",
            Code::Format,
        ),
        (
            r#"{"type":"string","format":"date","minLength":11}"#,
            "",
            "\"2026-11-21\"",
            Code::MinLength,
        ),
        (
            r#"{"type":"string","format":"date-time","pattern":"Z$"}"#,
            "\"2026-11-21T01:02:03Z\"",
            "\"2026-11-21T01:02:03\"",
            Code::Pattern,
        ),
        (
            r#"{"type":"array","items":{"type":"integer"},"minItems":1}"#,
            "[1]",
            "[]",
            Code::MinItems,
        ),
        (
            r#"{"type":"array","items":{"type":"integer"},"maxItems":1}"#,
            "[1]",
            "[1,2]",
            Code::MaxItems,
        ),
        (
            r#"{"type":"array","items":{"type":"integer"},"uniqueItems":true}"#,
            "[1,2]",
            "[1,2,1.0]",
            Code::UniqueItems,
        ),
        (
            r#"{"type":"array","items":{"type":["number","null"]},"uniqueItems":true}"#,
            "[0,null]",
            "[0,-0.0]",
            Code::UniqueItems,
        ),
        (
            r#"{"type":"array","items":{"type":["boolean","null"]},"uniqueItems":true}"#,
            "[true,null,false]",
            "[null,true,null]",
            Code::UniqueItems,
        ),
        (
            r#"{"type":"array","items":{"type":"string"},"uniqueItems":true}"#,
            "[\"a\",\"b\"]",
            "[\"a\",\"\\u0061\"]",
            Code::UniqueItems,
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"}},"minProperties":1}"#,
            "{\"u\":1}",
            "{}",
            Code::MinProperties,
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"}},"maxProperties":1}"#,
            "{\"a\":1}",
            "{\"a\":1,\"u\":1}",
            Code::MaxProperties,
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}"#,
            "{\"a\":1}",
            "{\"u\":1}",
            Code::AdditionalProperties,
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#,
            "{\"a\":1}",
            "{\"u\":1}",
            Code::Required,
        ),
    ] {
        let rules = of_fields(&format!(r#""f":{subschema}"#));
        if !good.is_empty() {
            accepted(&rules, format!("{{\"f\":{good}}}"));
        }
        let violation = violation(&rules, format!("{{\"f\":{bad}}}"));
        assert_eq!(violation.code, code, "{subschema} {bad}: {violation}");
        assert!(violation.field.starts_with('f'), "{violation}");
        assert!(
            !violation.expected.is_empty() && !violation.found.is_empty(),
            "{violation}"
        );
    }
}

#[test]
fn the_first_violation_in_the_records_order_is_the_one_reported() {
    let rules = rules(
        r#"{"type":"object","properties":{"a":{"type":"integer","minimum":3},"b":{"type":"string","minLength":2},"c":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}},"required":["a"]}"#,
    );
    assert_rejected(&rules, r#"{"b":"","a":1}"#, Code::MinLength, "b");
    assert_rejected(&rules, r#"{"a":1,"b":""}"#, Code::Minimum, "a");
    assert_rejected(&rules, r#"{"b":"","a":"#, Code::MinLength, "b");
    assert_rejected(&rules, r#"{"b":"abc","a":NaN,"c":{}}"#, Code::MalformedJson, "a");
    assert_rejected(&rules, r#"{"c":{},"b":""}"#, Code::Required, "c.x");
    // A value is judged when it has been read whole, and only what follows says that it was.
    for cut in [
        r#"{"b":"" x"#,
        r#"{"b":"""#,
        r#"{"b":""]"#,
        r#"{"b":1"#,
        r#"{"b":12e4f"#,
    ] {
        assert_rejected(&rules, cut, Code::MalformedJson, "b");
    }
    for cut in [
        r#"{"a":1"#,
        r#"{"a":0x10}"#,
        r#"{"a":1_000}"#,
        r#"{"a":1.5.5}"#,
        r#"{"a":true1}"#,
    ] {
        assert_rejected(&rules, cut, Code::MalformedJson, "a");
    }
    assert_rejected(&rules, r#"{"c":{"x":1}} x"#, Code::Required, "a");
    assert_rejected(&rules, b"{\"a\":1,\"b\":\"\xff\"}", Code::Minimum, "a");
    assert_rejected(&rules, r#"{"a":[1,nul]}"#, Code::MalformedJson, "a");
}

#[test]
fn violations_name_their_place_and_what_was_found() {
    let rules = of_fields(
        r#""o":{"type":"object","properties":{"l":{"type":"array","items":{"type":"object","properties":{"n":{"type":"array","items":{"type":"integer","maximum":9}}}}}}}"#,
    );
    let found = violation(&rules, r#"{"o":{"l":[{},{"n":[1,2,10]}]}}"#);
    assert_eq!(
        found.to_string(),
        "maximum: o.l[1].n[2]: expected at most 9, found 10"
    );
    let found = violation(&rules, r#"{"o":{"l":[{},{"n":{"a": 1}}]}}"#);
    assert_eq!(
        found.to_string(),
        r#"type: o.l[1].n: expected an array, found {"a": 1}"#
    );
    let long = violation(&rules, format!(r#"{{"o":"{}"}}"#, "é".repeat(10_000)));
    assert_eq!(long.found, format!("\"{}…", "é".repeat(79)));
    let open = violation(&rules, r#"{"o":{"l":[{},{"n":[1 2]}]}}"#);
    assert_eq!(
        open.to_string(),
        "malformed_json: o.l[1].n: expected ',' or ']', found 2]}]}}, at byte 22"
    );
}

#[test]
fn the_event_time_is_held_against_kafkas_timestamp_only() {
    let schema = r#"{"type":"object","properties":{"at":{"type":"string","format":"date-time"},"n":{"type":"integer"}},"required":["at","n"]}"#;
    let mut rules = rules(schema);
    rules.event_time = rules.schema.event_time_of("at", None).expect("an event time");
    let payload = r#"{"at":"2026-11-21T12:00:00Z","n":1795262400123}"#.as_bytes();
    let hour = rules.future_micros_max;
    let batch = verdict_at(&rules, payload, Some(NOON - hour)).expect("accepted");
    assert_eq!(batch.event_times_micros, [NOON]);
    let violation = verdict_at(&rules, payload, Some(NOON - hour - 1)).expect_err("in the future");
    assert_eq!(
        (violation.code, violation.field.as_str()),
        (Code::EventTimeInFuture, "at")
    );
    verdict_at(&rules, payload, None).expect("nothing to be held against");
    verdict_at(&rules, payload, Some(i64::MAX)).expect("late");

    rules.event_time = rules
        .schema
        .event_time_of("n", Some(EventTimeUnit::Millis))
        .expect("an event time");
    let batch = verdict_at(&rules, payload, Some(NOON)).expect("accepted");
    assert_eq!(batch.event_times_micros, [NOON + 123_000]);
    for beyond in ["9223372036854775807", "-62167219200001", "253402300800000"] {
        let payload = format!(r#"{{"at":"2026-11-21T12:00:00Z","n":{beyond}}}"#);
        let violation = verdict_at(&rules, payload.as_bytes(), None).expect_err(beyond);
        assert_eq!(
            (violation.code, violation.field.as_str()),
            (Code::OutOfRange, "n")
        );
    }

    rules.event_time = EventTime::Kafka;
    let times = |timestamp| {
        verdict_at(&rules, payload, timestamp)
            .expect("accepted")
            .event_times_micros
    };
    assert_eq!(
        (times(Some(NOON)), times(None), times(Some(i64::MAX))),
        (vec![NOON], vec![0], vec![EVENT_TIME_MICROS_MAX])
    );
}

#[test]
fn a_date_time_without_an_offset_is_in_the_topics_time_zone() {
    let mut rules = of_fields(r#""at":{"type":"string","format":"date-time"}"#);
    let micros = |rules: &DecodeRules, text: &str| {
        accepted(rules, format!("{{\"at\":\"{text}\"}}"))
            .column(0)
            .as_primitive::<TimestampMicrosecondType>()
            .value(0)
    };
    assert_eq!(micros(&rules, "2026-11-21T12:00:00"), NOON);
    rules.time_zone_offset_secs = -5 * 3600;
    assert_eq!(micros(&rules, "2026-11-21T07:00:00"), NOON);
    assert_eq!(micros(&rules, "2026-11-21T12:00:00Z"), NOON);
    assert_eq!(micros(&rules, "2026-11-21\\u005412:00:00.0000019Z"), NOON + 1);
}

#[test]
fn nested_objects_and_arrays_land_as_structs_and_lists() {
    let rules = of_fields(
        r#""o":{"type":["object","null"],"properties":{"d":{"type":"string","format":"date"},"b":{"type":"boolean"}},"required":["d"]},
           "l":{"type":"array","items":{"type":["array","null"],"items":{"type":["integer","null"]}}}"#,
    );
    let mut rows = EventRows::new(&rules);
    let mut decoder = Decoder::new(&rules);
    for payload in [
        r#"{"o":{"b":true,"d":"1970-01-02"},"l":[[1,null],[],null]}"#,
        r#"{"o":null,"l":[]}"#,
        r#"{"l":[[1],[2,"x"]],"o":{"d":"1970-01-03"}}"#,
        r#"{"o":{"d":"1970-01-03","b":1}}"#,
        r#"{}"#,
        r#"{"l":[[7]],"o":{"d":"1970-01-04"}}"#,
    ] {
        let _ = decoder.decode(payload.as_bytes(), &meta(None), &mut rows);
    }
    assert!(rows.bytes() > 0);
    let batch = rows.finish().batch;
    assert_eq!(batch.num_rows(), 4);
    let object = batch.column(0).as_struct();
    assert_eq!(
        (0..4).map(|row| object.is_null(row)).collect::<Vec<_>>(),
        [false, true, true, false]
    );
    assert_eq!(
        object.column(0).as_primitive::<Date32Type>().values(),
        &[1, 0, 0, 3]
    );
    assert!(!object.fields()[0].is_nullable() && object.fields()[1].is_nullable());
    assert!(object.column(1).as_boolean().value(0) && object.column(1).is_null(3));
    let list = batch.column(1).as_list::<i32>();
    assert_eq!(list.value_offsets(), &[0, 3, 3, 3, 4]);
    assert_eq!(
        (0..4).map(|row| list.is_null(row)).collect::<Vec<_>>(),
        [false, false, true, false]
    );
    let inner = list.values().as_list::<i32>();
    assert_eq!(inner.value_offsets(), &[0, 2, 2, 2, 3]);
    assert!(inner.is_null(2) && inner.values().is_null(1));
    assert_eq!(inner.values().as_primitive::<Int64Type>().values(), &[1, 0, 7]);
}

#[test]
fn a_rejected_record_leaves_the_rows_as_they_were() {
    let rules = DecodeRules {
        extra: true,
        ..of_fields(
            r#""b":{"type":["boolean","null"]},"s":{"type":"string","maxLength":9},"t":{"type":"string","format":"date-time"},
               "l":{"type":"array","items":{"type":"object","properties":{"x":{"type":"string"},"y":{"type":"number"}}},"maxItems":2},"z":{"type":"integer"}"#,
        )
    };
    let good = r#"{"b":true,"s":"abc","t":"2026-11-21T12:00:00Z","u":1,"l":[{"x":"p"},{"y":1}],"z":4}"#;
    let mut alone = EventRows::new(&rules);
    let mut among = EventRows::new(&rules);
    let mut decoder = Decoder::new(&rules);
    // Every cut of a good record is a bad one, and fails at every place there is.
    for _ in 0..2 {
        for end in 0..good.len() {
            decoder
                .decode(&good.as_bytes()[..end], &meta(None), &mut among)
                .expect_err("cut");
            let mut broken = good.as_bytes().to_vec();
            broken[end] = 0;
            decoder
                .decode(&broken, &meta(None), &mut among)
                .expect_err("broken");
        }
        for rows in [&mut alone, &mut among] {
            decoder.decode(good.as_bytes(), &meta(None), rows).expect("good");
            decoder.decode(b"{}", &meta(None), rows).expect("good");
        }
    }
    assert_eq!(alone.finish().batch, among.finish().batch);
}

#[test]
fn fields_come_in_any_order_and_are_found_among_many() {
    let names: Vec<String> = (0..60).map(|index| format!("f{index}")).collect();
    let properties: Vec<String> = names
        .iter()
        .map(|name| format!(r#""{name}":{{"type":"integer"}}"#))
        .collect();
    let rules = of_fields(&properties.join(","));
    let members: Vec<String> = names
        .iter()
        .enumerate()
        .rev()
        .map(|(index, name)| format!("\"{name}\": {index}"))
        .collect();
    let batch = accepted(&rules, format!("{{{}, \"u\":1}}", members.join(", ")));
    for index in 0..60 {
        assert_eq!(
            batch.column(index).as_primitive::<Int64Type>().value(0),
            index as i64
        );
    }
    // Names that a producer may write otherwise than we would.
    let odd = of_fields(r#""a\"b":{"type":"integer"},"é":{"type":"integer"},"a/b":{"type":"integer"}"#);
    let batch = accepted(&odd, r#"{"a\/b":3,"\u00e9":2,"a\u0022b":1}"#);
    for index in 0..3 {
        assert_eq!(
            batch.column(index).as_primitive::<Int64Type>().value(0),
            index as i64 + 1
        );
    }
}

#[test]
fn every_row_says_which_record_it_came_from() {
    let rules = of_fields("");
    let mut rows = EventRows::new(&rules);
    let mut decoder = Decoder::new(&rules);
    decoder
        .decode(b"{}", &meta(Some(NOON)), &mut rows)
        .expect("accepted");
    decoder.decode(b"{}", &meta(None), &mut rows).expect("accepted");
    let batch = rows.finish().batch;
    let names: Vec<&str> = batch
        .schema_ref()
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, [PARTITION_COLUMN, OFFSET_COLUMN, TIMESTAMP_COLUMN]);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[41, 41]);
    let times = batch.column(2).as_primitive::<TimestampMicrosecondType>();
    assert_eq!((times.value(0), times.is_null(1)), (NOON, true));
}
