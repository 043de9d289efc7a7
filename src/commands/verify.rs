//! `eventlake verify`: proves from the lake itself that every offset is in exactly one place and nothing was altered.

mod view;

use std::num::NonZero;
use std::thread::available_parallelism;

use eventlake_core::config::TopicConfig;
use eventlake_engine::kafka::client::{CONNECT_TIMEOUT, ConnectError, connect};
use eventlake_engine::maintenance::verify::{self, Request, Tally, TopicReport, Verdict};
use serde::Serialize;

use crate::cli::{Exit, Global, output, time, usage};
use crate::transforms;

/// Prove the lake: no offset lost, none twice, no file altered, missing or too many
///
/// Reads the Parquet files' own _kafka_ columns, not what the writer counted: of each topic, generation and partition every
/// offset must be in exactly one place, as an accepted row, as a rejected row, or named in a commit as tombstone, filtered,
/// absent or lost. Checksums, row counts, footers and schemas must be those of the commits, the commits' own chain must hold,
/// every row must lie in the time partition of its event time, and no file may be in the table that is not live. Changes
/// nothing, and may run beside ingesters: the log is pinned at one commit.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eventlake verify                              everything that has landed
  eventlake verify --table clicks --since 1d    what was committed since yesterday
  eventlake verify --kafka                      compared with Kafka, value by value
  eventlake verify --json | jq -r '.topics[].refutations[] | [.code, .table, .commit, .what] | @tsv'

Exit codes: 0 proven; 1 refuted, or offsets were lost; 2 something could not be checked, or a fault in the configuration.")]
pub struct Args {
    /// Only this table; may be given again
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,

    /// Only what is from then on: offsets of commits made since, files of time partitions that end after it. A time such as
    /// 2026-11-21T01:02:03Z, a date, or how long ago, such as 90m or 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Also read the topics again from Kafka and compare verdicts and values, record by record. It proves the absent offsets,
    /// too, which are otherwise reported as the log claims them. What Kafka has no more is counted as not checkable
    #[arg(long)]
    kafka: bool,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// The whole answer. The field names are a public format.
#[derive(Debug, Serialize)]
struct Report {
    verdict: Verdict,
    kafka_checked: bool,
    since: Option<String>,
    /// Over all topics.
    offsets: Tally,
    refutations: u64,
    topics: Vec<TopicReport>,
}

pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let config = global.load_config()?;
    let now = time::now_micros();
    let since = args
        .since
        .as_deref()
        .map(|text| time::parse(text, now).map_err(|fault| usage(format!("--since: {fault}"))))
        .transpose()?;
    let topics = chosen(&config.topics, &args.tables)?;
    let threads = available_parallelism().map_or(1, NonZero::get);
    let progress = view::Bar::new();
    // Asked once: each topic would wait as long for nobody, and what the lake alone proves is worth having.
    let away = args
        .kafka
        .then(|| connect(&config.kafka, CONNECT_TIMEOUT).err())
        .flatten();
    let mut reports = Vec::new();
    let transforms = transforms::of(&config);
    for topic in topics {
        let request = Request {
            lake: &config.lake,
            topic,
            rules: &transforms.rules_of(topic),
            since_micros: since,
            kafka: (args.kafka && away.is_none()).then_some(&config.kafka),
            progress: &progress,
            threads,
        };
        progress.begin(topic.table.as_str());
        let report = verify::verify(&request);
        reports.push(match &away {
            Some(error) => not_compared(report, error),
            None => report,
        });
        progress.end();
    }
    let report = Report::of(reports, since);
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(view::to_text(&report))?;
    }
    Ok(match report.verdict {
        Verdict::Proven => Exit::Ok,
        Verdict::Refuted | Verdict::Lost => Exit::Negative,
        Verdict::Unchecked => Exit::Unchecked,
    })
}

/// A proof that was to be held against Kafka, and could not.
fn not_compared(mut report: TopicReport, error: &ConnectError) -> TopicReport {
    report.unchecked.push(error.to_string().replace('\n', "; "));
    if report.verdict == Verdict::Proven {
        report.verdict = Verdict::Unchecked;
    }
    report
}

/// The topics whose tables were named; all where none was.
fn chosen<'a>(topics: &'a [TopicConfig], tables: &[String]) -> anyhow::Result<Vec<&'a TopicConfig>> {
    for name in tables {
        if !topics.iter().any(|topic| topic.table.as_str() == name) {
            let known: Vec<&str> = topics.iter().map(|topic| topic.table.as_str()).collect();
            return Err(usage(format!(
                "no table {name:?}\nhint: the tables are {}",
                known.join(", ")
            )));
        }
    }
    let is_chosen =
        |topic: &&TopicConfig| tables.is_empty() || tables.iter().any(|name| topic.table.as_str() == name);
    Ok(topics.iter().filter(is_chosen).collect())
}

impl Report {
    fn of(topics: Vec<TopicReport>, since: Option<i64>) -> Report {
        let mut offsets = Tally::default();
        topics.iter().for_each(|topic| offsets.add(topic.offsets));
        let worst = [Verdict::Refuted, Verdict::Lost, Verdict::Unchecked];
        let verdict = worst
            .into_iter()
            .find(|verdict| topics.iter().any(|topic| topic.verdict == *verdict));
        Report {
            verdict: verdict.unwrap_or(Verdict::Proven),
            kafka_checked: !topics.is_empty() && topics.iter().all(compared),
            since: since.and_then(time::rfc3339),
            offsets,
            refutations: topics.iter().flat_map(|topic| topic.refuted.values()).sum(),
            topics,
        }
    }
}

fn compared(topic: &TopicReport) -> bool {
    topic.kafka.as_ref().is_some_and(|kafka| kafka.complete)
}
