//! `eventlake generate`: events of a make-believe shop, to Kafka or to standard output.

use std::collections::HashSet;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eventlake_core::config::{KafkaConfig, parse_duration};
use eventlake_core::names::TopicName;
use eventlake_engine::generate::{self, Kind, Options, Progress, Report};
use eventlake_engine::kafka::client::{CONNECT_TIMEOUT, connect};

use crate::cli::{Exit, Global, output, signals, time, usage};

/// Generate events of a make-believe shop: clicks, views, ratings and tickets
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Generate events of a make-believe shop: users and items of uneven popularity, in sessions; clicks, \
views, ratings with reviews, and tickets in French. They go to the cluster of the configuration, keyed by user, with \
every delivery confirmed; or to standard output. docs/generator.md tells all about them.",
    after_help = "\
Examples:
  eventlake generate --count 10000                        so many to each of the four topics
  eventlake generate --rate 500 --invalid 0.01 --late 0.01     until Ctrl-C
  eventlake generate --topics clicks --count 5 --stdout   show them instead
  eventlake generate --count 1000000 --seed 7 --start 2026-11-01 --span 7d
                                                          every byte repeats

Exit codes:
  0  every record was confirmed by the cluster
  1  a topic is missing on the cluster
  2  wrong usage, or a fault in the configuration
  3  records were not confirmed, or the cluster did not answer"
)]
pub struct Args {
    /// Events a topic; without it they go on until Ctrl-C
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Which events, and to which topic if it has another name: clicks, views, ratings, client_tickets
    #[arg(
        long,
        value_name = "KIND[=TOPIC],...",
        value_delimiter = ',',
        default_value = "clicks,views,ratings,client_tickets"
    )]
    topics: Vec<String>,

    /// Events a second and topic; without it as fast as the cluster takes them
    #[arg(long, value_name = "R")]
    rate: Option<f64>,

    /// The same seed gives the same events; without it each run has its own, and says which
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Spread the event times from here on, with a shop's daily rhythm, instead of generating for now
    #[arg(long, value_name = "TIME", requires_all = ["span", "count"])]
    start: Option<String>,

    /// How long a time they are spread over, such as 24h or 7d
    #[arg(long, value_name = "DURATION", requires = "start")]
    span: Option<String>,

    /// Share of broken records of many kinds, 0.0 to 1.0
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    invalid: f64,

    /// Share of events whose own time is minutes to hours before Kafka's timestamp, 0.0 to 1.0
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    late: f64,

    /// Print the events instead of sending them, one a line
    #[arg(long, conflicts_with_all = ["deliveries", "rate", "brokers"])]
    stdout: bool,

    /// Write one JSON line for each record that the cluster confirmed: topic, partition, offset, payload
    #[arg(long, value_name = "FILE")]
    deliveries: Option<PathBuf>,

    /// The cluster, in place of the configuration's: host:port,...
    #[arg(long, value_name = "BROKERS")]
    brokers: Option<String>,
}

/// # Errors
/// When the arguments contradict each other, the cluster does not answer, or the delivery log cannot be written.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let stop = signals::stop_flag()?;
    let options = options(&args)?;
    if args.stdout {
        return print_events(&options, &stop);
    }
    let kafka = kafka(args.brokers.as_deref(), global)?;
    let cluster = connect(&kafka, CONNECT_TIMEOUT)?;
    let topics = options.topics.iter().map(|(_, topic)| topic.as_str());
    let missing: Vec<&str> = topics
        .filter(|topic| !cluster.topics.contains_key(*topic))
        .collect();
    if !missing.is_empty() {
        output::note(format!(
            "missing on {}: {}\nhint: eventlake topics create --topics {}\n",
            kafka.brokers,
            missing.join(", "),
            missing.join(",")
        ))?;
        return Ok(Exit::Negative);
    }
    if args.seed.is_none() {
        output::note(format!("seed {}\n", options.seed))?;
    }
    let report = produce(&options, &kafka, &stop)?;
    output::note(summary(&report))?;
    Ok(if report.total().failed == 0 {
        Exit::Ok
    } else {
        Exit::Failure
    })
}

/// The configuration's cluster, or the one named on the command line with the configuration's properties. A cluster
/// named there needs no configuration file.
pub(super) fn kafka(brokers: Option<&str>, global: &Global) -> anyhow::Result<KafkaConfig> {
    match brokers {
        Some(brokers) if !global.config.exists() => Ok(KafkaConfig {
            brokers: brokers.to_owned(),
            group: "eventlake".to_owned(),
            properties: Default::default(),
        }),
        Some(brokers) => Ok(KafkaConfig {
            brokers: brokers.to_owned(),
            ..global.load_config()?.kafka
        }),
        None => Ok(global.load_config()?.kafka),
    }
}

fn options(args: &Args) -> anyhow::Result<Options> {
    for (name, share) in [("--invalid", args.invalid), ("--late", args.late)] {
        if !(0.0..=1.0).contains(&share) {
            return Err(usage(format!(
                "{name} {share}: expected a share from 0.0 to 1.0, such as 0.01"
            )));
        }
    }
    if args.invalid + args.late > 1.0 {
        return Err(usage(
            "--invalid and --late: together they are more than 1.0; a record is one or the other",
        ));
    }
    if args.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Err(usage("--rate: expected events a second and topic, more than 0"));
    }
    let spread = match (&args.start, &args.span) {
        (Some(start), Some(span)) => {
            let start = time::parse(start, time::now_micros())
                .map_err(|why| usage(format!("--start {start}: {why}")))?;
            let length = parse_duration(span).map_err(|why| usage(format!("--span {span}: {why}")))?;
            let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
            if length == 0 || start.checked_add(length).is_none_or(|end| end > YEAR_9999) || start < 0 {
                return Err(usage(
                    "--start, --span: expected more than nothing, between 1970 and 9999",
                ));
            }
            Some((start, length))
        }
        _ => None,
    };
    Ok(Options {
        topics: topics(&args.topics)?,
        count: args.count,
        rate: args.rate,
        // Any number will do, and a small one is easier to repeat.
        seed: args
            .seed
            .unwrap_or_else(|| time::now_micros().unsigned_abs() % 1_000_000),
        spread,
        invalid: args.invalid,
        late: args.late,
        deliveries: args.deliveries.clone(),
    })
}

/// 9999-01-01, in microseconds: ISO 8601 has four digits for a year.
const YEAR_9999: i64 = 253_370_764_800_000_000;

fn topics(wanted: &[String]) -> anyhow::Result<Vec<(Kind, String)>> {
    let mut seen = HashSet::new();
    let mut topics = Vec::new();
    for wanted in wanted {
        let (kind, topic) = wanted.split_once('=').unwrap_or((wanted, wanted));
        let known = Kind::ALL.map(Kind::topic).join(", ");
        let kind = Kind::of_topic(kind).ok_or_else(|| {
            usage(format!(
                "--topics {kind}: the generator has no such events; it has {known}"
            ))
        })?;
        TopicName::new(topic).map_err(|error| usage(format!("--topics {wanted}: {error}")))?;
        if !seen.insert(topic) {
            return Err(usage(format!("--topics: {topic} is named twice")));
        }
        topics.push((kind, topic.to_owned()));
    }
    Ok(topics)
}

fn print_events(options: &Options, stop: &AtomicBool) -> anyhow::Result<Exit> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match generate::write_lines(options, &mut out, time::now_micros, stop) {
        Ok(_) => Ok(Exit::Ok),
        // `eventlake generate --stdout | head`
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        Err(error) => Err(anyhow::Error::new(error).context("standard output")),
    }
}

fn produce(options: &Options, kafka: &KafkaConfig, stop: &AtomicBool) -> anyhow::Result<Report> {
    let progress = Arc::new(Progress::new(&options.topics));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| show_progress(options, &progress, stop, &over));
        let report = generate::run(options, kafka, &progress, stop);
        over.store(true, Ordering::Relaxed);
        Ok(report?)
    })
}

/// On a terminal one line, drawn again and again; elsewhere a line every ten seconds.
fn show_progress(options: &Options, progress: &Progress, stop: &AtomicBool, over: &AtomicBool) {
    let terminal = io::stderr().is_terminal();
    let every = if terminal {
        Duration::from_millis(250)
    } else {
        Duration::from_secs(10)
    };
    let started = Instant::now();
    let (mut drawn_at, mut delivered_then) = (started, 0);
    let mut said_stopping = false;
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        if stop.load(Ordering::Relaxed) && !said_stopping {
            said_stopping = true;
            let clear = if terminal { "\r\x1b[K" } else { "" };
            // Progress is a courtesy: when stderr is gone, the work goes on.
            let _ = output::note(format!(
                "{clear}stopping: waiting for the last confirmations (again to stop at once)\n"
            ));
        }
        if drawn_at.elapsed() < every {
            continue;
        }
        let total = progress.total();
        let rate = (total.delivered - delivered_then) as f64 / drawn_at.elapsed().as_secs_f64();
        (drawn_at, delivered_then) = (Instant::now(), total.delivered);
        let of = match options.count {
            Some(count) => format!(" of {}", output::count(count * options.topics.len() as u64)),
            None => String::new(),
        };
        let line = format!(
            "delivered {}{of}, {}/s, failed {}, {} s",
            output::count(total.delivered),
            output::count(rate as u64),
            output::count(total.failed),
            started.elapsed().as_secs()
        );
        let line = if terminal {
            format!("\r\x1b[K{line}")
        } else {
            format!("{line}\n")
        };
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
    if terminal {
        let _ = output::note("\r\x1b[K");
    }
}

fn summary(report: &Report) -> String {
    let total = report.total();
    let mut text = String::new();
    for (topic, counts) in &report.topics {
        text.push_str(&format!(
            "{topic:<16} {:>12} produced, {:>12} delivered, {} failed; {} invalid, {} late\n",
            output::count(counts.produced),
            output::count(counts.delivered),
            output::count(counts.failed),
            output::count(counts.invalid),
            output::count(counts.late),
        ));
    }
    for (reason, records) in &report.failures {
        text.push_str(&format!(
            "failed: {} records: {reason}\n",
            output::count(*records)
        ));
    }
    let secs = report.elapsed.as_secs_f64();
    text.push_str(&format!(
        "{}produced {}, delivered {}, failed {} in {secs:.1} s ({}/s, {})\n",
        if report.stopped { "stopped: " } else { "" },
        output::count(total.produced),
        output::count(total.delivered),
        output::count(total.failed),
        output::count((total.delivered as f64 / secs.max(1e-3)) as u64),
        output::bytes(total.bytes),
    ));
    text
}
