//! One output of one view: what it shows, what it has yet to show, and what it is working on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use eventlake_core::commit::File;
use eventlake_core::config::{AlertOutput, Config, OutputConfig, ViewConfig};
use eventlake_engine::lake::LogPlace;
use eventlake_query::{Condition, View};

use super::outlet::{Described, Outlet};
use super::output::{self, Alert, Mark, Output};
use super::state::Shown;

/// Where the state of an output to the console is kept.
const CONSOLE: &str = "console";

pub struct Slot {
    pub outlet: Outlet,
    /// What is kept: true after any crash.
    pub shown: Shown,
    /// Where the output stands by itself: ahead of what is kept while a commit is shown in parts.
    pub mark: Mark,
    pub handed: Option<Handed>,
    /// Of a view of rows, the files it has yet to show.
    pub queue: VecDeque<Queued>,
}

/// A file whose rows are to be shown.
#[derive(Clone, Debug)]
pub struct Queued {
    pub file: Option<File>,
    /// With the last one of a commit, the place after it.
    pub place: Option<LogPlace>,
}

/// What an output is working on, and what is true when it has shown it.
pub enum Handed {
    /// The whole view, as of here.
    Whole { as_of: u64 },
    /// So many of its queued files.
    Files { count: usize },
    /// Windows that had changed, and all before this one.
    Windows {
        changed: Vec<i64>,
        as_of: u64,
        next: Option<i64>,
    },
}

impl Slot {
    pub fn new(outlet: Outlet, shown: Shown) -> Slot {
        Slot {
            mark: shown.mark.clone(),
            outlet,
            shown,
            handed: None,
            queue: VecDeque::new(),
        }
    }

    /// Takes over that the output has shown what it was handed. True when there is something new to keep.
    pub fn has_shown(&mut self, mark: Mark) -> bool {
        let Some(handed) = self.handed.take() else {
            return false; // of what it was told before the view started over
        };
        self.mark.clone_from(&mark);
        match handed {
            Handed::Whole { as_of } => self.shown.as_of = as_of,
            Handed::Files { count } => {
                let place = self.queue.drain(..count).rev().find_map(|queued| queued.place);
                match place {
                    // In the middle of a commit: after a crash it is shown from its beginning, over what stands there now.
                    None => return self.shown.mark.replace(0.into()).is_none(),
                    Some(place) => self.shown.place = Some(place),
                }
            }
            Handed::Windows { changed, as_of, next } => {
                for start in changed {
                    // Unless it has changed once more.
                    if self.shown.changed.get(&start).is_some_and(|at| *at <= as_of) {
                        self.shown.changed.remove(&start);
                    }
                }
                self.shown.next_window = next.or(self.shown.next_window);
            }
        }
        self.shown.mark = mark;
        true
    }

    /// It shows nothing of the view as it begins now.
    pub fn start_over(&mut self) {
        self.shown = Shown::default();
        self.mark = None;
        self.handed = None;
        self.queue.clear();
    }
}

/// The files of a commit as an output shows them one by one.
pub fn queued(files: Vec<File>, place: &LogPlace) -> Vec<Queued> {
    let mut queued: Vec<Queued> = files
        .into_iter()
        .map(|file| Queued {
            file: Some(file),
            place: None,
        })
        .collect();
    match queued.last_mut() {
        Some(last) => last.place = Some(place.clone()),
        None => queued.push(Queued {
            file: None,
            place: Some(place.clone()),
        }),
    }
    queued
}

/// The outputs of a view, and those of the alerts on it.
///
/// # Errors
/// When there is no thread for one of them.
pub fn open_slots(
    config: &Config,
    view: (&ViewConfig, &View),
    mut shown: BTreeMap<String, Shown>,
) -> anyhow::Result<Vec<Slot>> {
    let (of, compiled) = view;
    let mut opened: Vec<(String, Box<dyn Output>)> = Vec::new();
    for (position, output) in of.outputs.iter().enumerate() {
        opened.push((id_of(output, position), output::open(output)));
    }
    for alert in config.alerts.iter().filter(|alert| alert.view == of.name) {
        let condition = Condition::compile(&alert.when.text, compiled.columns())?;
        for (position, output) in alert.outputs.iter().enumerate() {
            let place = match output {
                AlertOutput::Log => "log".to_owned(),
                AlertOutput::Webhook { .. } => format!("webhook#{}", position + 1),
            };
            let told = Alert::new(alert.clone(), condition.clone(), output);
            opened.push((format!("alert {} to {place}", alert.name), Box::new(told)));
        }
    }
    let mut slots = Vec::with_capacity(opened.len());
    for (id, output) in opened {
        let described = Described {
            view: of.name.clone(),
            columns: Arc::clone(compiled.columns()),
            key: compiled.key().unwrap_or_default().to_vec(),
        };
        let mut shown = shown.remove(&id).unwrap_or_default();
        if id == CONSOLE {
            shown.as_of = 0; // this terminal has seen nothing
        }
        slots.push(Slot::new(Outlet::open(id, described, output)?, shown));
    }
    Ok(slots)
}

/// What an output's state is kept under.
fn id_of(output: &OutputConfig, position: usize) -> String {
    match output {
        OutputConfig::Console { .. } => CONSOLE.to_owned(),
        OutputConfig::Json { path } | OutputConfig::JsonLines { path } | OutputConfig::Csv { path } => {
            format!("{}:{}", output.kind(), path.display())
        }
        OutputConfig::Postgres { table, .. } => format!("postgres:{table}"),
        OutputConfig::Mongodb {
            database, collection, ..
        } => {
            let database = database
                .as_ref()
                .map_or_else(String::new, |name| format!("{name}."));
            format!("mongodb:{database}{collection}")
        }
        OutputConfig::Webhook { .. } => format!("webhook#{}", position + 1),
    }
}
