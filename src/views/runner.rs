//! The thread of all views: reads the logs on, lets each view take in what is new, and says how they are doing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arrow::datatypes::SchemaRef;
use eventlake_core::config::{Config, TopicConfig, ViewConfig};
use eventlake_engine::telemetry::{Telemetry, ViewSnapshot, ViewState};
use eventlake_query::{Limits, Session, tables_named};

use super::compiled::compile;
use super::feed::{Followed, topics_of};
use super::live::{Around, LiveView};
use super::state::StateFolder;
use super::window_cache::WindowCache;
use crate::sql::lake;
use crate::transforms;

/// How often the logs are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long it waits after something failed: the first time, and at most.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How often a view that another process runs is asked for.
const TAKE_OVER: Duration = Duration::from_secs(2);
/// At the end, how long it waits for outputs when nothing moves any more.
const STANDSTILL_MAX: Duration = Duration::from_secs(30);
/// Of the memory limit, what views may take to work something out.
const MEMORY_SHARE: u64 = 4;
/// Of that, what rows of windows may take that another view may ask for.
const CACHED_SHARE: u64 = 8;

pub struct Runner<'c> {
    config: &'c Config,
    telemetry: &'c Telemetry,
    session: Session,
    windows: WindowCache,
    followed: Vec<Followed<'c>>,
    columns: Vec<SchemaRef>,
    views: Vec<Place<'c>>,
}

/// Where a configured view stands in this process.
struct Place<'c> {
    config: &'c ViewConfig,
    live: Option<LiveView<'c>>,
    trouble: Option<String>,
    failures: u32,
    /// Not before this it is tried again.
    wait_until: Option<Instant>,
}

impl<'c> Runner<'c> {
    /// # Errors
    /// When a log cannot be read, or the operating system gives no threads.
    pub fn new(config: &'c Config, telemetry: &'c Telemetry) -> anyhow::Result<Runner<'c>> {
        let limits = Limits {
            memory_bytes: config.lake.memory_limit_bytes / MEMORY_SHARE,
            spill_folder: std::env::temp_dir(),
            // Ingestion comes first.
            threads: 1,
        };
        let transforms = transforms::of(config);
        let checkpoints = &config.lake.checkpoints;
        let named: BTreeSet<String> = config
            .views
            .iter()
            .flat_map(|view| tables_named(&view.sql.text))
            .collect();
        let topics: Vec<&TopicConfig> = config
            .topics
            .iter()
            .filter(|topic| named.contains(topic.table.as_str()))
            .collect();
        let followed = topics.iter().map(|topic| Followed::open(checkpoints, topic));
        let place = |view| Place {
            config: view,
            live: None,
            trouble: None,
            failures: 0,
            wait_until: None,
        };
        Ok(Runner {
            config,
            telemetry,
            session: Session::new(&limits)?,
            windows: WindowCache::new(limits.memory_bytes / CACHED_SHARE),
            followed: followed.collect::<Result<_, _>>()?,
            columns: topics
                .iter()
                .map(|topic| lake::columns(&transforms, topic))
                .collect(),
            views: config.views.iter().map(place).collect(),
        })
    }

    /// Runs the views until the flag is set, and then until all is taken in and shown, or cannot be.
    pub fn run(&mut self, ending: &AtomicBool) {
        let mut last_moved = Instant::now();
        let mut shown = Vec::new();
        loop {
            let is_ending = ending.load(Ordering::Relaxed);
            let now = Instant::now();
            let is_busy = self.tick(now, is_ending);
            let snapshots = self.snapshots();
            if !is_ending || snapshots != shown {
                last_moved = now;
            }
            self.telemetry.set_views(snapshots.clone());
            shown = snapshots;
            let is_over = now.duration_since(last_moved) > STANDSTILL_MAX || self.is_settled();
            if is_ending && !is_busy && is_over {
                break;
            }
            if !is_busy {
                thread::sleep(if is_ending { TICK / 10 } else { TICK });
            }
        }
        self.tell_what_is_left();
    }

    /// True when there is more to do at once.
    fn tick(&mut self, now: Instant, is_ending: bool) -> bool {
        if let Err(error) = self.read_on(now, is_ending) {
            tracing::warn!("a commit log cannot be read, the views wait: {error:#}");
            thread::sleep(RETRY_FIRST);
            return false;
        }
        let mut is_busy = false;
        for index in 0..self.views.len() {
            if self.views[index].wait_until.is_some_and(|until| until > now) && !is_ending {
                continue;
            }
            let stepped = self.step(index, now, is_ending);
            let place = &mut self.views[index];
            match stepped {
                Ok(more) => {
                    if place.live.is_some() && place.trouble.take().is_some() {
                        tracing::info!(view = %place.config.name, "the view goes on");
                    }
                    place.failures = 0;
                    place.wait_until = place.live.is_none().then(|| now + TAKE_OVER);
                    is_busy |= more;
                }
                Err(error) => place.fail(&error, now),
            }
        }
        is_busy
    }

    fn read_on(&mut self, now: Instant, is_ending: bool) -> anyhow::Result<()> {
        for topic in 0..self.followed.len() {
            let read = self.followed[topic].read_on(&self.config.lake.checkpoints)?;
            let mut around = Around {
                config: self.config,
                telemetry: self.telemetry,
                followed: &self.followed,
                columns: &self.columns,
                session: &mut self.session,
                windows: &mut self.windows,
                now,
                is_ending,
            };
            for view in self.views.iter_mut().filter_map(|place| place.live.as_mut()) {
                match &read {
                    Some(commits) => view.take(topic, commits),
                    None if view.topics.contains(&topic) => {
                        view.start_over("the commit log no longer tells what was committed", &mut around);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, index: usize, now: Instant, is_ending: bool) -> anyhow::Result<bool> {
        let place = &mut self.views[index];
        let mut around = Around {
            config: self.config,
            telemetry: self.telemetry,
            followed: &self.followed,
            columns: &self.columns,
            session: &mut self.session,
            windows: &mut self.windows,
            now,
            is_ending,
        };
        match &mut place.live {
            Some(live) => live.step(&mut around),
            None => {
                place.live = open(place.config, &mut around)?;
                // Whoever ran it before may have shown what was committed since the logs were read last. Only after the next
                // reading is this one's state no older than what the outputs show, which would pass an older one over.
                Ok(place.live.is_some())
            }
        }
    }

    fn is_settled(&self) -> bool {
        let settled = |place: &Place<'_>| match &place.live {
            Some(live) => place.trouble.is_some() || live.is_settled(),
            None => true,
        };
        self.views.iter().all(settled)
    }

    fn snapshots(&self) -> Vec<ViewSnapshot> {
        self.views.iter().map(Place::snapshot).collect()
    }

    fn tell_what_is_left(&self) {
        for view in self.snapshots() {
            for output in view.outputs.iter().filter(|output| !output.up_to_date) {
                tracing::warn!(
                    view = %view.view,
                    output = output.output,
                    "the output does not show all that is committed; it goes on from there at the next start"
                );
            }
        }
    }
}

/// Takes a view for this process; None while another one runs it.
fn open<'c>(config: &'c ViewConfig, around: &mut Around<'_, 'c>) -> anyhow::Result<Option<LiveView<'c>>> {
    let Some(folder) = StateFolder::take(&around.config.lake.checkpoints, &config.name)? else {
        return Ok(None);
    };
    let tables = || {
        let tables = around.followed.iter().zip(around.columns);
        tables
            .map(|(followed, columns)| lake::of_files(&around.config.lake.data, followed.topic, columns, &[]))
            .collect()
    };
    let compiled = compile(around.session, config, &around.config.views, tables);
    let compiled = compiled.context("it was checked with the configuration")?;
    let tables: BTreeSet<_> = compiled.view.tables().iter().collect();
    let topics = topics_of(around.followed, &tables);
    LiveView::open(config, compiled, topics, folder, around).map(Some)
}

impl Place<'_> {
    fn fail(&mut self, error: &anyhow::Error, now: Instant) {
        let why = format!("{error:#}");
        if self.trouble.as_ref() != Some(&why) {
            tracing::error!(view = %self.config.name, "the view does not go on, ingestion does: {why}");
        }
        self.trouble = Some(why);
        let wait = RETRY_FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        self.wait_until = Some(now + wait.min(RETRY_MAX));
    }

    fn snapshot(&self) -> ViewSnapshot {
        match (&self.live, &self.trouble) {
            (Some(live), trouble) => live.snapshot(trouble.as_deref()),
            (None, trouble) => ViewSnapshot {
                view: self.config.name.clone(),
                state: match trouble {
                    None => ViewState::Elsewhere,
                    Some(why) => ViewState::Failing { why: why.clone() },
                },
                as_of: 0,
                behind_commits: 0,
                groups: 0,
                state_bytes: 0,
                watermark_unix_micros: None,
                too_late_rows: 0,
                outputs: Vec::new(),
            },
        }
    }
}
