//! One view at work: from the commits of its tables to what it keeps, and from that to what its outputs show.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::Utc;
use eventlake_core::commit::{File, TimeSpan};
use eventlake_core::config::{Config, ViewConfig, ViewStart};
use eventlake_engine::lake::{LogPlace, ValidCommit};
use eventlake_engine::telemetry::{OutputSnapshot, Telemetry, ViewSnapshot, ViewState};
use eventlake_query::{Groups, QueryError, Session, Span, Table, View, ViewKind};

use super::clock::{EventClock, Grid};
use super::compiled::{Compiled, Source};
use super::feed::{Addition, Followed, added_files};
use super::outlet::Job;
use super::output::Covers;
use super::silence::{Silence, is_all_landed};
use super::slot::{Due, Handed, Slot, open_slots, queued};
use super::state::{Kept, Positions, StateFolder, since_of};
use super::window_cache::WindowCache;
use super::windows;
use crate::sql::{Halt, lake};

/// Rows that are taken in, or handed to an output, at once: some more, as files are not divided.
const ROWS_AT_ONCE: u64 = 100_000;

/// What a view needs of its surroundings for one step.
pub struct Around<'r, 'c> {
    pub config: &'c Config,
    pub telemetry: &'r Telemetry,
    pub followed: &'r [Followed<'c>],
    /// Of each followed topic, the columns of its table.
    pub columns: &'r [SchemaRef],
    pub session: &'r mut Session,
    pub windows: &'r mut WindowCache,
    pub now: Instant,
    /// The last steps: nothing is put off.
    pub is_ending: bool,
}

pub struct LiveView<'c> {
    pub config: &'c ViewConfig,
    view: View,
    /// The view whose windows it looks at.
    source: Option<Source>,
    /// Which of the followed topics it reads.
    pub topics: Vec<usize>,
    folder: StateFolder,
    form: String,
    /// What is taken in, of each of its topics; one whose beginning is not taken in yet has no place.
    places: BTreeMap<usize, LogPlace>,
    since: Option<BTreeMap<usize, Positions>>,
    /// What is committed and not taken in yet.
    additions: VecDeque<Addition>,
    /// As of which commits its rows changed last.
    as_of: u64,
    groups: Groups,
    clock: EventClock,
    silence: Silence,
    grid: Option<Grid>,
    slots: Vec<Slot>,
    /// The whole of a running view, as of `as_of`, once somebody asked for it.
    whole: Option<Arc<[RecordBatch]>>,
    due: Instant,
    is_kept: bool,
}

impl<'c> LiveView<'c> {
    /// The view as it was left, or from its beginning where nothing of it was.
    ///
    /// # Errors
    /// When the disk or a log cannot be read, or there is no thread for an output.
    pub fn open(
        config: &'c ViewConfig,
        compiled: Compiled,
        topics: Vec<usize>,
        folder: StateFolder,
        around: &mut Around<'_, 'c>,
    ) -> anyhow::Result<LiveView<'c>> {
        let Compiled { view, source } = compiled;
        let below = source.as_ref().map(|source| source.grid);
        let form = format!("{} {:?} {below:?}", view.state_form(), config.window);
        let own = config.window.as_ref().map(Grid::new);
        let kept = folder.read()?.filter(|(kept, _)| kept.form == form);
        let (kept, groups) = match kept {
            None => (None, Vec::new()),
            Some((kept, groups)) => (Some(kept), groups),
        };
        let shown = kept.as_ref().map(|kept| kept.outputs.clone()).unwrap_or_default();
        let mut live = LiveView {
            slots: open_slots(around.config, (config, &view), shown)?,
            config,
            topics,
            folder,
            form,
            places: BTreeMap::new(),
            since: None,
            additions: VecDeque::new(),
            as_of: 0,
            groups: Groups::none(),
            clock: EventClock::default(),
            silence: Silence::default(),
            grid: own.map(|own| below.map_or(own, |below| own.over(below))),
            source,
            whole: None,
            due: around.now,
            is_kept: true,
            view,
        };
        let groups = around.session.groups_of(&live.view, &groups);
        match (kept, groups) {
            (Some(kept), Some(groups)) => live.resume(kept, groups, around)?,
            _ => live.begin(around),
        }
        Ok(live)
    }

    /// Goes on from what was kept, with the commits since.
    fn resume(&mut self, kept: Kept, groups: Groups, around: &mut Around<'_, 'c>) -> anyhow::Result<()> {
        let name_of = |topic: &usize| &around.followed[*topic].topic.name;
        let since = kept.since.as_ref();
        self.since = since.map(|since| {
            let positions = |topic: &usize| (*topic, since.get(name_of(topic)).cloned().unwrap_or_default());
            self.topics.iter().map(positions).collect()
        });
        (self.groups, self.clock, self.as_of) = (groups, kept.clock, kept.as_of);
        for topic in self.topics.clone() {
            let followed = &around.followed[topic];
            let checkpoints = &around.config.lake.checkpoints;
            let place = kept.places.get(&followed.topic.name);
            let commits = match place {
                Some(place) => followed.since(checkpoints, place)?,
                None => None,
            };
            let (Some(place), Some(commits)) = (place, commits) else {
                self.start_over(
                    "the commit log no longer tells what followed what it keeps",
                    around,
                );
                return Ok(());
            };
            self.places.insert(topic, place.clone());
            if self.view.kind() == ViewKind::Rows {
                self.refill_queues(topic, around)?;
            }
            self.take(topic, &commits);
        }
        // The mark that an output begins with is kept before the output is shown anything.
        let is_kept = |slot: &Slot| {
            let shown = kept.outputs.get(&slot.outlet.id);
            shown.is_some_and(|shown| shown.mark == slot.shown.mark)
        };
        self.is_kept = self.slots.iter().all(is_kept);
        Ok(())
    }

    /// What each output has yet to show of what the view has taken in already.
    fn refill_queues(&mut self, topic: usize, around: &Around<'_, 'c>) -> anyhow::Result<()> {
        let followed = &around.followed[topic];
        let until = self.places[&topic].number;
        for slot in &mut self.slots {
            let commits = match &slot.shown.place {
                Some(place) => followed.since(&around.config.lake.checkpoints, place)?,
                None => None,
            };
            match commits {
                Some(commits) => {
                    let missed = commits.iter().filter(|commit| commit.place.number <= until);
                    for commit in missed {
                        slot.queue
                            .extend(queued(added_files(&commit.body), &commit.place));
                    }
                }
                // It was added to the view now, or was away for longer than the log reaches back.
                None => {
                    if slot.shown.place.is_some() {
                        slot.start_over();
                    }
                    let since = since_of(&self.since, topic);
                    slot.queue
                        .extend(queued(followed.live(since).cloned().collect(), &followed.place()));
                }
            }
        }
        Ok(())
    }

    /// The view from its beginning.
    fn begin(&mut self, around: &mut Around<'_, 'c>) {
        if self.config.start == ViewStart::Now && self.since.is_none() {
            let positions = |topic: &usize| (*topic, around.followed[*topic].positions());
            self.since = Some(self.topics.iter().map(positions).collect());
        }
        (self.groups, self.clock, self.as_of) = (Groups::none(), EventClock::default(), 0);
        self.additions.clear();
        self.whole = None;
        self.is_kept = false;
        for slot in &mut self.slots {
            slot.start_over();
        }
        for topic in self.topics.clone() {
            let followed = &around.followed[topic];
            let since = since_of(&self.since, topic);
            self.places.remove(&topic);
            self.additions.push_back(Addition {
                topic,
                place: followed.place(),
                committed: Utc::now().timestamp_micros(),
                files: followed.live(since).cloned().collect(),
            });
        }
    }

    /// Gives up what it keeps and makes it anew from the lake.
    pub fn start_over(&mut self, why: &str, around: &mut Around<'_, 'c>) {
        tracing::warn!(view = %self.config.name, "the view is worked out anew from the lake: {why}");
        self.begin(around);
    }

    /// Notes what was committed to one of its topics.
    pub fn take(&mut self, topic: usize, commits: &[ValidCommit]) {
        if self.topics.contains(&topic) {
            self.additions.extend(commits.iter().map(|commit| Addition {
                topic,
                place: commit.place.clone(),
                committed: commit.time.unix_micros(),
                files: added_files(&commit.body),
            }));
        }
    }

    /// Moves on as far as can be done at once. True when there is more to do at once.
    ///
    /// # Errors
    /// When a file cannot be read or the SQL fails; nothing is lost, and the next step tries again.
    pub fn step(&mut self, around: &mut Around<'_, 'c>) -> anyhow::Result<bool> {
        match self.move_on(around) {
            Ok(is_busy) => Ok(is_busy),
            Err(Halt::Query(QueryError::Gone { path })) if !self.is_live(&path, around) => {
                self.start_over(&format!("{path} was replaced before it was read"), around);
                Ok(true)
            }
            Err(Halt::Query(error)) => Err(error.into()),
            Err(Halt::Other(error)) => Err(error),
        }
    }

    fn move_on(&mut self, around: &mut Around<'_, 'c>) -> Result<bool, Halt> {
        self.collect_answers(around.now);
        let is_due = around.is_ending || self.due <= around.now;
        let mut is_busy = false;
        if !self.additions.is_empty() || around.is_ending {
            self.silence.ends();
        } else if self.view.kind() == ViewKind::Windows {
            self.pass_silence(around);
        }
        if is_due && !self.additions.is_empty() {
            self.take_in(around)?;
            is_busy = !self.additions.is_empty();
        }
        if !self.is_kept {
            self.keep(around)?;
        }
        if is_busy {
            return Ok(true);
        }
        if is_due && let Some(every) = self.config.every {
            self.due = around.now + every;
        }
        for slot in 0..self.slots.len() {
            match self.serve(slot, around) {
                // Windows are of the files that are live, and the next step knows which are now.
                Err(Halt::Query(QueryError::Gone { path }))
                    if self.view.kind() == ViewKind::Windows && !self.is_live(&path, around) =>
                {
                    return Ok(false);
                }
                served => served?,
            }
        }
        Ok(false)
    }

    /// Whether there is a live file of this path.
    fn is_live(&self, path: &str, around: &Around<'_, 'c>) -> bool {
        let live = self
            .topics
            .iter()
            .flat_map(|topic| around.followed[*topic].live(None));
        live.map(|file| around.config.lake.data.join(file.path.as_str()))
            .any(|live| live.display().to_string() == path)
    }

    /// Whether everything committed is taken in and shown, or cannot be at present.
    pub fn is_settled(&self) -> bool {
        let settled =
            |slot: &Slot| !slot.outlet.is_busy() && (slot.outlet.trouble.is_some() || !self.is_behind(slot));
        self.is_kept && self.additions.is_empty() && self.slots.iter().all(settled)
    }

    fn is_behind(&self, slot: &Slot) -> bool {
        match self.view.kind() {
            ViewKind::Running => slot.shown.as_of < self.as_of,
            ViewKind::Rows => !slot.queue.is_empty(),
            ViewKind::Windows => windows::is_behind(&slot.shown, &self.clock, self.grid()),
        }
    }

    fn grid(&self) -> Grid {
        self.grid.expect("a view of windows has one")
    }

    fn collect_answers(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if let Some(mark) = slot.outlet.poll(&self.config.name, now)
                && slot.has_shown(mark)
            {
                self.is_kept = false;
            }
        }
    }

    /// Takes in some of what was committed.
    fn take_in(&mut self, around: &mut Around<'_, 'c>) -> Result<(), Halt> {
        let count = self.fitting(ROWS_AT_ONCE);
        match self.view.kind() {
            ViewKind::Running => self.add_to_groups(count, around)?,
            ViewKind::Rows => {
                for addition in self.additions.iter().take(count) {
                    for slot in &mut self.slots {
                        slot.queue.extend(queued(addition.files.clone(), &addition.place));
                    }
                }
            }
            ViewKind::Windows => self.pass_time(count, around)?,
        }
        for addition in self.additions.drain(..count).collect::<Vec<_>>() {
            self.places.insert(addition.topic, addition.place);
            if !addition.files.is_empty() {
                self.as_of = self.places.values().map(|place| place.number.0).sum();
                self.whole = None;
            }
        }
        self.is_kept = false;
        Ok(())
    }

    /// How many additions hold so many rows; at least one.
    fn fitting(&self, rows_max: u64) -> usize {
        let mut rows = 0;
        let fits = |addition: &&Addition| {
            let before = rows;
            rows += addition.files.iter().map(|file| file.rows).sum::<u64>();
            before < rows_max
        };
        self.additions.iter().take_while(fits).count().max(1)
    }

    fn add_to_groups(&mut self, count: usize, around: &mut Around<'_, 'c>) -> Result<(), Halt> {
        let additions: Vec<&Addition> = self.additions.iter().take(count).collect();
        if additions.iter().all(|addition| addition.files.is_empty()) {
            return Ok(());
        }
        let tables = self.tables(around, |topic| {
            let of_topic = additions.iter().filter(move |addition| addition.topic == topic);
            of_topic.flat_map(|addition| &addition.files).cloned().collect()
        });
        around.session.show(tables);
        let groups = around.session.add_rows(&self.view, &self.groups)?;
        if groups.count() > self.config.groups_max {
            return Err(Halt::Other(anyhow::anyhow!(
                "it has {} groups, and max_groups is {}\nhint: raise views.max_groups, or group by fewer columns",
                groups.count(),
                self.config.groups_max
            )));
        }
        self.groups = groups;
        Ok(())
    }

    /// Lets the event times of what was committed count.
    fn pass_time(&mut self, count: usize, around: &mut Around<'_, 'c>) -> Result<(), Halt> {
        let grid = self.grid();
        let idle = windows::idle_micros(around.config.lake.roll_interval);
        let names = self.table_names(around);
        // All together or none: an error must not leave rows that were counted and will be again.
        let mut clock = self.clock.clone();
        let mut changed: BTreeSet<i64> = BTreeSet::new();
        for addition in self.additions.iter().take(count) {
            let is_first = !self.places.contains_key(&addition.topic);
            let topic = around.followed[addition.topic].topic;
            let times = if is_first {
                windows::newest_times(&addition.files)
            } else {
                let data = &around.config.lake.data;
                let table = lake::of_files(data, topic, &around.columns[addition.topic], &addition.files);
                around.session.show(vec![table]);
                around.session.times_of(&topic.table, &topic.rules.event_time)?
            };
            if !times.is_empty() {
                changed.extend(clock.see(grid, topic.table.as_str(), addition.committed, &times));
            }
            // What was there from the beginning is one moment, whatever its topics' order.
            if !is_first {
                clock.advance(&names, idle, 0);
            }
        }
        clock.advance(&names, idle, 0);
        self.clock = clock;
        if let Some(source) = &mut self.source
            && !changed.is_empty()
        {
            source.known.clear();
        }
        let as_of = self.as_of + 1;
        for slot in &mut self.slots {
            let before = slot.shown_before();
            let is_shown = |start: &&i64| before.is_some_and(|next| **start < next);
            let changed: Vec<i64> = changed.iter().filter(is_shown).copied().collect();
            slot.shown
                .changed
                .extend(changed.into_iter().map(|start| (start, as_of)));
        }
        Ok(())
    }

    /// Lets event time go on where nothing comes, so that the last windows close and a silence is seen.
    fn pass_silence(&mut self, around: &Around<'_, 'c>) {
        let topics = self
            .topics
            .iter()
            .map(|topic| &around.followed[*topic].topic.name);
        let silent = self
            .silence
            .lasts(around.now, || is_all_landed(around.telemetry, topics));
        let Some(silent) = silent.and_then(|silent| i64::try_from(silent.as_micros()).ok()) else {
            return;
        };
        let idle = windows::idle_micros(around.config.lake.roll_interval);
        let mut clock = self.clock.clone();
        clock.advance(&self.table_names(around), idle, silent);
        // Kept only where a window has closed, not each time.
        let reached = |clock: &EventClock| clock.watermark().map(|time| self.grid().first_with(time));
        if reached(&clock) != reached(&self.clock) {
            self.clock = clock;
            self.is_kept = false;
        }
    }

    fn table_names(&self, around: &Around<'_, 'c>) -> Vec<String> {
        let name = |topic: &usize| around.followed[*topic].topic.table.to_string();
        self.topics.iter().map(name).collect()
    }

    /// Hands an output what it has yet to show, where it is free.
    fn serve(&mut self, slot: usize, around: &mut Around<'_, 'c>) -> Result<(), Halt> {
        if !self.slots[slot].outlet.is_free(around.now) || !self.is_behind(&self.slots[slot]) {
            return Ok(());
        }
        let due = match self.view.kind() {
            ViewKind::Running => self.whole(around)?,
            ViewKind::Rows => self.files_for(slot, around)?,
            ViewKind::Windows => self.windows_for(slot, around)?,
        };
        let lake = self.lake();
        let slot = &mut self.slots[slot];
        let is_nothing = match due.covers {
            Covers::Everything => false,
            Covers::Windows => due.windows.is_empty(),
            Covers::NewRows => due.rows.is_empty(),
        };
        slot.handed = Some(due.handed);
        if is_nothing {
            self.is_kept &= !slot.has_shown(slot.mark.clone());
            return Ok(());
        }
        slot.outlet.hand(Job {
            as_of: self.as_of,
            lake,
            rows: due.rows,
            covers: due.covers,
            windows: due.windows,
            mark: slot.mark.clone(),
        });
        Ok(())
    }

    /// Which commit logs it follows.
    fn lake(&self) -> Arc<str> {
        let log = |place: &LogPlace| place.log.map_or_else(String::new, |log| log.to_string());
        let logs: Vec<String> = self.places.values().map(log).collect();
        logs.join("+").into()
    }

    fn whole(&mut self, around: &mut Around<'_, 'c>) -> Result<Due, Halt> {
        if self.whole.is_none() {
            let tables = self.tables(around, |_| Vec::new());
            around.session.show(tables);
            self.whole = Some(around.session.result_of(&self.view, &self.groups)?.into());
        }
        Ok(Due {
            rows: Arc::clone(self.whole.as_ref().expect("made above")),
            covers: Covers::Everything,
            windows: Arc::new([]),
            handed: Handed::Whole { as_of: self.as_of },
        })
    }

    fn files_for(&mut self, slot: usize, around: &mut Around<'_, 'c>) -> Result<Due, Halt> {
        let mut rows_queued = 0;
        let mut files: BTreeMap<i64, Vec<File>> = BTreeMap::new();
        let mut count = 0;
        for queued in &self.slots[slot].queue {
            if rows_queued >= ROWS_AT_ONCE {
                break;
            }
            count += 1;
            if let Some(file) = &queued.file {
                rows_queued += file.rows;
                let generation = i64::from(file.generation.0);
                files.entry(generation).or_default().push(file.clone());
            }
        }
        let mut rows = Vec::new();
        for (generation, files) in files {
            let tables = self.tables(around, |_| files.clone());
            around.session.show(tables);
            rows.extend(around.session.rows_of(&self.view, generation)?);
        }
        Ok(Due {
            rows: rows.into(),
            covers: Covers::NewRows,
            windows: Arc::new([]),
            handed: Handed::Files { count },
        })
    }

    fn windows_for(&mut self, slot: usize, around: &mut Around<'_, 'c>) -> Result<Due, Halt> {
        let grid = self.grid();
        let live = |topic: usize| around.followed[topic].live(since_of(&self.since, topic));
        let times: Vec<TimeSpan> = self
            .topics
            .iter()
            .flat_map(|topic| live(*topic).filter_map(|file| file.times))
            .collect();
        let is_one_row = self.view.key() == Some(&[0]);
        let shown = &self.slots[slot].shown;
        let wanted = windows::wanted(shown, &self.clock, grid, &times, is_one_row);
        let starts: Vec<i64> = wanted.changed.iter().chain(&wanted.closed).copied().collect();
        let rows = self.rows_of_windows(&starts, around)?;
        Ok(Due {
            rows: rows.into(),
            covers: Covers::Windows,
            windows: starts.into(),
            handed: Handed::Windows {
                changed: wanted.changed,
                as_of: self.as_of,
                next: wanted.next,
            },
        })
    }

    /// The rows of the windows that begin at these times.
    fn rows_of_windows(
        &mut self,
        starts: &[i64],
        around: &mut Around<'_, 'c>,
    ) -> Result<Vec<RecordBatch>, Halt> {
        let own = Grid::new(self.config.window.as_ref().expect("a view of windows has one"));
        let spans: Vec<Span> = starts.iter().map(|start| own.span(*start)).collect();
        let Some(mut source) = self.source.take() else {
            let rows = self.windows(&self.view, &spans, around)?;
            return Ok(rows.iter().flat_map(|rows| rows.iter().cloned()).collect());
        };
        let rows = self.rows_over_windows(&spans, &mut source, around);
        self.source = Some(source);
        rows
    }

    fn rows_over_windows(
        &self,
        spans: &[Span],
        source: &mut Source,
        around: &mut Around<'_, 'c>,
    ) -> Result<Vec<RecordBatch>, Halt> {
        // What lies before the first window of all that are worked out in a row is not asked for again.
        if let Some(first) = spans.iter().map(|span| span.from).min() {
            source.known = source.known.split_off(&first);
        }
        let below = |span: &Span| source.grid.starting_within(*span);
        let wanted: BTreeSet<i64> = spans.iter().flat_map(below).collect();
        let missing: Vec<i64> = wanted
            .into_iter()
            .filter(|start| !source.known.contains_key(start))
            .collect();
        let times: Vec<Span> = missing.iter().map(|start| source.grid.span(*start)).collect();
        let found = self.windows(&source.view, &times, around)?;
        source.known.extend(missing.into_iter().zip(found));
        let windows = spans.iter().map(|span| {
            let below = source.known.range(span.from..span.until);
            let rows = below.flat_map(|(_, rows)| rows.iter().cloned()).collect();
            (*span, rows)
        });
        let looked_at = (&source.name, &source.view);
        let rows = around
            .session
            .windows_of_windows(&self.view, looked_at, windows)?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// The rows of each window of a view over this one's tables.
    fn windows(
        &self,
        view: &View,
        spans: &[Span],
        around: &mut Around<'_, 'c>,
    ) -> Result<Vec<Arc<[RecordBatch]>>, Halt> {
        let Some(all) = Span::around(spans) else {
            return Ok(Vec::new());
        };
        let tables = self.tables(around, |topic| {
            let live = around.followed[topic].live(since_of(&self.since, topic));
            live.filter(|file| all.overlaps(file)).cloned().collect()
        });
        Ok(around.windows.of(around.session, view, spans, &tables)?)
    }

    /// Its tables, each with the files that are named for its topic.
    fn tables(&self, around: &Around<'_, 'c>, files: impl Fn(usize) -> Vec<File>) -> Vec<Table> {
        let table = |topic: &usize| {
            let of = around.followed[*topic].topic;
            lake::of_files(
                &around.config.lake.data,
                of,
                &around.columns[*topic],
                &files(*topic),
            )
        };
        self.topics.iter().map(table).collect()
    }

    fn keep(&mut self, around: &Around<'_, 'c>) -> anyhow::Result<()> {
        if self.places.len() < self.topics.len() {
            return Ok(()); // not before its beginning is taken in as a whole
        }
        let name = |topic: &usize| around.followed[*topic].topic.name.clone();
        let since = |since: &BTreeMap<usize, Positions>| {
            let named = since.iter();
            named.map(|(topic, since)| (name(topic), since.clone())).collect()
        };
        let places = self.places.iter();
        let kept = Kept {
            form: self.form.clone(),
            places: places
                .map(|(topic, place)| (name(topic), place.clone()))
                .collect(),
            since: self.since.as_ref().map(since),
            as_of: self.as_of,
            clock: self.clock.clone(),
            outputs: self
                .slots
                .iter()
                .map(|slot| (slot.outlet.id.clone(), slot.shown.clone()))
                .collect(),
        };
        self.folder.write(&kept, &self.groups.to_bytes()?)?;
        self.is_kept = true;
        Ok(())
    }

    /// How it is doing.
    pub fn snapshot(&self, trouble: Option<&str>) -> ViewSnapshot {
        let output = |slot: &Slot| OutputSnapshot {
            output: slot.outlet.id.clone(),
            up_to_date: self.additions.is_empty() && !self.is_behind(slot),
            trouble: slot.outlet.trouble.clone(),
            rows: slot.outlet.rows_shown,
        };
        ViewSnapshot {
            view: self.config.name.clone(),
            state: match trouble {
                None => ViewState::Running,
                Some(why) => ViewState::Failing { why: why.to_owned() },
            },
            as_of: self.as_of,
            behind_commits: self.additions.len() as u64,
            groups: self.groups.count(),
            state_bytes: self.groups.bytes(),
            watermark_unix_micros: self.clock.watermark(),
            too_late_rows: self.clock.too_late(),
            outputs: self.slots.iter().map(output).collect(),
        }
    }
}
