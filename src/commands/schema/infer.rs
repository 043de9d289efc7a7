//! `eventlake schema infer`: a schema from events in a file, or in a topic.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context as _;
use eventlake_core::names::TopicName;
use eventlake_core::schema::{InferOptions, Inferred, RECORD_BYTES_MAX_DEFAULT, Sample, Unusable};
use eventlake_engine::tail::{Tail, TailFrom};

use super::lines::{self, Line};
use crate::cli::output::{self, count};
use crate::cli::{Exit, Global, signals, usage, visible};
use crate::commands::generate;

/// For what librdkafka holds while a topic is read.
const QUEUE_BYTES: u64 = 128 << 20;
const POLL_WAIT: Duration = Duration::from_millis(200);

/// Infer a schema from a sample of events, out of a file or a topic
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Infer a schema from a sample of events, out of a file or a topic. It declares the type of each field, formats \
(date-time, uuid, email, ...), an enum where there are few values, what is always there as required, and examples. It accepts \
every event of the sample; a field of which that cannot be said is left out, and named with the reason.",
    after_help = "\
Examples:
  eventlake schema infer events.jsonl > config/schemas/orders.schema.json
  eventlake schema infer --topic orders --output config/schemas/orders.schema.json
  eventlake generate --topics clicks --count 1000 --stdout | eventlake schema infer -

Read it before you use it: a sample does not show what is allowed, only what came.

Exit codes:
  0  here is the schema
  1  there was no event to infer from
  2  a file cannot be read, or would be overwritten
  3  the cluster did not answer"
)]
pub struct Args {
    /// Events, one JSON object a line; - for standard input
    #[arg(value_name = "EVENTS.jsonl", required_unless_present = "topic")]
    events: Option<PathBuf>,

    /// A topic of the cluster, in place of a file: its newest records
    #[arg(long, value_name = "TOPIC", conflicts_with = "events")]
    topic: Option<String>,

    /// The cluster, in place of the configuration's: host:port,...
    #[arg(long, value_name = "BROKERS", requires = "topic")]
    brokers: Option<String>,

    /// How many events to look at
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// The schema's title; default: the topic's or the file's name
    #[arg(long)]
    title: Option<String>,

    /// A text field of at most so many values, each seen often, is an enum; 0 for none
    #[arg(long, value_name = "N", default_value_t = 12)]
    enum_max: usize,

    /// Show so many examples of each field; 0 where nobody may see them
    #[arg(long, value_name = "N", default_value_t = 3)]
    examples: usize,

    /// Write the schema to this file, which must not exist, and not to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// # Errors
/// When the events cannot be read, or the schema cannot be written.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let mut gathered = Gathered {
        sample: Sample::new(InferOptions {
            title: title(&args),
            enum_values_max: args.enum_max,
            examples_max: args.examples,
        }),
        unused: BTreeMap::new(),
    };
    match (&args.topic, &args.events) {
        (Some(topic), _) => gathered.read_topic(topic, &args, global)?,
        (None, Some(file)) => gathered.read_file(file, args.records)?,
        (None, None) => unreachable!("one of them is required"),
    }
    output::note(gathered.summary())?;
    if gathered.sample.records() == 0 {
        return Ok(Exit::Negative);
    }
    let inferred = gathered.sample.infer();
    match &args.output {
        None => output::print_bytes(inferred.text.as_bytes())?,
        Some(file) => write_new(file, &inferred.text)?,
    }
    output::note(left_out(&inferred))?;
    if let Some(file) = &args.output {
        output::note(next_step(&args, file, global, &inferred))?;
    }
    Ok(Exit::Ok)
}

fn title(args: &Args) -> String {
    let stem = args.events.as_deref().filter(|file| file.as_os_str() != "-");
    let stem = stem
        .and_then(Path::file_stem)
        .map(|stem| stem.to_string_lossy().into_owned());
    let title = args.title.clone().or_else(|| args.topic.clone()).or(stem);
    title.unwrap_or_else(|| "events".to_owned())
}

/// The sample, and what could not be part of it.
struct Gathered {
    sample: Sample,
    unused: BTreeMap<&'static str, u64>,
}

impl Gathered {
    fn take(&mut self, payload: &[u8]) {
        let taken = if payload.len() > RECORD_BYTES_MAX_DEFAULT {
            Err("too large")
        } else {
            self.sample.take(payload).map_err(Unusable::as_str)
        };
        if let Err(why) = taken {
            *self.unused.entry(why).or_default() += 1;
        }
    }

    fn read(&self) -> u64 {
        self.sample.records() + self.unused.values().sum::<u64>()
    }

    fn read_file(&mut self, file: &Path, records_max: u64) -> anyhow::Result<()> {
        let (mut events, name) = lines::open(file)?;
        let mut line = Line::default();
        while self.read() < records_max
            && line
                .read(&mut events, RECORD_BYTES_MAX_DEFAULT)
                .with_context(|| format!("cannot read {name}"))?
        {
            if line.bytes > RECORD_BYTES_MAX_DEFAULT {
                *self.unused.entry("too large").or_default() += 1;
            } else {
                self.take(&line.kept);
            }
        }
        Ok(())
    }

    fn read_topic(&mut self, topic: &str, args: &Args, global: &Global) -> anyhow::Result<()> {
        let name = TopicName::new(topic).map_err(|fault| usage(format!("--topic: {fault}")))?;
        let kafka = generate::kafka(args.brokers.as_deref(), global)?;
        let stop = signals::stop_flag()?;
        let mut tail = Tail::open(&kafka, &name, TailFrom::Newest(args.records), QUEUE_BYTES)?;
        while !tail.is_past_its_start() && self.read() < args.records && !stop.load(Relaxed) {
            tail.poll(POLL_WAIT, |record| {
                if self.read() >= args.records {
                    return;
                }
                match record.payload() {
                    Some(payload) => self.take(payload),
                    None => *self.unused.entry("tombstones").or_default() += 1,
                }
            })?;
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let used = self.sample.records();
        let mut text = format!(
            "{} {} looked at",
            count(self.read()),
            plural(self.read(), "event")
        );
        if !self.unused.is_empty() {
            let unused: Vec<String> = self
                .unused
                .iter()
                .map(|(why, times)| format!("{} {why}", count(*times)))
                .collect();
            text.push_str(&format!(", {} used ({})", count(used), unused.join(", ")));
        }
        text.push('\n');
        text
    }
}

fn plural(number: u64, word: &str) -> String {
    format!("{word}{}", if number == 1 { "" } else { "s" })
}

/// Writes a file that was not there before: a schema in use is never overwritten.
fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let mut opened = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => usage(format!(
            "{}: is there already\nhint: name another file, or move it away",
            file.display()
        )),
        _ => usage(format!("{}: cannot be written: {error}", file.display())),
    })?;
    opened
        .write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", file.display()))
}

fn left_out(inferred: &Inferred) -> String {
    let line = |left: &eventlake_core::schema::LeftOut| {
        let field = if left.field.is_empty() {
            "(the record)"
        } else {
            &left.field
        };
        visible::line(&format!("not declared: {field}: {}", left.reason)) + "\n"
    };
    inferred.left_out.iter().map(line).collect()
}

/// The lines of TOML that make a topic of it.
fn next_step(args: &Args, file: &Path, global: &Global, inferred: &Inferred) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    // Where it lies in the configuration's folder: paths in the configuration start there.
    let beside = global
        .config
        .parent()
        .and_then(|folder| file.strip_prefix(folder).ok());
    let schema = beside.unwrap_or(file).display().to_string();
    let topic = args.topic.as_deref().unwrap_or("the topic's name");
    let event_time = inferred.event_time.as_deref();
    let event_time = event_time.map_or(String::new(), |field| format!("event_time = {}\n", quoted(field)));
    visible::text(&format!(
        "written to {}; for the configuration:\n\n[[topics]]\nname = {}\nschema = {}\n{event_time}",
        file.display(),
        quoted(topic),
        quoted(&schema),
    ))
    .into_owned()
}
