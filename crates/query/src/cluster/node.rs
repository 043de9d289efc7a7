//! A cluster's own processes: the scheduler, and executors that carry out what it hands out.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::runtime::{Builder, Runtime};

use super::SchedulerUrl;
use super::job::MESSAGE_BYTES_MAX;
use super::loss::{Executors, GivenUp};

/// Plans are deep trees, here too.
const STACK_BYTES: usize = 8 << 20;
/// An executor says so often that it lives.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often the wish to stop is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Why a process of the cluster does not run, or no longer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NodeError(String);

impl NodeError {
    fn new(error: impl std::fmt::Display) -> NodeError {
        NodeError(error.to_string())
    }
}

/// A scheduler: it divides queries into tasks and hands those out. It has no configuration and reads no lake.
#[derive(Clone, Debug)]
pub struct Scheduler {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The name under which executors reach it; by default the address that it listens at.
    pub advertised: Option<String>,
    /// An executor that said nothing for so long is lost, and with it the jobs that ran at the time.
    pub executor_timeout: Duration,
}

impl Scheduler {
    /// Serves until `stop` is set. `ready` is told where it listens.
    ///
    /// # Errors
    /// When it cannot listen, or has to give up.
    pub fn serve(&self, ready: impl FnOnce(SocketAddr), stop: &AtomicBool) -> Result<(), NodeError> {
        let runtime = runtime("scheduler", None)?;
        let ended = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(self.listen).await;
            let listener = listener.map_err(|error| NodeError(format!("{}: {error}", self.listen)))?;
            let address = listener.local_addr().map_err(NodeError::new)?;
            let config = Arc::new(self.config(address));
            let cluster = BallistaCluster::new_from_config(&config);
            let cluster = cluster.await.map_err(NodeError::new)?;
            let (executors, mut given_up) = Executors::new(cluster.cluster_state());
            let cluster = BallistaCluster::new(Arc::new(executors), cluster.job_state());
            let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, config);
            let scheduler = scheduler.await.map_err(NodeError::new)?;
            ready(address);
            let calling = scheduler.clone();
            let call_off = async move {
                while let Some(GivenUp { jobs, called_off }) = given_up.recv().await {
                    for job in jobs {
                        // One that is at its end already needs no calling off.
                        let _ = calling.cancel_job(job).await;
                    }
                    let _ = called_off.send(());
                }
                Ok(())
            };
            tokio::select! {
                served = start_grpc_service_with_listener(listener, scheduler) => served.map_err(NodeError::new),
                ended = call_off => ended,
                () = stopped(stop) => Ok(()),
            }
        });
        // Its threads may wait for executors that are gone.
        runtime.shutdown_background();
        ended
    }

    fn config(&self, address: SocketAddr) -> SchedulerConfig {
        let message_bytes = u32::try_from(MESSAGE_BYTES_MAX).expect("below 4 GiB");
        let timeout = self.executor_timeout.as_secs().max(1);
        SchedulerConfig {
            external_host: self.advertised.clone().unwrap_or_else(|| host(address.ip())),
            bind_host: host(address.ip()),
            bind_port: address.port(),
            executor_timeout_seconds: timeout,
            expire_dead_executor_interval_seconds: timeout.div_ceil(4),
            no_executors_grace_period_seconds: timeout,
            // Nothing is done again: see `loss`.
            task_max_failures: 1,
            stage_max_failures: 1,
            grpc_server_max_decoding_message_size: message_bytes,
            grpc_server_max_encoding_message_size: message_bytes,
            grpc_client_max_message_size: message_bytes,
            ..SchedulerConfig::default()
        }
    }
}

/// An executor: it carries out tasks, reads the lake's files for them, and hands out the results.
#[derive(Clone, Debug)]
pub struct Executor {
    pub scheduler: SchedulerUrl,
    pub address: IpAddr,
    /// Where results are fetched; 0 takes a free one.
    pub port: u16,
    /// Where the scheduler hands out tasks; 0 takes a free one.
    pub task_port: u16,
    /// The name under which others reach it; by default the address that it reaches the scheduler from.
    pub advertised: Option<String>,
    /// Tasks at a time.
    pub threads: usize,
    /// What all operators together may reserve.
    pub memory_bytes: u64,
    /// Where results lie until they are fetched, and what does not fit into memory.
    pub work_folder: PathBuf,
}

impl Executor {
    /// Serves until SIGINT or SIGTERM, and then finishes the tasks it has. `ready` is told where results are fetched.
    ///
    /// # Errors
    /// When it cannot listen, or the scheduler cannot be reached or does not take it.
    pub fn serve(&self, ready: impl FnOnce(SocketAddr)) -> Result<(), NodeError> {
        let [port, task_port] = ports(self.address, [self.port, self.task_port])?;
        let message_bytes = u32::try_from(MESSAGE_BYTES_MAX).expect("below 4 GiB");
        let config = ExecutorProcessConfig {
            bind_host: host(self.address),
            external_host: self.advertised.clone(),
            port,
            grpc_port: task_port,
            scheduler_host: self.scheduler.host.clone(),
            scheduler_port: self.scheduler.port,
            vcores: self.threads,
            memory_pool_size: Some(self.memory_bytes),
            work_dir: Some(self.work_folder.display().to_string()),
            executor_heartbeat_interval_seconds: HEARTBEAT.as_secs(),
            grpc_max_decoding_message_size: message_bytes,
            grpc_max_encoding_message_size: message_bytes,
            ..ExecutorProcessConfig::default()
        };
        let runtime = runtime("executor", Some(self.threads))?;
        ready(SocketAddr::new(self.address, port));
        let served = runtime.block_on(start_executor_process(Arc::new(config)));
        runtime.shutdown_background();
        served.map_err(|error| NodeError(format!("the scheduler at {}: {error}", self.scheduler)))
    }
}

fn runtime(name: &str, threads: Option<usize>) -> Result<Runtime, NodeError> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    builder
        .thread_name(name)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(NodeError::new)
}

async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK).await;
    }
}

/// An address as it stands in a URL.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Ballista wants ports by their number, so free ones are looked for here, both at once. Another program may take one in between:
/// then listening fails.
fn ports(address: IpAddr, wanted: [u16; 2]) -> Result<[u16; 2], NodeError> {
    let failed = |error: std::io::Error| NodeError(format!("{address}: {error}"));
    let free = || TcpListener::bind((address, 0)).map_err(failed);
    let held = (free()?, free()?);
    let number = |listener: &TcpListener| Ok(listener.local_addr().map_err(failed)?.port());
    let found = [number(&held.0)?, number(&held.1)?];
    Ok([0, 1].map(|at| if wanted[at] == 0 { found[at] } else { wanted[at] }))
}
