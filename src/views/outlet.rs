//! One output at work: a thread of its own, so that an output that is slow or away holds up nothing but itself.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use eventlake_core::names::ViewName;

use super::output::{Covers, Emission, Mark, Output};

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Formatting walks no deep trees, but a driver may.
const STACK_BYTES: usize = 4 << 20;

/// What an output is handed.
#[derive(Clone, Debug)]
pub struct Job {
    pub as_of: u64,
    pub lake: Arc<str>,
    pub rows: Arc<[RecordBatch]>,
    pub covers: Covers,
    pub windows: Arc<[i64]>,
    pub mark: Mark,
}

/// What all emissions of a view have in common.
#[derive(Clone, Debug)]
pub struct Described {
    pub view: ViewName,
    pub columns: SchemaRef,
    pub key: Vec<usize>,
}

/// An output and its thread.
pub struct Outlet {
    /// What its state is kept under.
    pub id: String,
    jobs: Option<SyncSender<Job>>,
    results: Receiver<anyhow::Result<Mark>>,
    thread: Option<JoinHandle<()>>,
    is_busy: bool,
    failures: u32,
    retry_at: Option<Instant>,
    /// Why it does not show what it should; None while it does.
    pub trouble: Option<String>,
    /// Rows it has shown since the process started.
    pub rows_shown: u64,
    rows_handed: u64,
}

impl Outlet {
    /// # Errors
    /// When the operating system gives no thread.
    pub fn open(id: String, described: Described, mut output: Box<dyn Output>) -> anyhow::Result<Outlet> {
        let (jobs, work) = sync_channel::<Job>(1);
        let (sender, results) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("view-output".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                for job in work {
                    let emission = Emission {
                        view: &described.view,
                        as_of: job.as_of,
                        lake: &job.lake,
                        columns: &described.columns,
                        key: &described.key,
                        rows: &job.rows,
                        covers: job.covers,
                        windows: &job.windows,
                    };
                    if sender.send(output.emit(&emission, job.mark)).is_err() {
                        return;
                    }
                }
            })
            .context("no thread for an output")?;
        Ok(Outlet {
            id,
            jobs: Some(jobs),
            results,
            thread: Some(thread),
            is_busy: false,
            failures: 0,
            retry_at: None,
            trouble: None,
            rows_shown: 0,
            rows_handed: 0,
        })
    }

    /// Whether it can be handed something now.
    pub fn is_free(&self, now: Instant) -> bool {
        !self.is_busy && self.retry_at.is_none_or(|at| at <= now)
    }

    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Hands it rows. Only to a free one.
    pub fn hand(&mut self, job: Job) {
        self.rows_handed = job.rows.iter().map(|batch| batch.num_rows() as u64).sum();
        let jobs = self.jobs.as_ref().expect("closed by the drop alone");
        // Its thread ends only when this side does, or by a panic, which the result tells.
        let _ = jobs.send(job);
        self.is_busy = true;
    }

    /// Where it stands, once it has shown what it was handed. None while it works, and when it could not.
    pub fn poll(&mut self, view: &ViewName, now: Instant) -> Option<Mark> {
        if !self.is_busy {
            return None;
        }
        let result = match self.results.try_recv() {
            Ok(result) => result,
            Err(std::sync::mpsc::TryRecvError::Empty) => return None,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => Err(anyhow::anyhow!(
                "the output has panicked: a defect of the program"
            )),
        };
        self.is_busy = false;
        match result {
            Ok(mark) => {
                if self.trouble.take().is_some() {
                    tracing::info!(view = %view, output = self.id, "the output takes rows again");
                }
                (self.failures, self.retry_at) = (0, None);
                self.rows_shown += self.rows_handed;
                Some(mark)
            }
            Err(error) => {
                let why = format!("{error:#}");
                if self.trouble.as_ref() != Some(&why) {
                    tracing::warn!(
                        view = %view,
                        output = self.id,
                        "the output does not take rows, ingestion goes on and it catches up later: {why}"
                    );
                }
                self.trouble = Some(why);
                let wait = RETRY_FIRST.saturating_mul(1 << self.failures.min(16));
                self.failures += 1;
                self.retry_at = Some(now + wait.min(RETRY_MAX));
                None
            }
        }
    }
}

impl Drop for Outlet {
    /// What it works on is waited for: every output has limits of time of its own.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic was told when its result was asked for.
            let _ = thread.join();
        }
    }
}
