//! What seldom is, and then matters: nothing but rejected records, hostile text, known lateness, keys with null parts.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::shop::{Shop, Topic};

/// 2026-11-21T12:00:00Z, in milliseconds.
const NOON: i64 = 1_795_262_400_000;
/// How late each record of `late` is, in milliseconds.
const LATE: [i64; 12] = [
    -30_000,
    0,
    500,
    999,
    1_000,
    5_000,
    30_000,
    300_000,
    1_800_000,
    7_200_000,
    172_800_000,
    864_000_000,
];
/// Accepted texts that mean something to a terminal, to Markdown, to HTML.
const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "a|b|c",
    "`</code><b>bold</b>`",
    "[link](http://evil.example) **loud**",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "one\r\n! two: forged\n# three",
    "\u{202e}gpj.exe\u{200b}",
    "東京都渋谷区東京都渋谷区東京都渋谷区東京都渋谷区東京都渋谷区",
];
/// A field that no schema declares, named by the sender.
const HOSTILE_FIELD: &str = "x|`<img src=x>\u{1b}[31m";

fn lake() -> &'static Shop {
    static LAKE: OnceLock<Shop> = OnceLock::new();
    LAKE.get_or_init(|| {
        // Twice, or none would be a frequent one.
        let twice = HOSTILE.iter().chain(&HOSTILE);
        let texts = twice.map(|text| json!({ "text": text }));
        let strange = json!({ "text": "a", HOSTILE_FIELD: 1 });
        let hostile = texts.chain([strange]).map(|event| (event.to_string(), NOON));
        let late = LATE.map(|late| (json!({ "at": NOON - late }).to_string(), NOON));
        let keys = [
            json!({"a": 1, "b": "x"}),
            json!({"a": 1, "b": "x"}),
            json!({"a": 1, "b": null}),
            json!({"a": null, "b": "x"}),
            json!({}),
            json!({"a": 2, "b": "x"}),
        ];
        Shop::of(&[
            Topic {
                name: "refused",
                schema: r#"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}"#,
                settings: "",
                records: ["[1]", "{", r#"{"a": "x"}"#, r#"{"a": "y"}"#]
                    .map(|payload| (payload.to_owned(), NOON))
                    .to_vec(),
            },
            Topic {
                name: "hostile",
                schema: r#"{"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": false}"#,
                settings: "",
                records: hostile.collect(),
            },
            Topic {
                name: "late",
                schema: r#"{"type": "object", "required": ["at"], "properties": {"at": {"type": "integer"}}}"#,
                settings: "event_time = \"at\"\nevent_time_unit = \"ms\"",
                records: late.to_vec(),
            },
            Topic {
                name: "keys",
                schema: r#"{"type": "object", "properties": {"a": {"type": ["integer", "null"]}, "b": {"type": ["string", "null"]}}}"#,
                settings: "",
                records: keys.iter().map(|event| (event.to_string(), NOON)).collect(),
            },
            Topic {
                name: "made",
                schema: r#"{"type": "object", "properties": {"a": {"type": "integer"}, "secret": {"type": "string"}}}"#,
                settings: "transform.select = \"a, CASE WHEN a > 4 THEN 'much' ELSE 'little' END AS size\"\ntransform.where = \"a <> 3\"",
                records: (0..10)
                    .map(|a| (json!({"a": a, "secret": "s"}).to_string(), NOON))
                    .collect(),
            },
        ])
    })
}

fn text(arguments: &[&str]) -> String {
    let ended = lake().run(&[&["report"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

fn table(name: &str, arguments: &[&str]) -> Value {
    let text = text(&[&["--json", "--table", name], arguments].concat());
    let report: Value = serde_json::from_str(&text).expect("one JSON object");
    report["tables"][0].clone()
}

#[test]
fn a_table_of_nothing_but_rejected_records_has_its_reasons() {
    let found = table("refused", &["--key", "refused=a"]);
    assert_eq!((&found["rows"], &found["first"]), (&json!(0), &Value::Null));
    let rejected = &found["rejected"];
    assert_eq!(rejected["rows"], 4);
    let reasons = rejected["reasons"].as_array().expect("reasons");
    let reasons: Vec<Value> = reasons
        .iter()
        .map(|reason| {
            let example = &reason["example"];
            json!([
                reason["code"],
                reason["field"],
                reason["rows"],
                example["offset"],
                example["payload"]
            ])
        })
        .collect();
    // Of two records with one reason, the newest is the example.
    let expected = [
        json!(["type", "a", 2, 3, r#"{"a": "y"}"#]),
        json!(["malformed_json", "", 1, 1, "{"]),
        json!(["type", "", 1, 0, "[1]"]),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(found["duplicates"]["surplus_rows"], 0);
    for format in ["terminal", "markdown", "html"] {
        let text = text(&["--table", "refused", "--format", format]);
        assert!(
            text.contains("malformed_json") && text.contains("100 %"),
            "{text}"
        );
        assert!(!text.contains("NaN"), "{text}");
    }
}

#[test]
fn lateness_is_kafkas_timestamp_minus_the_event_time() {
    let found = table("late", &[]);
    let late = &found["lateness"];
    assert_eq!(
        (&late["rows"], &late["rows_without_kafka_time"]),
        (&json!(12), &json!(0))
    );
    assert_eq!(
        (&late["min_secs"], &late["max_secs"]),
        (&json!(-30.0), &json!(864_000.0))
    );
    let mean = LATE.iter().sum::<i64>() as f64 / 1e3 / LATE.len() as f64;
    assert!((late["mean_secs"].as_f64().expect("a number") - mean).abs() < 1e-3);
    let bands = late["bands"].as_array().expect("bands");
    assert_eq!(bands.len(), 9);
    for band in bands {
        let from = band["from_secs"].as_i64().map_or(i64::MIN, |secs| secs * 1_000);
        let to = band["to_secs"].as_i64().map_or(i64::MAX, |secs| secs * 1_000);
        let rows = LATE.iter().filter(|late| (from..to).contains(late)).count();
        assert_eq!(band["rows"], rows, "{band}");
    }
    assert_eq!(table("keys", &[])["lateness"], Value::Null);
    let hour = table(
        "late",
        &[
            "--from",
            "2026-11-21T11:00:00Z",
            "--to",
            "2026-11-21T12:00:00.001Z",
        ],
    );
    let within = LATE.iter().filter(|late| (0..=3_600_000).contains(*late)).count();
    assert_eq!(
        hour["rows"], within,
        "integers of milliseconds have a period, too"
    );
}

#[test]
fn rows_whose_key_has_a_null_part_are_counted_apart() {
    let found = &table("keys", &["--key", "keys=a,b"])["duplicates"];
    let expected = json!({
        "key": ["a", "b"], "rows_without_key": 3, "keys": 2, "repeated_keys": 1, "surplus_rows": 1,
        "most": [{"key": [1, "x"], "rows": 2}]
    });
    assert_eq!(*found, expected);
    let columns = table("keys", &[])["columns"].clone();
    assert_eq!(
        (&columns[0]["nulls"], &columns[1]["nulls"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn hostile_text_is_whole_in_json() {
    let found = table("hostile", &["--top", "20"]);
    let top = found["columns"][0]["top"].as_array().expect("values");
    for text in HOSTILE {
        assert!(top.iter().any(|top| top["value"] == text), "{text:?} in {top:?}");
    }
    let reason = &found["rejected"]["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["field"]),
        (&json!("additionalProperties"), &json!(HOSTILE_FIELD))
    );
}

#[test]
fn hostile_text_moves_no_terminal_and_forges_no_line() {
    let text = text(&["--table", "hostile", "--top", "20", "--key", "hostile=text"]);
    assert!(text.contains("\\x1b[2J"), "{text}");
    let moving = |character: char| {
        character != '\n' && character.is_control() || "\u{202e}\u{200b}".contains(character)
    };
    assert!(!text.contains(moving), "{text:?}");
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("! two") || line.starts_with("# three")),
        "{text}"
    );
    for line in text.lines() {
        let columns: usize = line
            .chars()
            .map(|character| 1 + usize::from(('\u{2e80}'..'\u{a000}').contains(&character)))
            .sum();
        assert!(columns <= 80, "{columns}: {line}");
    }
}

#[test]
fn hostile_text_is_no_markup_in_html() {
    let page = text(&[
        "--table",
        "hostile",
        "--top",
        "20",
        "--key",
        "hostile=text",
        "--format",
        "html",
    ]);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    let allowed = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "nav",
        "section",
        "h1",
        "h2",
        "h3",
        "p",
        "a",
        "ul",
        "li",
        "dl",
        "div",
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "code",
        "pre",
        "small",
        "time",
        "details",
        "summary",
        "figure",
        "figcaption",
        "svg",
        "rect",
        "text",
        "line",
    ];
    for tag in page.split('<').skip(1) {
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let is_ours = allowed.contains(&name.as_str()) || tag.starts_with("!doctype html>");
        assert!(is_ours, "<{tag}");
        // The title of a bar is text in it; an event handler would be an attribute.
        assert!(
            !tag.split('>').next().expect("a part").contains("onerror"),
            "<{tag}"
        );
    }
}

#[test]
fn hostile_text_is_no_markup_in_markdown() {
    let text = text(&[
        "--table",
        "hostile",
        "--top",
        "20",
        "--key",
        "hostile=text",
        "--format",
        "markdown",
    ]);
    assert!(text.contains("`<script>alert(1)</script>`"), "{text}");
    let mut cells = None;
    for line in text.lines().filter(|line| !line.starts_with("```")) {
        // What stands in code means nothing; the rest is ours.
        let ours: String = line.split('`').step_by(2).collect();
        assert_eq!(line.matches('`').count() % 2, 0, "{line}");
        let ours = ours.replace("<code>", "").replace("</code>", "");
        for markup in ["<", "](", "**", "# three", "\u{1b}", "! two"] {
            assert!(!ours.contains(markup), "{markup} in {line}");
        }
        let bars = line.matches('|').count();
        match (line.starts_with('|'), cells) {
            (true, Some(cells)) => assert_eq!(bars, cells, "{line}"),
            (true, None) => cells = Some(bars),
            (false, _) => cells = None,
        }
    }
}

#[test]
fn columns_are_those_that_a_transform_makes() {
    let found = table("made", &["--key", "made=size"]);
    assert_eq!(found["rows"], 9);
    let columns = found["columns"].as_array().expect("columns");
    let names: Vec<&Value> = columns.iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["a", "size"]);
    let top = json!([{"value": "much", "rows": 5}, {"value": "little", "rows": 4}]);
    assert_eq!(columns[1]["top"], top);
    assert_eq!(found["duplicates"]["surplus_rows"], 7);
}
