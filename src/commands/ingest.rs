//! `eventlake ingest`: the daemon.

use std::sync::Arc;

use chrono::Utc;
use eventlake_core::config::Config;
use eventlake_engine::ingest::{self, IngestOptions, writer_id};
use eventlake_engine::telemetry::{Telemetry, Work};

use crate::cli::{Exit, Global, failpoints, signals};
use crate::server;
use crate::transforms;
use crate::views::Views;

/// Lands the configured topics in the lake, exactly once.
///
/// Reads every topic of the configuration from its checkpoint on, checks each record against its schema, and every
/// roll interval commits Parquet files, rejected records and offsets together. Start it on more machines with the
/// same group and a shared file system to share the work. SIGTERM or Ctrl-C rolls, commits and stops; a second one
/// stops at once, which loses nothing either.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eventlake ingest                       run until stopped
  eventlake ingest --until-end           take what is in the topics now, commit it, exit 0
  EVENTLAKE_KAFKA_BROKERS=kafka:9092 eventlake ingest

Health, metrics and status are served at [http] listen: /healthz /readyz /metrics /api/v1/status")]
pub struct Args {
    /// Take what is in the topics now (to each partition's last stable offset), commit it, and end
    #[arg(long)]
    pub until_end: bool,
    /// Say at the end how long each kind of work took, by topic (while it runs: `status --json`, `/metrics`)
    #[arg(long)]
    pub stage_times: bool,
}

/// # Errors
/// When the cluster does not answer at the start, or topics have stopped.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let config = global.load_config()?;
    let failpoints = failpoints::from_environment()?;
    let stop = signals::stop_flag()?;
    let telemetry = telemetry(&config);
    let server = server::serve(config.http.listen, Arc::clone(&telemetry))?;
    tracing::info!(
        topics = config.topics.len(),
        brokers = %config.kafka.brokers,
        "eventlake {} lands in {}, a roll every {} s",
        env!("CARGO_PKG_VERSION"),
        config.lake.data.display(),
        config.lake.roll_interval.as_secs_f64(),
    );
    let views = Views::start(&config, &telemetry)?;
    let ingested = ingest::run_with(
        &config,
        &transforms::of(&config),
        IngestOptions {
            until_end: args.until_end,
        },
        &telemetry,
        &stop,
        &failpoints,
    );
    if let Some(views) = views {
        views.finish();
    }
    ingested?;
    server.stop();
    if args.stage_times {
        tell_stage_times(&telemetry);
    }
    let landed: u64 = telemetry
        .snapshot()
        .topics
        .iter()
        .map(|topic| topic.accepted)
        .sum();
    tracing::info!(rows = landed, "stopped, everything that was read is committed");
    Ok(Exit::Ok)
}

fn tell_stage_times(telemetry: &Telemetry) {
    for topic in telemetry.snapshot().topics {
        let named = Work::ALL.map(|work| {
            let secs = topic.work_secs.get(work.as_str()).copied().unwrap_or(0.0);
            format!("{} {secs:.3} s", work.as_str())
        });
        tracing::info!(topic = %topic.topic, "took: {}", named.join(", "));
    }
}

/// The counters of a process that is about to ingest.
pub fn telemetry(config: &Config) -> Arc<Telemetry> {
    let topics = config
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), topic.table.clone()));
    let limit = config.lake.memory_limit_bytes;
    Arc::new(Telemetry::new(
        writer_id().to_string(),
        Utc::now().timestamp_millis(),
        limit,
        topics,
    ))
}
