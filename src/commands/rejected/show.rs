//! `eventlake rejected show`: everything about one rejected record.

use std::fmt::Write as _;

use eventlake_core::config::Config;
use eventlake_core::position::{Offset, PartitionId};
use eventlake_engine::ingest::rejected::find;
use eventlake_engine::status::rejected_file;

use super::super::bytes::Bytes;
use super::files::{Table, table_named};
use super::list::Record;
use crate::cli::output::{self, count};
use crate::cli::{Exit, time, usage, visible};

/// Print everything about one rejected record: the violation, headers, key and payload
///
/// Control characters, escape codes and marks of writing direction are made visible, so that a hostile record can do
/// nothing to the terminal. With --raw the payload goes to standard output byte for byte.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The table
    table: Option<String>,
    /// The partition
    partition: Option<i32>,
    /// The offset
    offset: Option<i64>,

    /// The table, as an option
    #[arg(long = "table", value_name = "TABLE", conflicts_with = "table")]
    table_option: Option<String>,
    /// The partition, as an option
    #[arg(long = "partition", value_name = "N", conflicts_with = "partition")]
    partition_option: Option<i32>,
    /// The offset, as an option
    #[arg(long = "offset", value_name = "N", conflicts_with = "offset")]
    offset_option: Option<i64>,

    /// Of this generation (a topic that was re-created has its offsets again); default: the newest that has it
    #[arg(long, value_name = "N")]
    generation: Option<u32>,

    /// Write the payload to standard output, byte for byte, and nothing else
    #[arg(long, conflicts_with = "json")]
    raw: bool,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, config: &Config) -> anyhow::Result<Exit> {
    let missing = |what: &str| {
        usage(format!(
            "which {what}?\nhint: eventlake rejected show TABLE PARTITION OFFSET"
        ))
    };
    let name = args
        .table
        .as_ref()
        .or(args.table_option.as_ref())
        .ok_or_else(|| missing("table"))?;
    let partition = args
        .partition
        .or(args.partition_option)
        .ok_or_else(|| missing("partition"))?;
    let offset = args
        .offset
        .or(args.offset_option)
        .ok_or_else(|| missing("offset"))?;
    let (partition, offset) = (PartitionId(partition), Offset(offset));

    let table = Table::read(config, table_named(config, name)?)?;
    let mut found = read(args.generation, config, &table, partition, offset)?;
    let others: Vec<String> = found
        .iter()
        .skip(1)
        .map(|record| record.generation.to_string())
        .collect();
    if found.is_empty() {
        output::note(format_args!("{}\n", why_not(&table, partition, offset)))?;
        return Ok(Exit::Negative);
    }
    let record = found.swap_remove(0);
    if args.raw {
        output::print_bytes(&record.payload.0)?;
    } else if args.json {
        output::print_json(&record)?;
    } else {
        output::print(to_text(&record, time::now_micros()))?;
        if !others.is_empty() {
            let others = others.join(", ");
            output::note(format_args!("also in generation {others}: see --generation\n"))?;
        }
    }
    Ok(Exit::Ok)
}

/// The record at the position, of each generation that has one; the newest generation first.
pub fn read(
    generation: Option<u32>,
    config: &Config,
    table: &Table<'_>,
    partition: PartitionId,
    offset: Offset,
) -> anyhow::Result<Vec<Record>> {
    let mut files: Vec<_> = table
        .rejected()
        .filter(|file| generation.is_none_or(|wanted| file.generation.0 == wanted))
        .filter(|file| {
            let mut covered = file.offsets.iter().filter(|range| range.partition == partition);
            covered.any(|range| range.from <= offset && offset < range.next)
        })
        .collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.generation));
    let to_scan: Vec<_> = files
        .iter()
        .map(|file| rejected_file(&config.lake, table.topic, file))
        .collect();
    let rows = find(&to_scan, partition, offset)?;
    Ok(rows
        .into_iter()
        .map(|(file, row)| Record::new(table, files[file].generation, row))
        .collect())
}

/// What the log says about a position that has no rejected record.
pub fn why_not(table: &Table<'_>, partition: PartitionId, offset: Offset) -> String {
    let name = &table.topic.table;
    let not = format!("no rejected record of table {name} at partition {partition}, offset {offset}");
    let state = table
        .fold
        .generation()
        .and_then(|generation| generation.partitions.get(&partition));
    match state {
        None => format!("{not}: nothing of that partition has landed"),
        Some(state) if offset >= state.next => {
            format!(
                "{not}: it has not landed, the next offset to land is {}",
                state.next
            )
        }
        Some(state) if offset < state.start => format!("{not}: the table starts at offset {}", state.start),
        Some(state) if state.lost.contains(offset) => format!("{not}: it was lost, Kafka no longer had it"),
        Some(_) => format!("{not}: it was accepted, or Kafka has no record there to give"),
    }
}

pub fn to_text(record: &Record, now_micros: i64) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        writeln!(text, "{name:<11}{value}").expect("writing to a String never fails");
    };
    field("table", &format!("{} (topic {})", record.table, record.topic));
    field(
        "position",
        &format!("partition {}, offset {}", record.partition, record.offset),
    );
    field("generation", &record.generation.to_string());
    let time = record.timestamp_micros.map_or("none".to_owned(), |micros| {
        format!("{} UTC, {}", time::moment(micros), time::ago(micros, now_micros))
    });
    field("timestamp", &time);
    field("code", &visible::line(&record.code));
    let whole = if record.field.is_empty() {
        "(the record as a whole)"
    } else {
        &record.field
    };
    field("field", &visible::line(whole));
    field("expected", &visible::line(&record.expected));
    field("found", &visible::line(&record.found));
    match &record.key {
        None => field("key", "none"),
        Some(Bytes(key)) => field("key", &visible::bytes(key)),
    }
    if record.headers.is_empty() {
        field("headers", "none");
    }
    for (index, header) in record.headers.iter().enumerate() {
        let value = header
            .value
            .as_ref()
            .map_or("(no value)".to_owned(), |value| visible::bytes(&value.0));
        let name = if index == 0 { "headers" } else { "" };
        field(name, &format!("{}: {value}", visible::line(&header.key)));
    }
    field(
        "payload",
        &format!("{} bytes", count(record.payload.0.len() as u64)),
    );
    for line in visible::document(&record.payload.0).split('\n') {
        writeln!(text, "  {line}").expect("writing to a String never fails");
    }
    text
}
