//! The live views of an ingester: what they follow, what they keep, and where their rows go.
//!
//! A view is a function of the committed rows, so it follows the commit logs and not the ingestion: it sees what every writer
//! commits, in whatever process. One thread works all views out, and each output has a thread of its own. What a view keeps
//! lies in `checkpoints/+views/<view>/`, says which commits it follows from, and is made anew from the lake where it is gone.

mod check;
mod clock;
mod compiled;
mod feed;
mod live;
mod outlet;
mod output;
mod runner;
mod silence;
mod slot;
mod state;
mod window_cache;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use eventlake_core::config::Config;
use eventlake_engine::telemetry::Telemetry;

pub use check::{check, check_alert};
use runner::Runner;

/// Planning walks deep trees.
const STACK_BYTES: usize = 8 << 20;

/// The views at work.
pub struct Views {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Views {
    /// Starts the configured views; None when there are none.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(config: &Config, telemetry: &Arc<Telemetry>) -> anyhow::Result<Option<Views>> {
        if config.views.is_empty() {
            return Ok(None);
        }
        let ending = Arc::new(AtomicBool::new(false));
        let (config, telemetry, until) = (config.clone(), Arc::clone(telemetry), Arc::clone(&ending));
        let thread = thread::Builder::new()
            .name("views".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let run = Runner::new(&config, &telemetry).map(|mut runner| runner.run(&until));
                if let Err(error) = run {
                    tracing::error!("the views do not run, ingestion goes on: {error:#}");
                }
            })
            .context("no thread for the views")?;
        Ok(Some(Views { ending, thread }))
    }

    /// Lets them take in what is committed by now, show it, and end.
    pub fn finish(self) {
        self.ending.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!(
                "the views have panicked: a defect of the program; what they keep is as of before"
            );
        }
    }
}
