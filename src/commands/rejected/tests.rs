//! Rejected records of a real lake, listed and shown, hostile ones too.

use eventlake_core::config::Config;
use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::violation::Code;
use tempfile::TempDir;

use super::files::{Table, table_named};
use super::{list, show};
use crate::commands::test_lake::{Refused, TestLake, config_in};

const NOW: i64 = 1_795_222_800_000_000;
/// A cleared screen, a title, a colour by 8-bit CSI in bytes that are not UTF-8, a forged line.
const HOSTILE: &[u8] = b"\x1b[2J\x1b]0;owned\x07\xff\x9b31m\r\nexit 0\n";

/// A lake of 100 records: offsets 0, 10, 20, ... refused; 50 landed and published, 50 more only committed.
fn lake() -> (TempDir, Config) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_in(folder.path(), "127.0.0.1:1", "off");
    let mut lake = TestLake::start(&config, "id", NOW - 200_000_000);
    for half in [0, 50] {
        let refused: Vec<Refused<'_>> = (half..half + 50)
            .step_by(10)
            .map(|offset| Refused {
                offset,
                payload: if offset == 70 {
                    HOSTILE
                } else {
                    b"{\"a\": 1.50,\"a\":2}"
                },
                code: if offset < 20 {
                    Code::DuplicateField
                } else {
                    Code::MalformedJson
                },
                found: "\x1b[31mred",
            })
            .collect();
        if half == 50 {
            lake.publish();
        }
        lake.land(50, &refused, NOW - 100_000_000 + half * 2_000_000);
    }
    (folder, config)
}

fn list_args(arguments: &[&str]) -> list::Args {
    #[derive(clap::Parser)]
    struct Parser {
        #[command(flatten)]
        args: list::Args,
    }
    let all = std::iter::once(&"list").chain(arguments);
    <Parser as clap::Parser>::try_parse_from(all)
        .expect("arguments")
        .args
}

#[test]
fn the_list_counts_all_and_shows_the_newest_first() {
    let (_folder, config) = lake();
    let listing = list::listing(&list_args(&["--limit", "3"]), &config, NOW).expect("listed");
    let text = listing.to_text();
    assert!(text.starts_with("TABLE  CODE             RECORDS\n"), "{text}");
    assert!(
        text.contains("taps   duplicate_field        2\ntaps   malformed_json         8\n"),
        "{text}"
    );
    assert!(
        text.contains("the newest 3 by Kafka's timestamp (UTC):"),
        "{text}"
    );
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("  taps   ")).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert!(rows[0].contains("  90  ") && rows[2].contains("  70  "), "{text}");
    assert!(rows[2].contains("\\x1b[2J\\x1b]0;owned"), "{text}");
    assert!(text.contains("eventlake rejected show taps 0 90\n"), "{text}");
    assert!(
        text.chars()
            .all(|character| character == '\n' || !character.is_control()),
        "{text:?}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn filters_narrow_counts_and_records_alike() {
    let (_folder, config) = lake();
    let listed = |arguments: &[&str]| {
        let listing = list::listing(&list_args(arguments), &config, NOW).expect("listed");
        serde_json::to_value(&listing).expect("json")
    };
    assert_eq!(listed(&["--code", "duplicate_field"])["total"], 2);
    // Offsets 99 and 90 are NOW and 9 s before; 80 lies 19 s before, 70 29 s.
    assert_eq!(listed(&["--since", "25s"])["total"], 2);
    assert_eq!(
        listed(&["--since", "25s", "--until", "15s"])["records"][0]["offset"],
        80
    );
    assert_eq!(listed(&["--until", "2020-01-01"])["total"], 0);
    let counted = listed(&["--limit", "0"]);
    assert_eq!(
        (
            counted["total"].as_u64(),
            counted["records"].as_array().map(Vec::len)
        ),
        (Some(10), Some(0))
    );
    for wrong in [
        &["--code", "minimun"][..],
        &["--since", "yesterday"],
        &["--table", "clicks"],
        &["--since", "1h", "--until", "2h"],
    ] {
        assert!(
            list::listing(&list_args(wrong), &config, NOW).is_err(),
            "{wrong:?}"
        );
    }
}

#[test]
fn one_record_is_shown_whole_and_harmless() {
    let (_folder, config) = lake();
    let table = Table::read(&config, table_named(&config, "taps").expect("a table")).expect("a log");
    let at = |offset| show::read(None, &config, &table, PartitionId(0), Offset(offset)).expect("read");

    let hostile = at(70);
    assert_eq!(hostile[0].payload.0, HOSTILE, "--raw writes these bytes");
    let text = show::to_text(&hostile[0], NOW);
    assert!(
        text.chars()
            .all(|character| character == '\n' || !character.is_control()),
        "{text:?}"
    );
    assert!(text.contains("position   partition 0, offset 70\n"), "{text}");
    assert!(
        text.contains("timestamp  2026-11-21 01:39:31 UTC, 29 s ago\n") || text.contains(" UTC, 29 s ago\n")
    );
    assert!(text.contains("found      \\x1b[31mred\n"), "{text}");
    assert!(
        text.contains("headers    trace: \\x1b[2J\\x1b]0;owned\\x07\\xff\\x9b31m\\r\\nexit 0\\n\n"),
        "{text}"
    );
    assert!(
        !text.lines().any(|line| line == "exit 0"),
        "a record forges no line of its own:\n{text}"
    );
    let json = serde_json::to_value(&hostile[0]).expect("json");
    assert!(
        json["payload"]["hex"]
            .as_str()
            .is_some_and(|hex| hex.starts_with("1b5b324a")),
        "{json}"
    );

    let text = show::to_text(&at(20)[0], NOW);
    assert!(
        text.ends_with("payload    17 bytes\n  {\n    \"a\": 1.50,\n    \"a\": 2\n  }\n"),
        "{text}"
    );
}

#[test]
fn a_position_without_a_rejected_record_is_explained() {
    let (_folder, config) = lake();
    let table = Table::read(&config, table_named(&config, "taps").expect("a table")).expect("a log");
    let why = |partition, offset| {
        assert!(
            show::read(None, &config, &table, PartitionId(partition), Offset(offset))
                .expect("read")
                .is_empty()
        );
        show::why_not(&table, PartitionId(partition), Offset(offset))
    };
    assert!(why(0, 71).ends_with("it was accepted, or Kafka has no record there to give"));
    assert!(why(0, 100).ends_with("it has not landed, the next offset to land is 100"));
    assert!(why(5, 0).ends_with("nothing of that partition has landed"));
}
