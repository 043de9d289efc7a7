//! `eventlake status`: how every topic stands, by its lake, its brokers and, where one runs here, the ingester.

mod live;
mod report;
mod view;
mod views;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use crate::cli::{Exit, Global, output, time, usage, visible};
use report::Reporter;

/// Show how every topic stands: lag, rate, rows, files, rejected records, freshness
///
/// Reads the lake's commit logs and asks the brokers; no ingester needs to run. Where one answers on the [http] listen
/// address, its live state is added. Changes nothing, ever.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eventlake status                     once
  eventlake status --watch             redraw every 2 s, until Ctrl-C
  eventlake status --json | jq '.topics[] | {topic, lag_records}'

Exit codes: 0 shown; 2 a fault in the configuration; 3 a topic's lake cannot be read (the others are shown).
The brokers being away is said in the output and is no failure.")]
pub struct Args {
    /// Redraw again and again, until Ctrl-C
    #[arg(long)]
    watch: bool,

    /// Seconds between two looks of --watch
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, requires = "watch")]
    interval: f64,

    /// One JSON object; with --watch one a line
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    if !(0.1..=86_400.0).contains(&args.interval) {
        return Err(usage("--interval must be from 0.1 to 86400 seconds"));
    }
    let config = global.load_config()?;
    let mut reporter = Reporter::new(&config);
    loop {
        let started = Instant::now();
        let report = reporter.look(&config, time::now_micros());
        show(&args, &report)?;
        if !args.watch {
            return Ok(if report.faults() { Exit::Failure } else { Exit::Ok });
        }
        let interval = Duration::from_secs_f64(args.interval);
        std::thread::sleep(interval.saturating_sub(started.elapsed()));
    }
}

fn show(args: &Args, report: &report::Report) -> anyhow::Result<()> {
    if args.json {
        return output::print_json(report);
    }
    let text = view::to_text(report, time::now_micros());
    if !args.watch {
        return output::print(text);
    }
    if std::io::stdout().is_terminal() {
        // To the upper left, each line cleared as it is written over, and whatever is left below cleared at the end.
        let text = visible::text(&text).replace('\n', "\x1b[K\n");
        output::draw(format!("\x1b[H{text}\x1b[J"))
    } else {
        output::print(format!("{text}\n"))
    }
}

/// Maps a topic's name to something of it.
type ByTopic<T> = BTreeMap<eventlake_core::names::TopicName, T>;

#[cfg(test)]
mod tests;
