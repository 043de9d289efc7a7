//! `eventlake rejected list`: how many records were refused, by table and code, and the newest of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use eventlake_core::commit::GenerationOrdinal;
use eventlake_core::config::Config;
use eventlake_core::names::{TableName, TopicName};
use eventlake_core::position::{Offset, PartitionId};
use eventlake_engine::ingest::rejected::{RejectedFile, RejectedFilter, RejectedRow, scan};
use eventlake_engine::status::rejected_file;
use serde::Serialize;

use super::super::bytes::Bytes;
use super::files::{Table, table_named};
use super::filter::Filter;
use crate::cli::output::{self, Align, count};
use crate::cli::{Exit, time, visible};

/// How wide the list may get, in characters.
const WIDTH: usize = 100;

/// Count rejected records by table and code, and list the newest
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of this table
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,

    #[command(flatten)]
    filter: Filter,

    /// How many to list, the newest first; 0 counts only
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=100_000))]
    limit: u32,

    /// One JSON object: counts and records, with whole payloads
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, config: &Config) -> anyhow::Result<Exit> {
    let listing = listing(args, config, time::now_micros())?;
    if args.json {
        output::print_json(&listing)?;
    } else {
        output::print(listing.to_text())?;
    }
    Ok(Exit::Ok)
}

/// What there is to list.
///
/// # Errors
/// When an argument cannot be, or the lake cannot be read.
pub fn listing(args: &Args, config: &Config, now_micros: i64) -> anyhow::Result<Listing> {
    read(args, config, &args.filter.resolve(now_micros)?)
}

/// What `--json` prints. The field names are a public format.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// How many records passed the filters.
    total: u64,
    counts: Vec<CodeCount>,
    /// The newest of them, the newest first.
    records: Vec<Record>,
}

#[derive(Debug, Serialize)]
struct CodeCount {
    table: TableName,
    code: String,
    records: u64,
}

/// One rejected record, as `list --json` and `show --json` print it.
#[derive(Debug, Serialize)]
pub struct Record {
    pub table: TableName,
    pub topic: TopicName,
    pub generation: GenerationOrdinal,
    pub partition: PartitionId,
    pub offset: Offset,
    /// RFC 3339, UTC.
    pub kafka_timestamp: Option<String>,
    pub code: String,
    pub field: String,
    pub expected: String,
    pub found: String,
    pub key: Option<Bytes>,
    pub payload: Bytes,
    pub headers: Vec<HeaderPair>,
    #[serde(skip)]
    pub timestamp_micros: Option<i64>,
}

#[derive(Debug, Serialize)]
pub struct HeaderPair {
    pub key: String,
    pub value: Option<Bytes>,
}

impl Record {
    pub fn new(table: &Table<'_>, generation: GenerationOrdinal, row: RejectedRow) -> Record {
        let headers = row.headers.into_iter();
        Record {
            table: table.topic.table.clone(),
            topic: table.topic.name.clone(),
            generation,
            partition: row.partition,
            offset: row.offset,
            kafka_timestamp: row.timestamp_micros.and_then(time::rfc3339),
            code: row.code,
            field: row.field,
            expected: row.expected,
            found: row.found,
            key: row.key.map(Bytes),
            payload: Bytes(row.payload),
            headers: headers
                .map(|h| HeaderPair {
                    key: h.key,
                    value: h.value.map(Bytes),
                })
                .collect(),
            timestamp_micros: row.timestamp_micros,
        }
    }
}

fn read(args: &Args, config: &Config, filter: &RejectedFilter) -> anyhow::Result<Listing> {
    let topics = match &args.table {
        Some(name) => vec![table_named(config, name)?],
        None => config.topics.iter().collect(),
    };
    let tables = topics
        .into_iter()
        .map(|topic| Table::read(config, topic))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut of = Vec::new();
    let mut files: Vec<RejectedFile> = Vec::new();
    for table in &tables {
        for file in table.rejected() {
            of.push((table, file.generation));
            files.push(rejected_file(&config.lake, table.topic, file));
        }
    }
    let found = scan(&files, filter, usize::try_from(args.limit).unwrap_or(usize::MAX))?;
    let mut counts: BTreeMap<(TableName, String), u64> = BTreeMap::new();
    for ((table, _), by_code) in of.iter().zip(found.counts) {
        for (code, records) in by_code {
            *counts.entry((table.topic.table.clone(), code)).or_default() += records;
        }
    }
    let record = |(file, row): (usize, RejectedRow)| Record::new(of[file].0, of[file].1, row);
    Ok(Listing {
        total: counts.values().sum(),
        counts: counts
            .into_iter()
            .map(|((table, code), records)| CodeCount { table, code, records })
            .collect(),
        records: found.newest.into_iter().map(record).collect(),
    })
}

impl Listing {
    pub fn to_text(&self) -> String {
        if self.total == 0 {
            return "no rejected records\n".to_owned();
        }
        let mut counts = output::Table::new([
            ("TABLE", Align::Left),
            ("CODE", Align::Left),
            ("RECORDS", Align::Right),
        ]);
        for line in &self.counts {
            counts.row([
                line.table.to_string(),
                visible::line(&line.code),
                count(line.records),
            ]);
        }
        counts.row(["all".to_owned(), String::new(), count(self.total)]);
        let mut text = counts.to_string();
        if self.records.is_empty() {
            return text;
        }
        let listed = count(self.records.len() as u64);
        write!(
            text,
            "\nthe newest {listed} by Kafka's timestamp (UTC):\n\n{}",
            self.table()
        )
        .expect("writing to a String never fails");
        let first = &self.records[0];
        write!(
            text,
            "\neverything about one: eventlake rejected show {} {} {}\n",
            first.table, first.partition, first.offset
        )
        .expect("writing to a String never fails");
        text
    }

    /// The records, their payloads cut to what is left of the width.
    fn table(&self) -> String {
        let mut rows: Vec<[String; 7]> = Vec::with_capacity(self.records.len());
        for record in &self.records {
            rows.push([
                record.timestamp_micros.map_or("-".to_owned(), time::moment),
                record.table.to_string(),
                record.partition.to_string(),
                record.offset.to_string(),
                visible::line(&record.code),
                visible::cut(&visible::line(&record.field), 20),
                visible::preview(&record.payload.0, WIDTH),
            ]);
        }
        let names = [
            "KAFKA TIME",
            "TABLE",
            "PART",
            "OFFSET",
            "CODE",
            "FIELD",
            "PAYLOAD",
        ];
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(names[column].len())
        };
        let taken: usize = (0..6).map(|column| width(column) + 2).sum();
        let left = WIDTH.saturating_sub(taken).max(20);
        let mut table = output::Table::new([
            (names[0], Align::Left),
            (names[1], Align::Left),
            (names[2], Align::Right),
            (names[3], Align::Right),
            (names[4], Align::Left),
            (names[5], Align::Left),
            (names[6], Align::Left),
        ]);
        for mut row in rows {
            row[6] = visible::cut(&row[6], left);
            table.row(row);
        }
        table.to_string()
    }
}
