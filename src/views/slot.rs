//! One output of one view: what it shows, what it has yet to show, and what it is working on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use eventlake_core::commit::File;
use eventlake_core::config::{AlertOutput, Config, OutputConfig, ViewConfig};
use eventlake_engine::lake::LogPlace;
use eventlake_query::{Condition, View};

use super::outlet::{Described, Outlet};
use super::output::{self, Alert, Beginning, Covers, Mark, Output};
use super::state::Shown;

/// Where the state of an output to the console is kept.
const CONSOLE: &str = "console";

pub struct Slot {
    pub outlet: Outlet,
    /// What is kept: true after any crash.
    pub shown: Shown,
    /// Where the output stands by itself: ahead of what is kept while a commit is shown in parts.
    pub mark: Mark,
    beginning: Beginning,
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
    pub fn new(outlet: Outlet, mut shown: Shown, beginning: Beginning) -> Slot {
        if shown.mark.is_none() {
            shown.mark = beginning();
        }
        Slot {
            mark: shown.mark.clone(),
            outlet,
            shown,
            beginning,
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
                    None => {
                        let is_first = self.shown.mark.is_none();
                        self.shown.mark.get_or_insert(0.into());
                        return is_first;
                    }
                    Some(place) => self.shown.place = Some(place),
                }
            }
            Handed::Windows { changed, as_of, next } => {
                let from = self.shown.next_window;
                let is_closed = |start: &i64| {
                    from.is_none_or(|from| *start >= from) && next.is_some_and(|next| *start < next)
                };
                // Unless it has changed once more.
                self.shown
                    .changed
                    .retain(|start, at| *at > as_of || !(changed.contains(start) || is_closed(start)));
                self.shown.next_window = next.or(self.shown.next_window);
            }
        }
        self.shown.mark = mark;
        true
    }

    /// Before which window all are shown, or are about to be with the rows that there were when it was handed them.
    pub fn shown_before(&self) -> Option<i64> {
        match &self.handed {
            Some(Handed::Windows { next, .. }) => self.shown.next_window.max(*next),
            _ => self.shown.next_window,
        }
    }

    /// It shows nothing of the view as it begins now.
    pub fn start_over(&mut self) {
        self.shown = Shown {
            mark: (self.beginning)(),
            ..Shown::default()
        };
        self.mark.clone_from(&self.shown.mark);
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
    let mut opened: Vec<(String, Box<dyn Output>, Beginning)> = Vec::new();
    for (position, output) in of.outputs.iter().enumerate() {
        let beginning = output::beginning(output);
        opened.push((id_of(output, position), output::open(output), beginning));
    }
    for alert in config.alerts.iter().filter(|alert| alert.view == of.name) {
        let condition = Condition::compile(&alert.when.text, compiled.columns())?;
        for (position, output) in alert.outputs.iter().enumerate() {
            let place = match output {
                AlertOutput::Log => "log".to_owned(),
                AlertOutput::Webhook { .. } => format!("webhook#{}", position + 1),
            };
            let told = Alert::new(alert.clone(), condition.clone(), output);
            let id = format!("alert {} to {place}", alert.name);
            opened.push((id, Box::new(told), || None));
        }
    }
    let mut slots = Vec::with_capacity(opened.len());
    for (id, output, beginning) in opened {
        let described = Described {
            view: of.name.clone(),
            columns: Arc::clone(compiled.columns()),
            key: compiled.key().unwrap_or_default().to_vec(),
        };
        let mut shown = shown.remove(&id).unwrap_or_default();
        if id == CONSOLE {
            shown.as_of = 0; // this terminal has seen nothing
        }
        slots.push(Slot::new(Outlet::open(id, described, output)?, shown, beginning));
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
        OutputConfig::Object { address, .. } => format!("object:{address}"),
    }
}

/// What an output is to show next.
pub struct Due {
    pub rows: Arc<[RecordBatch]>,
    pub covers: Covers,
    /// The windows whose rows they are.
    pub windows: Arc<[i64]>,
    pub handed: Handed,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;
    use eventlake_core::names::ViewName;
    use serde_json::json;

    use super::*;

    /// Takes anything.
    struct Sink;

    impl Output for Sink {
        fn emit(&mut self, _emission: &output::Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
            Ok(mark)
        }
    }

    fn slot(shown: Shown, beginning: Beginning) -> Slot {
        let described = Described {
            view: ViewName::new("v").expect("a name"),
            columns: Arc::new(Schema::empty()),
            key: Vec::new(),
        };
        let outlet = Outlet::open("sink".to_owned(), described, Box::new(Sink)).expect("a thread");
        Slot::new(outlet, shown, beginning)
    }

    /// Shows one file in the middle of a commit, after which an output stands at this mark.
    fn shows_a_part(slot: &mut Slot, mark: u64) -> bool {
        slot.queue.push_back(Queued {
            file: None,
            place: None,
        });
        slot.handed = Some(Handed::Files { count: 1 });
        slot.has_shown(Some(mark.into()))
    }

    #[test]
    fn the_mark_before_a_commit_is_kept_while_the_commit_is_shown_in_parts() {
        let shown = Shown {
            mark: Some(500.into()),
            ..Shown::default()
        };
        let mut slot = slot(shown, || None);
        assert!(!shows_a_part(&mut slot, 600), "nothing new to keep");
        assert_eq!(
            (&slot.mark, &slot.shown.mark),
            (&Some(600.into()), &Some(500.into()))
        );
    }

    #[test]
    fn a_window_that_changes_while_it_is_shown_is_shown_again() {
        let mut slot = slot(Shown::default(), || None);
        let handed = |as_of, next| {
            Some(Handed::Windows {
                changed: Vec::new(),
                as_of,
                next: Some(next),
            })
        };
        slot.handed = handed(7, 120);
        assert_eq!(slot.shown_before(), Some(120));
        slot.shown.changed = [(0, 7), (60, 8)].into();
        assert!(slot.has_shown(None));
        assert_eq!(slot.shown.changed, [(60, 8)].into());
        assert_eq!(slot.shown_before(), Some(120));
        slot.handed = handed(8, 240);
        assert_eq!(slot.shown_before(), Some(240));
    }

    #[test]
    fn the_first_commit_begins_at_nothing_or_at_what_the_output_begins_with() {
        let mut first = slot(Shown::default(), || None);
        assert!(shows_a_part(&mut first, 600));
        assert_eq!(
            (&first.mark, &first.shown.mark),
            (&Some(600.into()), &Some(0.into()))
        );
        let mut first = slot(Shown::default(), || Some(json!("begun")));
        assert!(!shows_a_part(&mut first, 600));
        assert_eq!(first.shown.mark, Some(json!("begun")));
        first.start_over();
        assert_eq!(
            (&first.mark, &first.shown.mark),
            (&Some(json!("begun")), &Some(json!("begun")))
        );
    }
}
