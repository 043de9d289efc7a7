//! `eventlake schema check`, run as users run it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const CLICKS: &str = "config/schemas/clicks.schema.json";
const CLICK: &str = r#"{"event_type":"click","user_id":1,"item_id":2,"timestamp":"2026-11-21T01:02:03Z","page_url":"https://a/b","click_duration":1.5}"#;

fn check(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_eventlake"))
        .args(["schema", "check"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that has already ended with an error reads nothing more.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("the program ends")
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn lines(output: &Output) -> Vec<Value> {
    texts(output)
        .1
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
        .collect()
}

#[test]
fn each_line_gets_its_verdict() {
    let wrong = CLICK.replace("\"user_id\":1", "\"user_id\":\"\\u001b[31mx\"");
    let input = [
        CLICK.as_bytes(),
        b"\n",
        wrong.as_bytes(),
        b"\n\n{\"event_type\":\"\xff\"}\r\n",
        CLICK.as_bytes(),
        b"\r\n",
    ]
    .concat();
    let output = check(&[CLICKS, "-", "--json"], &input);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], json!({"line": 1, "verdict": "accepted"}));
    assert_eq!(
        lines[1],
        json!({"line": 2, "verdict": "rejected", "violation": {"code": "type", "field": "user_id", "expected": "an integer", "found": "\"\\u001b[31mx\""}})
    );
    assert_eq!(
        (&lines[2]["line"], &lines[2]["violation"]["code"]),
        (&json!(3), &json!("malformed_json"))
    );
    assert_eq!(lines[3]["violation"]["code"], "invalid_unicode");
    assert_eq!(lines[4], json!({"line": 5, "verdict": "accepted"}));
}

#[test]
fn people_read_the_rejected_lines_and_a_summary() {
    let input = format!(
        "{CLICK}\n{}\n\x1b]0;title\x07\n{CLICK}",
        CLICK.replace("click\"", "clack\",\"ref\":\"x\"")
    );
    let (code, stdout, stderr) = texts(&check(&[CLICKS, "-"], input.as_bytes()));
    assert_eq!(code, Some(1));
    assert_eq!(
        stdout,
        "line 2: const: event_type: expected \"click\", found \"clack\"\n\
         line 3: malformed_json: expected a JSON value, found \\x1b]0;title\\x07, at byte 0\n"
    );
    assert_eq!(
        stderr,
        "4 lines: 2 accepted, 2 rejected (1 malformed_json, 1 const)\n"
    );
    let with_more = CLICK.replace('}', ",\"ref\":\"x\"}");
    let (code, stdout, stderr) = texts(&check(&[CLICKS, "-"], with_more.as_bytes()));
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    assert_eq!(
        stderr,
        "1 line: 1 accepted, 0 rejected\nundeclared fields: ref (1)\n"
    );
}

#[test]
fn a_file_of_events_and_its_last_newline() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.jsonl");
    for (text, records) in [
        (String::new(), 0),
        (format!("{CLICK}\n"), 1),
        (format!("{CLICK}\n\n"), 2),
        ("\n".to_owned(), 1),
    ] {
        std::fs::write(&file, &text).expect("a temporary file");
        let output = check(&[CLICKS, file.to_str().expect("UTF-8"), "--json"], b"");
        assert_eq!(lines(&output).len(), records, "{text:?}");
    }
}

#[test]
fn limits_and_event_time_are_the_daemons() {
    let codes = |arguments: &[&str]| {
        let output = check(&[&[CLICKS, "-", "--json"], arguments].concat(), CLICK.as_bytes());
        lines(&output)
            .iter()
            .map(|line| line["violation"]["code"].as_str().unwrap_or("-").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(&["--max-record", "100B"]), ["too_large"]);
    let at = |timestamp| ["--event-time", "timestamp", "--kafka-timestamp", timestamp];
    assert_eq!(codes(&at("2026-11-21T00:02:03Z")), ["-"]);
    assert_eq!(codes(&at("2026-11-21T00:02:02Z")), ["event_time_in_future"]);
    let later = [&at("2026-11-21T00:02:02Z")[..], &["--max-future", "2h"]].concat();
    assert_eq!(codes(&later), ["-"]);
    for (arguments, said) in [
        (&["--event-time", "when"][..], "no field \"when\""),
        (&["--event-time", "user_id"], "event_time_unit"),
        (&["--max-record", "16"], "a size is a whole number and its unit"),
        (&["--time-zone", "Europe/Paris"], "offset"),
    ] {
        let (code, _, stderr) = texts(&check(&[&[CLICKS, "-"], arguments].concat(), b""));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn a_line_too_large_is_not_held() {
    let mut input = vec![b'x'; 40 << 20];
    input.push(b'\n');
    input.extend_from_slice(CLICK.as_bytes());
    let lines = lines(&check(&[CLICKS, "-", "--json", "--max-record", "1MiB"], &input));
    assert_eq!(lines[0]["violation"]["found"], format!("{} bytes", 40 << 20));
    assert_eq!(lines[1]["verdict"], "accepted");
}

#[test]
fn a_bad_schema_is_said_with_file_line_and_pointer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("bad.schema.json");
    std::fs::write(&file, "{\n  \"type\": \"object\",\n  \"properties\": { \"a\": { \"type\": \"string\", \"formt\": \"date\" } },\n  \"oneOf\": []\n}\n").expect("a temporary file");
    let name = file.to_str().expect("UTF-8");
    let (code, stdout, stderr) = texts(&check(&[name], b""));
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains(&format!("{name}:3: #/properties/a/formt: the keyword \"formt\" is not supported; hint: did you mean \"format\"?\n")), "{stderr}");
    assert!(
        stderr.contains(&format!(
            "{name}:4: #/oneOf: the keyword \"oneOf\" is not supported\n"
        )),
        "{stderr}"
    );
    let output = check(&[name, "-", "--json"], CLICK.as_bytes());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        lines(&output)[0]["faults"][1],
        json!({"file": name, "line": 4, "pointer": "#/oneOf", "message": "the keyword \"oneOf\" is not supported"})
    );
    for arguments in [
        &["no/such.json"][..],
        &[CLICKS, "no/such.jsonl"],
        &["config"],
        &[CLICKS, "config"],
    ] {
        let (code, _, stderr) = texts(&check(arguments, b""));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("cannot be read"), "{stderr}");
    }
}

#[test]
fn every_schema_of_the_project_comes_to_columns() {
    for name in ["clicks", "views", "ratings", "client_tickets"] {
        let (code, stdout, stderr) = texts(&check(&[&format!("config/schemas/{name}.schema.json")], b""));
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert!(
            stdout.contains("_kafka_offset") && stdout.ends_with("\nok\n"),
            "{stdout}"
        );
    }
    let columns = lines(&check(&[CLICKS, "--json"], b"")).remove(0);
    assert_eq!(
        columns["columns"][1],
        json!({"name": "user_id", "type": "Int64", "nullable": false})
    );
}
