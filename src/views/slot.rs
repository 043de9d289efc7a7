//! One output of one view: what it shows, what it has yet to show, and what it is working on.

use std::collections::VecDeque;

use eventlake_core::commit::File;
use eventlake_engine::lake::LogPlace;

use super::outlet::Outlet;
use super::output::Mark;
use super::state::Shown;

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
