//! `eventlake schema check`: is a schema right, and what would the daemon say to these events, without any Kafka?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use eventlake_core::config::{self, EventTimeUnit};
use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::schema::{DecodeRules, SchemaFault, compile};
use eventlake_core::violation::{Code, Violation};
use eventlake_engine::ingest::decode::{Decoder, EventRows, RecordMeta, arrow_schema};
use serde_json::json;

use super::lines::{self, Events, Line};
use crate::cli::output::{self, Align, Table, count};
use crate::cli::{Exit, time, usage, visible};

/// Check a schema, and what the daemon would say to each line of events, without any Kafka
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Check a schema, and what the daemon would say to each line of events, without any Kafka. Without \
events the columns are shown that the schema comes to. Each line is a record as Kafka would hold it; an empty line is \
an empty record, which is no JSON.",
    after_help = "\
Examples:
  eventlake schema check config/schemas/clicks.schema.json
  eventlake schema check config/schemas/clicks.schema.json events.jsonl
  eventlake generate --topics clicks --count 100 --stdout | eventlake schema check clicks.schema.json -
  eventlake schema check clicks.schema.json events.jsonl --json | jq 'select(.verdict == \"rejected\")'

Exit codes:
  0  the schema is right, and every line is accepted
  1  lines were rejected
  2  the schema has faults, or a file cannot be read"
)]
pub struct Args {
    /// The JSON Schema file
    #[arg(value_name = "SCHEMA.json")]
    schema: PathBuf,

    /// Events to check, one JSON object a line; - for standard input
    #[arg(value_name = "EVENTS.jsonl")]
    events: Option<PathBuf>,

    /// Print one JSON object a line of events
    #[arg(long)]
    json: bool,

    /// The field that holds the event time, as a topic's event_time in the configuration
    #[arg(long, value_name = "FIELD")]
    event_time: Option<String>,

    /// What an integer event time counts since 1970
    #[arg(long, value_name = "UNIT", requires = "event_time")]
    event_time_unit: Option<Unit>,

    /// Kafka's timestamp, which no event time may lie more than max_future after; without it that is not checked
    #[arg(long, value_name = "TIME", requires = "event_time")]
    kafka_timestamp: Option<String>,

    /// How far an event time may lie after Kafka's timestamp
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = config::parse_duration, requires = "kafka_timestamp")]
    max_future: Duration,

    /// The time zone of a date-time that names none
    #[arg(long, value_name = "OFFSET", default_value = "UTC", value_parser = config::parse_time_zone, allow_hyphen_values = true)]
    time_zone: i32,

    /// The largest record
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = config::parse_size)]
    max_record: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unit {
    S,
    Ms,
    Us,
}

/// # Errors
/// When the schema has faults, or a file cannot be read.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let text = std::fs::read_to_string(&args.schema)
        .map_err(|error| usage(format!("{}: cannot be read: {error}", args.schema.display())))?;
    let schema = match compile(&text) {
        Ok(schema) => schema,
        Err(faults) if args.json => {
            let faults: Vec<_> = faults
                .iter()
                .map(|fault| fault_json(&args.schema, fault))
                .collect();
            output::print_json(&json!({ "ok": false, "faults": faults }))?;
            return Ok(Exit::Usage);
        }
        Err(faults) => return Err(usage(faults_text(&args.schema, &faults))),
    };
    let rules = rules_of(&args, DecodeRules::new(schema))?;
    match &args.events {
        None => show_columns(&rules, args.json),
        Some(file) => {
            let (mut events, name) = lines::open(file)?;
            check_events(&args, &rules, &mut events, &name)
        }
    }
}

fn rules_of(args: &Args, mut rules: DecodeRules) -> anyhow::Result<DecodeRules> {
    rules.record_bytes_max = usize::try_from(args.max_record).unwrap_or(usize::MAX);
    rules.future_micros_max = i64::try_from(args.max_future.as_micros()).unwrap_or(i64::MAX);
    rules.time_zone_offset_secs = args.time_zone;
    if let Some(field) = &args.event_time {
        let unit = args.event_time_unit.map(|unit| match unit {
            Unit::S => EventTimeUnit::Seconds,
            Unit::Ms => EventTimeUnit::Millis,
            Unit::Us => EventTimeUnit::Micros,
        });
        let event_time = rules.schema.event_time_of(field, unit);
        rules.event_time =
            event_time.map_err(|reason| usage(format!("--event-time: {}", hint_below(&reason))))?;
    }
    match rules.fault() {
        Some(reason) => Err(usage(hint_below(&reason))),
        None => Ok(rules),
    }
}

/// A hint at the end of a message goes onto a line of its own, where errors are shown with theirs.
fn hint_below(message: &str) -> String {
    message.replace("; hint: ", "\nhint: ")
}

fn faults_text(file: &Path, faults: &[SchemaFault]) -> String {
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| {
            let line = fault.line.map(|line| format!(":{line}")).unwrap_or_default();
            visible::line(&format!(
                "{}{line}: {}: {}",
                file.display(),
                fault.pointer,
                fault.message
            ))
        })
        .collect();
    let faults = if lines.len() == 1 {
        "a fault".to_owned()
    } else {
        format!("{} faults", lines.len())
    };
    format!("the schema has {faults}\n{}", lines.join("\n"))
}

fn fault_json(file: &Path, fault: &SchemaFault) -> serde_json::Value {
    let SchemaFault {
        pointer,
        line,
        message,
    } = fault;
    json!({ "file": file.display().to_string(), "line": line, "pointer": pointer, "message": message })
}

fn show_columns(rules: &DecodeRules, as_json: bool) -> anyhow::Result<Exit> {
    let schema = arrow_schema(rules);
    if as_json {
        let column = |field: &arrow::datatypes::FieldRef| json!({ "name": field.name(), "type": field.data_type().to_string(), "nullable": field.is_nullable() });
        let columns: Vec<_> = schema.fields().iter().map(column).collect();
        output::print_json(&json!({ "ok": true, "columns": columns }))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new([
        ("COLUMN", Align::Left),
        ("TYPE", Align::Left),
        ("NULLS", Align::Left),
    ]);
    for field in schema.fields() {
        let nulls = if field.is_nullable() { "yes" } else { "no" };
        table.row([
            visible::line(field.name()),
            visible::line(&field.data_type().to_string()),
            nulls.to_owned(),
        ]);
    }
    output::print(format!("{table}ok\n"))?;
    Ok(Exit::Ok)
}

/// What came of the events so far.
#[derive(Default)]
struct Tally {
    accepted: u64,
    rejected: BTreeMap<Code, u64>,
}

fn check_events(args: &Args, rules: &DecodeRules, events: &mut Events, name: &str) -> anyhow::Result<Exit> {
    /// Decoded rows are thrown away this often.
    const ROWS_MAX: usize = 4_096;
    const ROWS_BYTES_MAX: usize = 16 << 20;
    const PRINTED_BYTES: usize = 64 << 10;
    let timestamp = args
        .kafka_timestamp
        .as_deref()
        .map(|text| time::parse(text, time::now_micros()));
    let timestamp_micros = timestamp
        .transpose()
        .map_err(|reason| usage(format!("--kafka-timestamp: {reason}")))?;
    let mut decoder = Decoder::new(rules);
    let mut rows = EventRows::new(rules);
    let mut tally = Tally::default();
    let mut printed = String::new();
    let mut line = Line::default();
    let mut number = 0;
    while line
        .read(events, rules.record_bytes_max)
        .with_context(|| format!("cannot read {name}"))?
    {
        number += 1;
        let meta = RecordMeta {
            partition: PartitionId(0),
            offset: Offset(number - 1),
            timestamp_micros,
        };
        let verdict = match decoder.too_large(line.bytes) {
            Some(violation) => Err(violation),
            None => decoder.decode(&line.kept, &meta, &mut rows),
        };
        tally.count(&verdict);
        push_verdict(&mut printed, number, &verdict, args.json);
        if rows.len() >= ROWS_MAX || rows.bytes() > ROWS_BYTES_MAX {
            rows = EventRows::new(rules);
        }
        // Somebody may be waiting at the other end of a pipe that has nothing more for now.
        if printed.len() >= PRINTED_BYTES || (events.buffer().is_empty() && !printed.is_empty()) {
            output::print(&printed)?;
            printed.clear();
        }
    }
    output::print(&printed)?;
    if !args.json {
        output::note(summary(&tally, &decoder))?;
    }
    Ok(if tally.rejected.is_empty() {
        Exit::Ok
    } else {
        Exit::Negative
    })
}

impl Tally {
    fn count(&mut self, verdict: &Result<(), Violation>) {
        match verdict {
            Ok(()) => self.accepted += 1,
            Err(violation) => *self.rejected.entry(violation.code).or_default() += 1,
        }
    }
}

fn push_verdict(out: &mut String, number: i64, verdict: &Result<(), Violation>, as_json: bool) {
    match (verdict, as_json) {
        (Ok(()), false) => {}
        (Ok(()), true) => out.push_str(&format!("{{\"line\":{number},\"verdict\":\"accepted\"}}\n")),
        (Err(violation), false) => {
            out.push_str(&format!(
                "line {number}: {}\n",
                visible::line(&violation.to_string())
            ));
        }
        (Err(violation), true) => {
            let violation = serde_json::to_string(violation).expect("texts are always JSON");
            let violation = visible::json(&violation);
            out.push_str(&format!(
                "{{\"line\":{number},\"verdict\":\"rejected\",\"violation\":{violation}}}\n"
            ));
        }
    }
}

fn summary(tally: &Tally, decoder: &Decoder) -> String {
    const NAMES_SHOWN: usize = 10;
    let rejected: u64 = tally.rejected.values().sum();
    let lines = tally.accepted + rejected;
    let mut text = format!(
        "{} {}: {} accepted, {} rejected",
        count(lines),
        if lines == 1 { "line" } else { "lines" },
        count(tally.accepted),
        count(rejected)
    );
    if rejected > 0 {
        let mut codes: Vec<(&Code, &u64)> = tally.rejected.iter().collect();
        codes.sort_by_key(|(code, times)| (std::cmp::Reverse(**times), **code));
        let codes: Vec<String> = codes
            .iter()
            .map(|(code, times)| format!("{} {code}", count(**times)))
            .collect();
        text.push_str(&format!(" ({})", codes.join(", ")));
    }
    text.push('\n');
    let mut names: Vec<(&str, u64)> = decoder.undeclared().by_name().collect();
    names.sort_by_key(|(name, times)| (std::cmp::Reverse(*times), *name));
    if !names.is_empty() {
        let mut shown: Vec<String> = names
            .iter()
            .take(NAMES_SHOWN)
            .map(|(name, times)| format!("{} ({})", visible::line(name), count(*times)))
            .collect();
        if names.len() > NAMES_SHOWN {
            shown.push(format!("{} more", count((names.len() - NAMES_SHOWN) as u64)));
        }
        text.push_str(&format!("undeclared fields: {}\n", shown.join(", ")));
    }
    text
}
