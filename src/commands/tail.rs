//! `eventlake tail`: records as they arrive, each with the verdict that the daemon would give it.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use eventlake_core::config::{Config, TopicConfig};
use eventlake_core::violation::{Verdict, Violation};
use eventlake_engine::ingest::{Delivery, Intake, RowRules, SourceRecord};
use eventlake_engine::tail::{Tail, TailFrom};
use eventlake_query::{Condition, QueryError};
use serde::Serialize;

use super::bytes::Bytes;
use crate::cli::output::{self, count};
use crate::cli::{Exit, Global, signals, time, usage, visible};
use crate::transforms;

/// For what librdkafka holds, over all topics.
const QUEUE_BYTES: u64 = 128 << 20;
/// The longest one topic is waited for while others may have something.
const POLL_WAIT: Duration = Duration::from_millis(200);
/// Lines are printed at the latest when so many bytes have come together.
const PRINTED_BYTES: usize = 64 << 10;
/// How much of a payload a line shows, in characters.
const PREVIEW: usize = 160;

/// Show records as they arrive, each with the daemon's verdict on it
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Show records as they arrive, each with the verdict that the daemon gives it under the configuration's schemas and transforms. It reads \
beside the ingester's group: it takes nothing from it, commits nothing, and needs no running daemon.",
    after_help = "\
Examples:
  eventlake tail                                  what arrives from now on, in all configured topics
  eventlake tail --topic clicks --last 20         the newest 20 and what follows
  eventlake tail --where \"priority = 'critique'\"   only accepted events of which this holds
  eventlake tail --rejected --from 10m            what was refused in the last ten minutes, and what will be
  eventlake tail --from earliest --until-end --json | jq .violation.code

Exit codes:
  0  stopped by Ctrl-C, or all was shown that was asked for
  3  the cluster did not answer, or records were deleted before they were read"
)]
pub struct Args {
    /// Only these topics of the configuration
    #[arg(long, value_name = "TOPIC,...", value_delimiter = ',')]
    topic: Vec<String>,

    /// Where to begin: latest, earliest, a time, or how long ago
    #[arg(long, value_name = "WHERE", default_value = "latest")]
    from: String,

    /// Begin with about the newest N records of each topic, as many of each partition
    #[arg(long, value_name = "N", conflicts_with = "from", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,

    /// Only records that are rejected
    #[arg(long)]
    rejected: bool,

    /// Only records that are accepted
    #[arg(long, conflicts_with = "rejected")]
    accepted: bool,

    /// Only accepted events of which this SQL condition holds, on the columns of the topic's table
    #[arg(long = "where", value_name = "SQL", conflicts_with_all = ["rejected"])]
    condition: Option<String>,

    /// Stop after N records were shown
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Stop where the topics end now
    #[arg(long)]
    until_end: bool,

    /// Print one JSON object a record, with its whole payload
    #[arg(long)]
    json: bool,
}

/// # Errors
/// When the cluster does not answer, or a topic cannot be read.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let config = global.load_config()?;
    let from = from(&args)?;
    let topics = topics(&args, &config)?;
    let stop = signals::stop_flag()?;
    let memory = QUEUE_BYTES / topics.len() as u64;
    let transforms = transforms::of(&config);
    let judge =
        |topic: &&TopicConfig| Judge::new(topic, &transforms.rules_of(topic), args.condition.as_deref());
    // What is wrong with the condition is said before anybody connects.
    let judges: Vec<Judge> = topics.iter().map(judge).collect::<anyhow::Result<_>>()?;
    let tail = |topic: &&TopicConfig| Tail::open(&config.kafka, &topic.name, from, memory);
    let tails: Vec<Tail> = topics.iter().map(tail).collect::<Result<_, _>>()?;
    let mut judges: Vec<(Tail, Judge)> = tails.into_iter().zip(judges).collect();
    let mut shown = Printout {
        args: &args,
        records: 0,
        out: String::new(),
        failure: None,
    };
    let wait = POLL_WAIT / topics.len() as u32;
    while !stop.load(Relaxed) && !shown.is_enough() {
        for (tail, judge) in &mut judges {
            let topic = tail.topic().clone();
            tail.poll(wait, |record| shown.show(topic.as_str(), record, judge))?;
        }
        match shown.failure.take() {
            Some(failure) => return Err(failure),
            None => shown.print()?,
        }
        if args.until_end && judges.iter().all(|(tail, _)| tail.is_past_its_start()) {
            break;
        }
    }
    if !args.json && std::io::stderr().is_terminal() {
        output::note(summary(&judges))?;
    }
    Ok(Exit::Ok)
}

fn from(args: &Args) -> anyhow::Result<TailFrom> {
    if let Some(records) = args.last {
        return Ok(TailFrom::Newest(records));
    }
    match args.from.as_str() {
        "latest" => Ok(TailFrom::Latest),
        "earliest" => Ok(TailFrom::Earliest),
        text => match time::parse(text, time::now_micros()) {
            Ok(micros) => Ok(TailFrom::Time { micros }),
            Err(reason) => Err(usage(format!("--from: {reason}; or latest, or earliest"))),
        },
    }
}

fn topics<'c>(args: &Args, config: &'c Config) -> anyhow::Result<Vec<&'c TopicConfig>> {
    let known = || {
        let names: Vec<&str> = config.topics.iter().map(|topic| topic.name.as_str()).collect();
        names.join(", ")
    };
    if config.topics.is_empty() {
        return Err(usage("the configuration names no topics"));
    }
    if args.topic.is_empty() {
        return Ok(config.topics.iter().collect());
    }
    let named = |name: &String| {
        let found = config.topics.iter().find(|topic| topic.name.as_str() == name);
        found.ok_or_else(|| {
            usage(format!(
                "--topic: {name} is not in the configuration; it has {}",
                known()
            ))
        })
    };
    args.topic.iter().map(named).collect()
}

/// Gives one topic's records their verdicts, and keeps nothing of them.
struct Judge {
    intake: Intake,
    condition: Option<Condition>,
    tally: BTreeMap<&'static str, u64>,
}

enum Shown {
    /// What becomes of a record with a payload.
    Verdict(Verdict),
    /// Accepted, and the condition does not hold of it.
    PassedOver,
    Tombstone,
}

impl Shown {
    fn as_str(&self) -> &'static str {
        match self {
            Shown::Verdict(Verdict::Accepted) | Shown::PassedOver => "accepted",
            Shown::Verdict(Verdict::Filtered) => "filtered",
            Shown::Verdict(Verdict::Rejected(_)) => "rejected",
            Shown::Tombstone => "tombstone",
        }
    }
}

impl Judge {
    fn new(topic: &TopicConfig, rules: &RowRules, condition: Option<&str>) -> anyhow::Result<Judge> {
        let compile = |sql| {
            Condition::compile(sql, &rules.schema())
                .map_err(|fault| usage(format!("--where, for topic {}: {fault}", topic.name)))
        };
        Ok(Judge {
            intake: Intake::new(rules),
            condition: condition.map(compile).transpose()?,
            tally: BTreeMap::new(),
        })
    }

    /// # Errors
    /// When the condition cannot be worked out for an accepted event.
    fn look_at(&mut self, record: &SourceRecord<'_>) -> Result<Shown, QueryError> {
        let shown = match Delivery::of(record) {
            None => Shown::Tombstone,
            Some(delivery) => Shown::Verdict(self.verdict(&delivery)),
        };
        *self.tally.entry(shown.as_str()).or_default() += 1;
        match (&self.condition, shown) {
            (Some(condition), Shown::Verdict(Verdict::Accepted)) => {
                // The rows are this one alone: each call takes them away.
                match condition.holds(&self.intake.take_rows().batch)?.true_count() {
                    0 => Ok(Shown::PassedOver),
                    _ => Ok(Shown::Verdict(Verdict::Accepted)),
                }
            }
            (_, shown) => Ok(shown),
        }
    }

    fn verdict(&mut self, delivery: &Delivery<'_>) -> Verdict {
        const ROWS_MAX: usize = 1_024;
        const ROWS_BYTES_MAX: usize = 4 << 20;
        if self.intake.len() >= ROWS_MAX || self.intake.bytes() > ROWS_BYTES_MAX {
            let _rows = self.intake.take_rows();
        }
        let mut own = None;
        self.intake.take(delivery, |_, verdict| own = Some(verdict));
        self.intake.settle(|_, verdict| own = Some(verdict));
        own.expect("once it is settled a record has its verdict")
    }
}

/// What goes to standard output.
struct Printout<'a> {
    args: &'a Args,
    records: u64,
    /// What is not printed yet.
    out: String,
    failure: Option<anyhow::Error>,
}

impl Printout<'_> {
    fn is_enough(&self) -> bool {
        self.args.count.is_some_and(|count| self.records >= count)
    }

    fn show(&mut self, topic: &str, record: &SourceRecord<'_>, judge: &mut Judge) {
        if self.is_enough() || self.failure.is_some() {
            return;
        }
        let shown = match judge.look_at(record) {
            Ok(shown) => shown,
            Err(error) => {
                let place = format!("{topic}/{}@{}", record.partition(), record.offset());
                self.failure = Some(anyhow::anyhow!("--where cannot be told of {place}: {error}"));
                return;
            }
        };
        let accepted_alone = self.args.accepted || self.args.condition.is_some();
        let is_wanted = match shown {
            Shown::Verdict(Verdict::Accepted) => !self.args.rejected,
            Shown::PassedOver => false,
            Shown::Verdict(Verdict::Rejected(_)) => !accepted_alone,
            Shown::Verdict(Verdict::Filtered) | Shown::Tombstone => !accepted_alone && !self.args.rejected,
        };
        if !is_wanted {
            return;
        }
        self.records += 1;
        if self.args.json {
            let line = serde_json::to_string(&Line::new(topic, record, &shown));
            self.out
                .push_str(&visible::json(&line.expect("plain data with text keys")));
            self.out.push('\n');
        } else {
            self.out.push_str(&text(topic, record, &shown));
        }
        if self.out.len() >= PRINTED_BYTES {
            self.failure = self.print().err();
        }
    }

    fn print(&mut self) -> anyhow::Result<()> {
        output::print_bytes(std::mem::take(&mut self.out).as_bytes())
    }
}

#[derive(Serialize)]
struct Line<'r> {
    topic: &'r str,
    partition: i32,
    offset: i64,
    timestamp: Option<String>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    violation: Option<&'r Violation>,
    key: Option<Bytes>,
    payload: Option<Bytes>,
}

impl<'r> Line<'r> {
    fn new(topic: &'r str, record: &SourceRecord<'_>, shown: &'r Shown) -> Line<'r> {
        Line {
            topic,
            partition: record.partition().0,
            offset: record.offset().0,
            timestamp: record.timestamp_micros().and_then(time::rfc3339),
            verdict: shown.as_str(),
            violation: match shown {
                Shown::Verdict(Verdict::Rejected(violation)) => Some(violation),
                _ => None,
            },
            key: record.key().map(|key| Bytes(key.to_vec())),
            payload: record.payload().map(|payload| Bytes(payload.to_vec())),
        }
    }
}

/// One line: where the record is, when it came, the verdict, and the start of the payload.
fn text(topic: &str, record: &SourceRecord<'_>, shown: &Shown) -> String {
    let place = format!("{topic}/{}@{}", record.partition(), record.offset());
    let when = record.timestamp_micros().map_or("-".to_owned(), time::moment);
    let payload = visible::preview(record.payload().unwrap_or_default(), PREVIEW);
    let said = match shown {
        Shown::Verdict(Verdict::Accepted) | Shown::PassedOver => format!("ok         {payload}"),
        Shown::Verdict(Verdict::Filtered) => format!("filtered   {payload}"),
        Shown::Tombstone => "tombstone".to_owned(),
        Shown::Verdict(Verdict::Rejected(violation)) => {
            format!("REJECTED   {}  {payload}", visible::line(&violation.to_string()))
        }
    };
    format!("{place:<28} {when}  {said}\n")
}

fn summary(judges: &[(Tail, Judge)]) -> String {
    let line = |(tail, judge): &(Tail, Judge)| {
        let tally: Vec<String> = judge
            .tally
            .iter()
            .map(|(verdict, times)| format!("{} {verdict}", count(*times)))
            .collect();
        let tally = if tally.is_empty() {
            "nothing arrived".to_owned()
        } else {
            tally.join(", ")
        };
        format!("{}: {tally}\n", tail.topic())
    };
    judges.iter().map(line).collect()
}
