//! `eventlake demo`: the whole thing in one process, with a built-in broker, a generator and a live view.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use eventlake_core::commit::FileSet;
use eventlake_core::config::{Config, KafkaConfig, OutputConfig, Properties, ViewConfig, parse_duration};
use eventlake_engine::generate::{self, Kind, Options, Progress};
use eventlake_engine::ingest::{self, IngestError, IngestOptions};
use eventlake_engine::kafka::builtin::BuiltinBroker;
use eventlake_engine::lake::read_fold;
use eventlake_engine::telemetry::{Telemetry, TopicState};

use crate::cli::output::{self, Align, Table};
use crate::cli::{Exit, Global, signals, time, usage, visible};
use crate::commands::ingest::telemetry;
use crate::server;
use crate::transforms;
use crate::views::Views;

/// Between two pictures on a terminal, and elsewhere.
const REDRAW: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
const TICK: Duration = Duration::from_millis(100);
/// What the built-in broker keeps of a partition it may forget before it is read, far above this rate.
const RATE_MAX: f64 = 20_000.0;

/// Shows everything at work, without a Kafka: generates events and lands them as Parquet, until Ctrl-C.
///
/// Starts a broker inside this process, creates the topics of the configuration, generates events for them (some
/// invalid, some late), and ingests them with the configured rolls into the configured lake. Run it again and it goes
/// on beside what is there, as a new generation of each topic.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eventlake demo                         until Ctrl-C
  eventlake demo --for 60s --rate 2000   a minute, 2000 events a second and topic")]
pub struct Args {
    /// How long, such as 60s or 5m; without it until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Events a second and topic
    #[arg(long, value_name = "EVENTS", default_value_t = 250.0)]
    pub rate: f64,

    /// The same seed makes the same events; by default every run is another
    #[arg(long)]
    pub seed: Option<u64>,

    /// Share of broken events, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    pub invalid: f64,

    /// Share of late events, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    pub late: f64,
}

/// # Errors
/// When the broker, the generator or the ingester cannot run.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let mut config = global.load_config()?;
    let options = options(&args, &config)?;
    let stop = signals::stop_flag()?;
    let broker = start_broker(&mut config)?;
    let telemetry = telemetry(&config);
    let server = server::serve(config.http.listen, Arc::clone(&telemetry))?;
    output::print(greeting(
        &config,
        &broker,
        server.address().map(|address| address.to_string()),
    ))?;
    let started = Instant::now();
    let generator = Generator::start(options, config.kafka.clone());
    let ingester = Ingester::start(config.clone(), Arc::clone(&telemetry))?;

    let over = || {
        args.duration
            .is_some_and(|duration| started.elapsed() >= duration)
    };
    let every = if std::io::stdout().is_terminal() {
        REDRAW.0
    } else {
        REDRAW.1
    };
    let (mut drawn, mut over_lines) = (started, 0);
    while !stop.load(Relaxed) && !over() && !generator.thread.is_finished() && !ingester.thread.is_finished()
    {
        std::thread::sleep(TICK);
        if drawn.elapsed() >= every {
            drawn = Instant::now();
            draw(
                &picture(&telemetry, &generator.progress, started.elapsed()),
                &mut over_lines,
            )?;
        }
    }
    generator.end()?;
    output::print("\nStopping: the last events are rolled and committed ...\n")?;
    ingester.end()?;
    server.stop();
    output::print(farewell(&config)?)?;
    Ok(Exit::Ok)
}

fn options(args: &Args, config: &Config) -> anyhow::Result<Options> {
    if !(args.rate > 0.0 && args.rate <= RATE_MAX) {
        return Err(usage(format!(
            "--rate must be above 0 and at most {RATE_MAX}, which the built-in broker can keep"
        )));
    }
    for (name, share) in [("--invalid", args.invalid), ("--late", args.late)] {
        if !(0.0..=1.0).contains(&share) {
            return Err(usage(format!("{name} is a share from 0 to 1, such as 0.01")));
        }
    }
    let known = config
        .topics
        .iter()
        .filter_map(|topic| Kind::of_topic(topic.name.as_str()).map(|kind| (kind, topic.name.to_string())));
    let topics: Vec<(Kind, String)> = known.collect();
    if topics.is_empty() {
        return Err(usage(
            "the generator makes clicks, views, ratings and client_tickets; [[topics]] names none of them",
        ));
    }
    let seed = args
        .seed
        .unwrap_or_else(|| u64::try_from(time::now_micros()).unwrap_or(0));
    Ok(Options {
        topics,
        rate: Some(args.rate),
        invalid: args.invalid,
        late: args.late,
        ..Options::new(seed)
    })
}

/// Starts the broker and points the configuration at it.
fn start_broker(config: &mut Config) -> anyhow::Result<BuiltinBroker> {
    let topics: Vec<(&str, i32)> = config
        .topics
        .iter()
        .map(|topic| (topic.name.as_str(), topic.creation.partitions))
        .collect();
    let broker = BuiltinBroker::start(&topics)?;
    config.kafka = KafkaConfig {
        brokers: broker.brokers(),
        group: config.kafka.group.clone(),
        properties: Properties::default(),
    };
    Ok(broker)
}

struct Generator {
    thread: JoinHandle<Result<generate::Report, generate::GenerateError>>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
}

impl Generator {
    fn start(options: Options, kafka: KafkaConfig) -> Generator {
        let progress = Arc::new(Progress::new(&options.topics));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (progress, stop) = (Arc::clone(&progress), Arc::clone(&stop));
            std::thread::spawn(move || generate::run(&options, &kafka, &progress, &stop))
        };
        Generator {
            thread,
            progress,
            stop,
        }
    }

    fn end(self) -> anyhow::Result<()> {
        self.stop.store(true, Relaxed);
        let report = self
            .thread
            .join()
            .map_err(|_| anyhow!("the generator ended in a panic"))?;
        report.context("the generator stopped").map(|_| ())
    }
}

struct Ingester {
    thread: JoinHandle<Result<(), IngestError>>,
    views: Option<Views>,
    stop: Arc<AtomicBool>,
}

impl Ingester {
    fn start(mut config: Config, telemetry: Arc<Telemetry>) -> anyhow::Result<Ingester> {
        without_consoles(&mut config.views);
        let views = Views::start(&config, &telemetry)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let transforms = transforms::of(&config);
                ingest::run(&config, &transforms, IngestOptions::default(), &telemetry, &stop)
            })
        };
        Ok(Ingester { thread, views, stop })
    }

    fn end(self) -> anyhow::Result<()> {
        self.stop.store(true, Relaxed);
        let ended = self
            .thread
            .join()
            .map_err(|_| anyhow!("the ingester ended in a panic"))?;
        if let Some(views) = self.views {
            views.finish();
        }
        ended.context("the ingester stopped")
    }
}

/// The terminal shows the demo's own picture.
fn without_consoles(views: &mut Vec<ViewConfig>) {
    for view in views.iter_mut() {
        view.outputs
            .retain(|output| !matches!(output, OutputConfig::Console { .. }));
    }
    views.retain(|view| !view.outputs.is_empty());
}

fn greeting(config: &Config, broker: &BuiltinBroker, address: Option<String>) -> String {
    let brokers = broker.brokers();
    let roll = output::duration(config.lake.roll_interval);
    let http = address.map_or_else(String::new, |address| {
        format!("  status   http://{address}/api/v1/status\n")
    });
    format!(
        "eventlake demo: generating and landing, a roll every {roll}. Ctrl-C ends it.\n\n\
         \x20 broker   {brokers}   (built in; join it from another terminal)\n\
         {http}\
         \x20          EVENTLAKE_KAFKA_BROKERS={brokers} eventlake status --watch\n\
         \x20          EVENTLAKE_KAFKA_BROKERS={brokers} eventlake generate --count 1000\n\n"
    )
}

fn picture(telemetry: &Telemetry, progress: &Progress, elapsed: Duration) -> String {
    let mut table = Table::new([
        ("TOPIC", Align::Left),
        ("PRODUCED", Align::Right),
        ("READ", Align::Right),
        ("LANDED", Align::Right),
        ("REJECTED", Align::Right),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
        ("LAST COMMIT", Align::Left),
    ]);
    let now = time::now_micros();
    let snapshot = telemetry.snapshot();
    for topic in &snapshot.topics {
        let produced = progress
            .topics
            .iter()
            .find(|produced| produced.topic == topic.topic.as_str());
        let last = topic.last_commit.map(|commit| {
            format!(
                "{} {}",
                commit.number,
                time::ago(commit.unix_millis.saturating_mul(1000), now)
            )
        });
        let state = match &topic.state {
            TopicState::Running => last.unwrap_or_else(|| "none yet".to_owned()),
            TopicState::Starting => "starting".to_owned(),
            TopicState::Paused { why } => format!("paused: {why}"),
            TopicState::Stopped { why } => format!("stopped: {why}"),
        };
        table.row([
            topic.topic.to_string(),
            produced.map_or_else(String::new, |produced| output::count(produced.counts().delivered)),
            output::count(topic.consumed_records),
            output::count(topic.accepted),
            output::count(topic.rejected),
            output::count(topic.files),
            output::bytes(topic.file_bytes),
            state,
        ]);
    }
    let elapsed = output::duration(Duration::from_secs(elapsed.as_secs()));
    let memory = output::bytes(snapshot.memory.used_bytes);
    format!("running for {elapsed}, {memory} buffered\n{table}\n")
}

/// Prints a picture; on a terminal over the one before.
fn draw(picture: &str, over_lines: &mut usize) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() {
        return output::print(picture);
    }
    let up = if *over_lines == 0 {
        String::new()
    } else {
        format!("\x1b[{over_lines}A")
    };
    *over_lines = picture.lines().count();
    let picture = visible::text(picture).replace('\n', "\x1b[K\n");
    output::draw(format!("{up}\r{picture}\x1b[J"))
}

fn farewell(config: &Config) -> anyhow::Result<String> {
    let mut table = Table::new([
        ("TABLE", Align::Left),
        ("ROWS", Align::Right),
        ("REJECTED", Align::Right),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
        ("GENERATION", Align::Right),
    ]);
    for topic in &config.topics {
        let Some(fold) = read_fold(&config.lake.checkpoints, &topic.name)? else {
            continue;
        };
        let (accepted, rejected) = (fold.live(FileSet::Accepted), fold.live(FileSet::Rejected));
        table.row([
            topic.table.to_string(),
            output::count(accepted.rows),
            output::count(rejected.rows),
            output::count(accepted.files + rejected.files),
            output::bytes(accepted.bytes + rejected.bytes),
            fold.generation()
                .map_or_else(String::new, |generation| generation.ordinal.to_string()),
        ]);
    }
    let data = config.lake.data.display();
    let first = config
        .topics
        .first()
        .map_or("clicks", |topic| topic.table.as_str());
    Ok(format!(
        "\nIn the lake now, earlier runs included:\n\n{table}\n\
         Query it:\n\
         \x20 eventlake query                SQL over what was committed: a shell, or a statement as its argument\n\
         \x20 duckdb -c \"SELECT date, hour, count(*) FROM read_parquet('{data}/{first}/**/*.parquet', hive_partitioning=true) GROUP BY ALL\"\n\
         \x20 python3 -c \"import polars; print(polars.scan_parquet('{data}/{first}/**/*.parquet', hive_partitioning=True).collect())\"\n\
         \x20 eventlake rejected list        what was refused, and why\n\
         \x20 eventlake status               how every topic stands\n"
    ))
}
