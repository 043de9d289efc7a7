//! The report as a person reads it: a table of topics, what was rejected, and what needs attention.

use std::fmt::Write as _;

use eventlake_engine::status::{Lag, RejectedByCode};

use super::report::{Report, TopicReport};
use super::views;
use crate::cli::output::{self, Align, bytes, count};
use crate::cli::{time, visible};

const UNKNOWN: &str = "-";
/// Characters that the codes on a table's line may take.
const CODES_WIDTH: usize = 45;

pub fn to_text(report: &Report, now_micros: i64) -> String {
    let mut text = head(report, now_micros);
    text.push('\n');
    text.push_str(&topics(report, now_micros));
    let tables = tables(report, now_micros);
    if !tables.is_empty() {
        write!(text, "\n{tables}").expect("writing to a String never fails");
    }
    let views = views::table(&report.views, now_micros);
    if !views.is_empty() {
        write!(text, "\n{views}").expect("writing to a String never fails");
    }
    let notes = notes(report);
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        // A reason may go on in further lines (a hint, a list): they stay below it, and stay harmless.
        let lines: Vec<String> = note.lines().map(visible::line).collect();
        writeln!(text, "! {}", lines.join("\n    ")).expect("writing to a String never fails");
    }
    text
}

fn head(report: &Report, now_micros: i64) -> String {
    let kafka = match &report.kafka.why {
        None => format!("kafka {} answers", report.kafka.brokers),
        Some(_) => format!("kafka {} does not answer", report.kafka.brokers),
    };
    let daemon = match (&report.daemon.address, report.daemon.answered) {
        (None, _) => "[http] listen is off".to_owned(),
        (Some(address), false) => format!("no ingester answers at {address}"),
        (Some(address), true) => {
            let since = report
                .daemon
                .started_unix_millis
                .unwrap_or_default()
                .saturating_mul(1000);
            let used = report.daemon.memory_used_bytes.unwrap_or_default();
            let limit = report.daemon.memory_limit_bytes.unwrap_or_default();
            format!(
                "ingester at {address}, started {}, memory {} of {}",
                time::ago(since, now_micros),
                bytes(used),
                bytes(limit)
            )
        }
    };
    format!(
        "{} UTC; {kafka}\n{daemon}\n",
        time::moment(now_micros - now_micros.rem_euclid(1_000_000))
    )
}

fn topics(report: &Report, now_micros: i64) -> String {
    let mut table = output::Table::new([
        ("TOPIC", Align::Left),
        ("STATE", Align::Left),
        ("LAG", Align::Right),
        ("REC/S", Align::Right),
        ("ROWS", Align::Right),
        ("REJECTED", Align::Right),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
        ("LAST COMMIT", Align::Right),
    ]);
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    for topic in &report.topics {
        let lake = topic.lake.as_ref();
        let never = lake.is_none() && topic.lake_fault.is_none();
        table.row([
            topic.topic.to_string(),
            if topic.state == "no_daemon" {
                UNKNOWN.to_owned()
            } else {
                topic.state.to_owned()
            },
            or_unknown(topic.lag_records.map(count)),
            or_unknown(topic.records_per_sec.map(|rate| count(rate.round() as u64))),
            or_unknown(lake.map(|lake| count(lake.accepted.rows))),
            or_unknown(lake.map(|lake| count(lake.rejected.rows))),
            or_unknown(lake.map(|lake| count(lake.accepted.files + lake.rejected.files))),
            or_unknown(lake.map(|lake| bytes(lake.accepted.bytes + lake.rejected.bytes))),
            if never {
                "never".to_owned()
            } else {
                or_unknown(last_commit(topic, now_micros))
            },
        ]);
    }
    table.to_string()
}

fn last_commit(topic: &TopicReport, now_micros: i64) -> Option<String> {
    let lake = topic.lake.as_ref()?;
    let number = format!("#{}", lake.last_commit_number);
    Some(match lake.last_commit_unix_millis {
        Some(millis) => format!("{number} {}", time::ago(millis.saturating_mul(1000), now_micros)),
        None => number,
    })
}

/// A line for each table that has landed something: how fresh it is, and the commonest reasons of its rejected records.
fn tables(report: &Report, now_micros: i64) -> String {
    let mut table = output::Table::new([
        ("TABLE", Align::Left),
        ("NEWEST EVENT", Align::Left),
        ("REJECTED BECAUSE OF", Align::Left),
    ]);
    for topic in &report.topics {
        let Some(lake) = &topic.lake else { continue };
        let newest = lake
            .newest_event_unix_micros
            .map(|micros| time::ago(micros, now_micros));
        table.row([
            topic.table.to_string(),
            newest.unwrap_or_else(|| UNKNOWN.to_owned()),
            commonest(&topic.rejected_by_code),
        ]);
    }
    if table.is_empty() {
        String::new()
    } else {
        table.to_string()
    }
}

/// The commonest codes first, as many as there is room for; the others are added up.
fn commonest(rejected: &RejectedByCode) -> String {
    let mut codes: Vec<_> = rejected.records.iter().collect();
    codes.sort_by_key(|(_, records)| std::cmp::Reverse(**records));
    let mut named = String::new();
    let mut others = 0;
    for (code, records) in codes {
        let next = format!("{} {}", visible::line(code), count(*records));
        if others > 0 || named.chars().count() + next.chars().count() > CODES_WIDTH {
            others += records;
        } else {
            named.push_str(if named.is_empty() { "" } else { ", " });
            named.push_str(&next);
        }
    }
    if others > 0 {
        write!(named, ", others {}", count(others)).expect("writing to a String never fails");
    }
    if !rejected.complete && !named.is_empty() {
        named.push_str(" (newest files)");
    }
    if named.is_empty() {
        "none".to_owned()
    } else {
        named
    }
}

/// What a person should look at.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &report.kafka.why {
        notes.push(format!("kafka does not answer, so the lag is not known: {why}"));
    }
    if let Some(why) = &report.daemon.why {
        notes.push(format!("the ingester could not be asked: {why}"));
    }
    for topic in &report.topics {
        let name = &topic.topic;
        if let Some(fault) = &topic.lake_fault {
            notes.push(format!("{name}: the lake cannot be read: {fault}"));
        }
        if let Some(why) = &topic.why {
            notes.push(format!("{name} is {}: {why}", topic.state));
        }
        if report.kafka.reachable && topic.broker.is_none() {
            notes.push(format!(
                "{name}: there is no such topic at {}\nhint: `eventlake topics create` creates what the configuration names",
                report.kafka.brokers
            ));
        }
        if let Some(lag) = &topic.lag {
            lag_notes(&mut notes, topic, lag);
        }
        let lost = topic.lake.as_ref().map_or(0, |lake| lake.totals.lost);
        if lost > 0 {
            notes.push(format!("{name}: {} offsets were committed as lost", count(lost)));
        }
    }
    notes.extend(views::notes(&report.views));
    notes
}

fn lag_notes(notes: &mut Vec<String>, topic: &TopicReport, lag: &Lag) {
    let name = &topic.topic;
    if lag.gone > 0 {
        notes.push(format!(
            "{name}: data loss: {} offsets had not landed and Kafka no longer has them",
            count(lag.gone)
        ));
    }
    if !lag.ahead.is_empty() {
        let partitions: Vec<String> = lag.ahead.iter().map(ToString::to_string).collect();
        notes.push(format!(
            "{name}: the checkpoint lies beyond the end of partition {}: is this the right cluster?",
            partitions.join(", ")
        ));
    }
    if lag.recreated {
        notes.push(format!(
            "{name}: the topic was deleted and created again since the last commit; the lag counts from its start"
        ));
    }
}
