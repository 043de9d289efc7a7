//! Texts that people and senders write: times, sizes, names, properties; and showing any of it without harm.

use eventlake_core::config::{parse_duration, parse_size, parse_time_zone};
use eventlake_core::names::{FilePath, TableName, TimePartition, TopicName, number_in, staging_entry};
use eventlake_engine::kafka::property;

// The program has no library to import these from.
#[path = "../../../../src/cli/time.rs"]
#[allow(dead_code, reason = "checked are the parts that read")]
mod time;
#[path = "../../../../src/cli/visible.rs"]
mod visible;

/// Input: which reader, then the text.
pub fn check(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else {
        return;
    };
    match which % 4 {
        0 => check_visible(rest),
        1 => check_times(&String::from_utf8_lossy(rest)),
        2 => check_names(&String::from_utf8_lossy(rest)),
        _ => check_property(&String::from_utf8_lossy(rest)),
    }
}

fn check_visible(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for shown in [
        visible::line(&text),
        visible::bytes(bytes),
        visible::preview(bytes, 20),
    ] {
        assert!(!shown.contains('\n') && is_harmless(&shown), "{shown:?}");
    }
    assert!(visible::preview(bytes, 20).chars().count() <= 20);
    let lines = visible::text(&text);
    assert!(lines.split('\n').all(is_harmless), "{lines:?}");
    let set_in = visible::set_in(&text);
    let mut behind_the_first = set_in.split('\n').skip(1);
    assert!(is_harmless(&set_in.replace('\n', "")) && behind_the_first.all(|line| line.starts_with("    ")));
    let document = visible::document(bytes);
    assert!(document.split('\n').all(is_harmless), "{document:?}");
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        let written = value.to_string();
        let json = visible::json(&written);
        assert!(is_harmless(&json), "{json:?}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("it was JSON");
        assert_eq!(read(&json), read(&written));
    }
}

/// As terminals have it: no control character (escape codes begin with one), no mark of writing direction.
fn is_harmless(text: &str) -> bool {
    !text
        .chars()
        .any(|char| char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

fn check_times(text: &str) {
    const NOW: i64 = 1_795_222_800_000_000;
    if let Ok(micros) = time::parse(text, NOW) {
        let shown = time::moment(micros);
        if let Some(rfc3339) = time::rfc3339(micros) {
            assert_eq!(time::parse(&rfc3339, NOW), Ok(micros), "{text:?} is {shown}");
        }
        let _ = time::ago(micros, NOW);
    }
    let _ = parse_duration(text);
    let _ = parse_size(text);
    if let Ok(secs) = parse_time_zone(text) {
        assert!(secs.abs() < 86_400, "{text:?} is {secs} s");
    }
}

fn check_names(text: &str) {
    if let Ok(path) = FilePath::parse(text) {
        assert_eq!(path.as_str(), text);
        assert_eq!(format!("{}/{}", path.folder().as_str(), path.file_name()), text);
        assert_eq!(
            path.folder().as_str(),
            format!("{}/{}", path.table(), path.time_partition())
        );
        assert!(text.contains(path.topic_id()) && text.contains(&path.stage().to_string()));
        assert!(!text.contains("..") || path.table().contains(".."), "{text}");
        assert!(!text.starts_with('/') && text.is_ascii());
    }
    if let Some(partition) = TimePartition::parse(text) {
        assert_eq!(partition.to_string(), text);
    }
    if let Ok(table) = TableName::new(text) {
        assert_eq!(
            TopicName::new(text).map(|topic| topic.to_string()),
            Ok(table.to_string())
        );
        assert!(!text.contains(['/', '\\', '\0']) && text != "." && text != "..");
    }
    if let Some(number) = number_in(text) {
        assert_eq!(format!("{:020}.json", number.0), text);
    }
    let _ = staging_entry(text);
}

/// A value that librdkafka refuses may be a secret.
fn check_property(text: &str) {
    const SECRET_CHARS_MIN: usize = 6;
    let (name, value) = text.split_once('=').unwrap_or((text, "hunter2"));
    if let Err(reason) = property::check(name, value)
        && value.chars().count() >= SECRET_CHARS_MIN
        && !name.contains(value)
        && property::check(name, "?").is_err_and(|reason| !reason.contains(value))
    {
        assert!(!reason.contains(value), "{name}: {reason}");
    }
}
