//! `eventlake cluster`: the scheduler and the executors that `eventlake query --cluster` asks.

#[cfg(feature = "cluster")]
mod nodes;
#[cfg(feature = "cluster")]
mod said;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use eventlake_core::config;

use crate::cli::{Exit, Global};

/// Run a cluster for queries that are too large for one machine: a scheduler, and executors
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Run a cluster for queries that are too large for one machine: one scheduler, and an executor on every machine.

They are Ballista's. None of them reads the configuration, and the executors read the lake's files under the paths \
that `eventlake query --cluster` sees: the lake's folder must be shared with all of them. Nobody has to sign \
in: whoever reaches a port can read what the process can read. Let them listen in a network that you trust. A query that loses an \
executor while it runs fails.

Needs a program that is built with `--features cluster`.",
    after_help = "\
Examples:
  eventlake cluster scheduler --listen 10.0.0.1:50050
  eventlake cluster executor --scheduler df://10.0.0.1:50050 --address 10.0.0.2
  eventlake query --cluster df://10.0.0.1:50050 \"SELECT kind, count(*) FROM orders GROUP BY kind\"

Both run until SIGTERM or Ctrl-C."
)]
pub struct Args {
    #[command(subcommand)]
    node: Node,
}

#[derive(Debug, Subcommand)]
enum Node {
    /// Divide queries into tasks and hand those out
    Scheduler(SchedulerArgs),
    /// Carry out tasks
    Executor(ExecutorArgs),
}

#[derive(Debug, clap::Args)]
struct SchedulerArgs {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    listen: SocketAddr,

    /// The name under which executors reach it, where it is not the address that it listens at
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,

    /// An executor that says nothing for so long is lost, and the queries that ran at the time fail
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = config::parse_duration)]
    executor_timeout: Duration,
}

#[derive(Debug, clap::Args)]
struct ExecutorArgs {
    /// The scheduler that hands out the tasks
    #[arg(long, value_name = "URL", default_value = "df://127.0.0.1:50050")]
    scheduler: String,

    /// The address that it listens at
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    address: IpAddr,

    /// Where results are fetched from it; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 50_051)]
    port: u16,

    /// Where the scheduler hands it tasks; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 50_052)]
    task_port: u16,

    /// The name under which others reach it, where it is not the address that it comes from
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,

    /// Tasks at a time; by default as many as there are processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// What all tasks together may take of memory before they go on in the work folder
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = config::parse_size)]
    memory: u64,

    /// Where results lie until they are fetched; by default a folder of its own, which goes when it ends
    #[arg(long, value_name = "FOLDER")]
    work: Option<PathBuf>,
}

/// # Errors
/// When it cannot listen, an executor cannot reach its scheduler, or the program was built without.
#[cfg(feature = "cluster")]
pub fn run(args: Args, _: &Global) -> anyhow::Result<Exit> {
    said::listen();
    match args.node {
        Node::Scheduler(args) => nodes::scheduler(args),
        Node::Executor(args) => nodes::executor(args),
    }
}

/// # Errors
/// Always: the program was built without.
#[cfg(not(feature = "cluster"))]
pub fn run(_: Args, _: &Global) -> anyhow::Result<Exit> {
    Err(crate::sql::without_clusters("eventlake cluster"))
}
