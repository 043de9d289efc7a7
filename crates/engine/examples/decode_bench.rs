//! What decoding costs, next to serde_json into a typed struct, on the same records in the same run.
//!
//! `cargo run --release -p eventlake-engine --example decode_bench [RECORDS]`

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::time::Instant;

use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::schema::{DecodeRules, compile};
use eventlake_engine::ingest::decode::{Decoder, EventRows, RecordMeta};

const SCHEMA: &str = include_str!("../../../config/schemas/clicks.schema.json");
/// Rows of one batch: about what a roll's buffers hold before they move on.
const BATCH_ROWS: usize = 8_192;
const ROUNDS: usize = 5;

/// The click as a program would declare it that knows its topic by heart.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "only reading them is measured")]
struct Click<'a> {
    #[serde(borrow)]
    event_type: &'a str,
    user_id: i64,
    item_id: i64,
    #[serde(borrow)]
    timestamp: &'a str,
    #[serde(borrow)]
    page_url: std::borrow::Cow<'a, str>,
    click_duration: f64,
}

fn main() {
    let records: usize = std::env::args()
        .nth(1)
        .map_or(400_000, |text| text.parse().expect("a number of records"));
    let mut rules = DecodeRules::new(compile(SCHEMA).expect("the schema is good"));
    rules.event_time = rules
        .schema
        .event_time_of("timestamp", None)
        .expect("the schema has an event time");
    let clicks: Vec<Vec<u8>> = (0..records).map(|index| click(index).into_bytes()).collect();
    let bytes: usize = clicks.iter().map(Vec::len).sum();
    println!(
        "{records} clicks of {} bytes on average, best of {ROUNDS} rounds, ns a record",
        bytes / records
    );

    let typed = best_of(records, || {
        for click in &clicks {
            black_box(serde_json::from_slice::<Click<'_>>(click).expect("a click"));
        }
    });
    report("serde_json into a struct, nothing checked", typed, typed);
    report("decode and check into columns", decoding(&rules, &clicks), typed);

    let spaced = rewritten(&clicks, |click| {
        click.replace("\":", "\": ").replace(",\"", ", \"")
    });
    report("the same, written with spaces", decoding(&rules, &spaced), typed);
    let reversed = rewritten(&clicks, |click| {
        let inner = click.trim_matches(['{', '}']);
        let members: Vec<&str> = inner.split(",\"").collect();
        let quoted = members
            .iter()
            .rev()
            .map(|member| format!("\"{}", member.trim_start_matches('"')));
        format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
    });
    report(
        "the same, fields in reverse order",
        decoding(&rules, &reversed),
        typed,
    );
    let undeclared = rewritten(&clicks, |click| {
        click.replace('}', r#","session":"a1b2c3d4","tags":["x",{"y":1}]}"#)
    });
    report("with two undeclared fields", decoding(&rules, &undeclared), typed);

    let garbage = [
        (
            "garbage: not JSON",
            rewritten(&clicks, |click| click.replace(':', ";")),
        ),
        (
            "garbage: cut off at the end",
            rewritten(&clicks, |click| click[..click.len() - 1].to_owned()),
        ),
        (
            "garbage: the last field of a wrong type",
            rewritten(&clicks, |click| {
                click.replace("duration\":", "duration\":\"x\",\"u\":")
            }),
        ),
        (
            "garbage: a long text in a wrong place",
            rewritten(&clicks, |click| {
                format!("{{\"user_id\":\"{}\"}}", "é".repeat(click.len() / 2))
            }),
        ),
    ];
    for (name, records) in &garbage {
        report(name, decoding(&rules, records), typed);
    }
}

fn click(index: usize) -> String {
    let (user, item) = (index * 7_919 % 1_000 + 1, index * 104_729 % 500 + 1);
    let (second, millis) = (index / 1_000 % 60, index % 1_000);
    format!(
        r#"{{"event_type":"click","user_id":{user},"item_id":{item},"timestamp":"2026-11-21T01:02:{second:02}.{millis:03}Z","page_url":"https://shop.example.com/item/{item}","click_duration":{}.{:02}}}"#,
        index % 9,
        index % 100
    )
}

fn rewritten(clicks: &[Vec<u8>], rewrite: impl Fn(&str) -> String) -> Vec<Vec<u8>> {
    clicks
        .iter()
        .map(|click| rewrite(std::str::from_utf8(click).expect("UTF-8")).into_bytes())
        .collect()
}

/// Nanoseconds a record, rows moving on as Arrow batches.
fn decoding(rules: &DecodeRules, records: &[Vec<u8>]) -> f64 {
    best_of(records.len(), || {
        let mut decoder = Decoder::new(rules);
        let mut rows = EventRows::new(rules);
        for (index, record) in records.iter().enumerate() {
            let meta = RecordMeta {
                partition: PartitionId(0),
                offset: Offset(index as i64),
                timestamp_micros: Some(1_795_223_000_000_000),
            };
            let _ = black_box(decoder.decode(record, &meta, &mut rows));
            if rows.len() == BATCH_ROWS {
                black_box(std::mem::replace(&mut rows, EventRows::new(rules)).finish());
            }
        }
        black_box(rows.finish());
    })
}

fn best_of(records: usize, mut run: impl FnMut()) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_nanos() as f64 / records as f64
        })
        .fold(f64::INFINITY, f64::min)
}

fn report(name: &str, nanos: f64, baseline: f64) {
    println!("{name:<44} {nanos:>7.0}   {:>5.2} x serde_json", nanos / baseline);
}
