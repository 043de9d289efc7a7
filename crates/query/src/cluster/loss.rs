//! A job that loses an executor is given up: Ballista 55.0 would do lost tasks again and count rows of others twice.
//!
//! When an executor is lost that held results of two stages, one behind the other, Ballista does the later stage again as a whole and
//! keeps what the living made of it before, so that whoever reads that stage reads rows twice. A wrong answer is worse than none. All
//! tasks are bound to executors at one place, this one; from the moment an executor is removed on, no task of a job that ran at the
//! time passes here, and the job is called off.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::ExecutorHeartbeat;
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::state::task_manager::JobInfoCache;
use tokio::sync::{mpsc, oneshot};

/// The executors as Ballista keeps them, and the jobs that have tasks with them.
pub(super) struct Executors {
    inner: Arc<dyn ClusterState>,
    jobs: Mutex<Jobs>,
    given_up: mpsc::UnboundedSender<GivenUp>,
}

/// Jobs to call off.
pub(super) struct GivenUp {
    pub jobs: Vec<JobId>,
    /// Told once they are.
    pub called_off: oneshot::Sender<()>,
}

#[derive(Default)]
struct Jobs {
    with_tasks: HashSet<JobId>,
    given_up: HashSet<JobId>,
}

impl Executors {
    pub fn new(inner: Arc<dyn ClusterState>) -> (Executors, mpsc::UnboundedReceiver<GivenUp>) {
        let (given_up, told) = mpsc::unbounded_channel();
        let executors = Executors {
            inner,
            jobs: Mutex::default(),
            given_up,
        };
        (executors, told)
    }
}

impl Jobs {
    /// Of these jobs, those that may go on. What is not among them has ended.
    fn going_on(&mut self, active: &HashMap<JobId, JobInfoCache>) -> HashMap<JobId, JobInfoCache> {
        self.with_tasks.retain(|job| active.contains_key(job));
        self.given_up.retain(|job| active.contains_key(job));
        let going_on = active.iter().filter(|(job, _)| !self.given_up.contains(*job));
        going_on.map(|(job, info)| (job.clone(), info.clone())).collect()
    }
}

#[async_trait]
impl ClusterState for Executors {
    async fn init(&self) -> Result<()> {
        self.inner.init().await
    }

    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        let going_on = {
            let mut jobs = self.jobs.lock().expect("no panic under the lock");
            let going_on = jobs.going_on(&active_jobs);
            // Before they have any: an executor may be lost while they get them.
            jobs.with_tasks.extend(going_on.keys().cloned());
            going_on
        };
        self.inner
            .bind_schedulable_tasks(distribution, Arc::new(going_on), executors)
            .await
    }

    async fn unbind_tasks(&self, executor_slots: Vec<ExecutorSlot>) -> Result<()> {
        self.inner.unbind_tasks(executor_slots).await
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, spec: ExecutorData) -> Result<()> {
        self.inner.register_executor(metadata, spec).await
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.inner.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor_id: &str) -> Result<ExecutorMetadata> {
        self.inner.get_executor_metadata(executor_id).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.inner.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        self.inner.save_executor_heartbeat(heartbeat).await
    }

    /// Ballista tells its jobs of the loss after this, and a job that was told forgets what the living executors do for it: called
    /// off only then, it would never give their threads back, and queries would wait for them without an end.
    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        let jobs: Vec<JobId> = {
            let mut jobs = self.jobs.lock().expect("no panic under the lock");
            let Jobs { with_tasks, given_up } = &mut *jobs;
            let lost: Vec<JobId> = with_tasks.drain().collect();
            given_up.extend(lost.iter().cloned());
            lost
        };
        let (called_off, done) = oneshot::channel();
        // Nobody calls off any more when the scheduler ends.
        if self.given_up.send(GivenUp { jobs, called_off }).is_ok() {
            let _ = done.await;
        }
        self.inner.remove_executor(executor_id).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.inner.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.inner.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.inner.cluster_state_events().await
    }
}
