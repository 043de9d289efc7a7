//! A node of a cluster as a process: what was asked for, made into a scheduler or an executor and run to its end.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use anyhow::Context as _;
use eventlake_query::cluster::{Executor, Scheduler};

use super::{ExecutorArgs, SchedulerArgs};
use crate::cli::{Exit, signals, usage};

pub fn scheduler(args: SchedulerArgs) -> anyhow::Result<Exit> {
    if args.listen.ip().is_unspecified() && args.advertise.is_none() {
        return Err(usage(format!(
            "--listen {}: executors need a name for that\nhint: --advertise HOST, or --listen at one address",
            args.listen
        )));
    }
    let stop = signals::stop_flag()?;
    let scheduler = Scheduler {
        listen: args.listen,
        advertised: args.advertise,
        executor_timeout: args.executor_timeout,
    };
    scheduler.serve(
        |address| tracing::info!("the scheduler is at df://{address}"),
        &stop,
    )?;
    Ok(Exit::Ok)
}

pub fn executor(args: ExecutorArgs) -> anyhow::Result<Exit> {
    let scheduler = args.scheduler.parse();
    let scheduler = scheduler.map_err(|wrong| usage(format!("--scheduler: {wrong}")))?;
    let threads = args
        .threads
        .map_or_else(|| available_parallelism().map_or(1, NonZero::get), usize::from);
    let own = std::env::temp_dir().join(format!("eventlake-executor-{}", std::process::id()));
    let work_folder = args.work.clone().unwrap_or_else(|| own.clone());
    fs::create_dir_all(&work_folder).with_context(|| work_folder.display().to_string())?;
    let executor = Executor {
        scheduler,
        address: args.address,
        port: args.port,
        task_port: args.task_port,
        advertised: args.advertise,
        threads,
        memory_bytes: args.memory,
        work_folder,
    };
    let served = executor.serve(|address| {
        tracing::info!(
            "the executor is at {address}, for the scheduler at {}",
            executor.scheduler
        )
    });
    if args.work.is_none() {
        remove(&own);
    }
    served?;
    Ok(Exit::Ok)
}

/// Nobody can fetch anything from it any more.
fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!("{}: {error}", folder.display());
    }
}
