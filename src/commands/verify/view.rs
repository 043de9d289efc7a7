//! How a proof looks to a person: a table of what was found where, each refutation with what to do, a progress bar.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use eventlake_core::position::OffsetRange;
use eventlake_engine::maintenance::verify::{KafkaReport, Progress, Refutation, Stage, Verdict};

use super::Report;
use crate::cli::output::{Align, Table, bytes, count};
use crate::cli::visible;

const REDRAWN: Duration = Duration::from_millis(100);
const BAR_WIDTH: u64 = 30;

pub fn to_text(report: &Report) -> String {
    let mut text = overview(report);
    for topic in &report.topics {
        for refutation in &topic.refutations {
            text.push('\n');
            text.push_str(&refuted(refutation));
        }
        let shown = topic.refutations.len() as u64;
        let all: u64 = topic.refuted.values().sum();
        if all > shown {
            let more = count(all - shown);
            line(
                &mut text,
                &format!("\n{}: {more} more refutations like these", topic.table),
            );
        }
        for unchecked in &topic.unchecked {
            let fault = visible::line(unchecked);
            line(&mut text, &format!("\n{}: not checked: {fault}", topic.table));
        }
    }
    text.push('\n');
    text.push_str(&notes(report));
    line(&mut text, &conclusion(report));
    text
}

fn overview(report: &Report) -> String {
    let mut table = Table::new([
        ("TABLE", Align::Left),
        ("VERDICT", Align::Left),
        ("COMMIT", Align::Right),
        ("OFFSETS", Align::Right),
        ("ACCEPTED", Align::Right),
        ("REJECTED", Align::Right),
        ("TOMBSTONES", Align::Right),
        ("FILTERED", Align::Right),
        ("ABSENT", Align::Right),
        ("LOST", Align::Right),
        ("MISSING", Align::Right),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
    ]);
    for topic in &report.topics {
        let tally = topic.offsets;
        table.row([
            topic.table.to_string(),
            verdict(topic.verdict).to_owned(),
            topic.commit.to_string(),
            count(tally.placed() + tally.missing),
            count(tally.accepted),
            count(tally.rejected),
            count(tally.tombstones),
            count(tally.filtered),
            count(tally.absent),
            count(tally.lost),
            count(tally.missing),
            count(topic.files.checked),
            bytes(topic.files.bytes),
        ]);
    }
    table.to_string()
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proven => "proven",
        Verdict::Refuted => "REFUTED",
        Verdict::Lost => "LOST",
        Verdict::Unchecked => "not checked",
    }
}

fn refuted(refutation: &Refutation) -> String {
    let mut text = String::new();
    let Refutation {
        code,
        table,
        what,
        remedy,
        ..
    } = refutation;
    line(
        &mut text,
        &format!("refuted: {table}: {}: {}", code.as_str(), visible::line(what)),
    );
    let mut place = Vec::new();
    if let Some(commit) = refutation.commit {
        place.push(format!("commit {commit}"));
    }
    if let Some(generation) = refutation.generation {
        place.push(format!("generation {generation}"));
    }
    if let Some(partition) = refutation.partition {
        place.push(format!("partition {partition}"));
    }
    if refutation.offset_count > 0 {
        let ranges: Vec<String> = refutation.offsets.iter().map(OffsetRange::to_string).collect();
        place.push(format!(
            "{} offsets in {}",
            count(refutation.offset_count),
            ranges.join(" ")
        ));
    }
    if !place.is_empty() {
        line(&mut text, &format!("  {}", place.join(", ")));
    }
    for file in &refutation.files {
        line(&mut text, &format!("  {}", visible::line(file)));
    }
    line(&mut text, &format!("  hint: {remedy}"));
    text
}

fn notes(report: &Report) -> String {
    let mut text = String::new();
    for topic in &report.topics {
        let left = &topic.leftovers;
        let mut said = Vec::new();
        for (number, what) in [
            (topic.files.unpublished, "committed files not published yet"),
            (left.staged_files, "staged files that no commit names"),
            (left.replaced_files, "replaced files not exchanged yet"),
            (left.freed_commits, "superfluous commit files"),
            (left.other_files, "other files"),
        ] {
            if number > 0 {
                said.push(format!("{} {what}", count(number)));
            }
        }
        if let Some(kafka) = &topic.kafka {
            line(&mut text, &compared(topic.table.as_str(), kafka));
            for reason in &kafka.reasons {
                line(&mut text, &format!("  {}", visible::line(reason)));
            }
        }
        if !said.is_empty() {
            line(
                &mut text,
                &format!("{}: left over, and no fault: {}", topic.table, said.join(", ")),
            );
        }
    }
    text
}

fn compared(table: &str, kafka: &KafkaReport) -> String {
    let rest = if kafka.complete {
        ""
    } else {
        ", and the rest was not compared"
    };
    format!(
        "{table}: {} records are the same in Kafka, {} absent offsets proven, {} not checkable{rest}",
        count(kafka.compared),
        count(kafka.absent_proven),
        count(kafka.not_checkable)
    )
}

fn conclusion(report: &Report) -> String {
    let absent = report.offsets.absent;
    let claimed = match (report.kafka_checked, absent) {
        (true, _) | (_, 0) => String::new(),
        _ => format!("; {} absent offsets as the log claims", count(absent)),
    };
    match report.verdict {
        Verdict::Proven => format!(
            "proven: each of {} offsets is in exactly one place{claimed}",
            count(report.offsets.placed())
        ),
        Verdict::Refuted if report.refutations == 1 => "refuted: 1 claim does not hold".to_owned(),
        Verdict::Refuted => format!("refuted: {} claims do not hold", count(report.refutations)),
        Verdict::Lost => format!(
            "lost: {} offsets were gone from Kafka before they landed; all else is proven{claimed}",
            count(report.offsets.lost)
        ),
        Verdict::Unchecked => "not proven: something could not be checked".to_owned(),
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String never fails");
}

/// A line on the terminal that says how far the proof has come. Nothing where stderr is no terminal.
pub struct Bar {
    drawn: Option<Mutex<Drawn>>,
}

struct Drawn {
    table: String,
    last: Instant,
}

impl Bar {
    pub fn new() -> Bar {
        let drawn = std::io::stderr().is_terminal().then(|| {
            Mutex::new(Drawn {
                table: String::new(),
                last: Instant::now(),
            })
        });
        Bar { drawn }
    }

    pub fn begin(&self, table: &str) {
        if let Some(drawn) = &self.drawn {
            drawn.lock().unwrap_or_else(PoisonError::into_inner).table = table.to_owned();
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if self.drawn.is_some() {
            // Nothing is left to be said when the terminal is gone.
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Progress for Bar {
    fn step(&self, stage: Stage, done: u64, of: u64) {
        let Some(drawn) = &self.drawn else { return };
        let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.last.elapsed() < REDRAWN && done != of {
            return;
        }
        drawn.last = Instant::now();
        let _ = write!(
            std::io::stderr().lock(),
            "\r\x1b[K{}",
            drawing(&drawn.table, stage, done, of)
        );
    }
}

fn drawing(table: &str, stage: Stage, done: u64, of: u64) -> String {
    let what = match stage {
        Stage::Log => return format!("{table}: reading the log"),
        Stage::Files => "files",
        Stage::Kafka => "offsets against Kafka",
    };
    let filled = (done.min(of) * BAR_WIDTH).checked_div(of).unwrap_or(BAR_WIDTH);
    let bar: String = (0..BAR_WIDTH)
        .map(|at| if at < filled { '#' } else { '.' })
        .collect();
    format!("{table}: [{bar}] {} of {} {what}", count(done), count(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_as_the_work_goes_on() {
        let none = drawing("clicks", Stage::Files, 0, 30);
        assert_eq!(none, format!("clicks: [{}] 0 of 30 files", ".".repeat(30)));
        assert!(drawing("clicks", Stage::Files, 15, 30).contains(&format!(
            "[{}{}]",
            "#".repeat(15),
            ".".repeat(15)
        )));
        assert!(
            drawing("clicks", Stage::Kafka, 2_000, 2_000).ends_with("2,000 of 2,000 offsets against Kafka")
        );
        assert!(drawing("clicks", Stage::Files, 0, 0).contains(&"#".repeat(30)));
    }
}
