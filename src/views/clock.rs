//! Event time as a view of windows sees it: how far it has come, which windows rows have changed, and which rows are too late.

use std::collections::{BTreeMap, BTreeSet};

use eventlake_core::config::WindowConfig;
use eventlake_query::Span;
use serde::{Deserialize, Serialize};

/// A window's bounds in microseconds; one begins at every multiple of `slide`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    size: i64,
    slide: i64,
    lateness: i64,
}

impl Grid {
    pub fn new(window: &WindowConfig) -> Grid {
        let micros = |duration: std::time::Duration| {
            i64::try_from(duration.as_micros()).expect("windows are at most a month")
        };
        Grid {
            size: micros(window.size),
            slide: micros(window.slide),
            lateness: micros(window.lateness),
        }
    }

    /// The grid of windows of this size over the windows of another grid: they close when the last window in them does.
    pub fn over(self, below: Grid) -> Grid {
        Grid {
            size: self.size + below.size - below.slide,
            ..self
        }
    }

    /// The windows that begin within a span, ascending.
    pub fn starting_within(self, span: Span) -> impl Iterator<Item = i64> {
        let first = -(-span.from).div_euclid(self.slide) * self.slide;
        (0..)
            .map(move |number| first + number * self.slide)
            .take_while(move |start| *start < span.until)
    }

    pub fn span(self, start: i64) -> Span {
        Span {
            from: start,
            until: start + self.size,
        }
    }

    pub fn end(self, start: i64) -> i64 {
        start + self.size
    }

    pub fn following(self, start: i64) -> i64 {
        start + self.slide
    }

    /// Windows from one start to another.
    pub fn steps(self, from: i64, to: i64) -> i64 {
        (to - from) / self.slide
    }

    /// The first window that holds this time.
    pub fn first_with(self, time: i64) -> i64 {
        ((time - self.size).div_euclid(self.slide) + 1) * self.slide
    }

    /// Every window that holds this time, ascending.
    fn windows_with(self, time: i64) -> impl Iterator<Item = i64> {
        let first = self.first_with(time);
        (0..)
            .map(move |number| first + number * self.slide)
            .take_while(move |start| *start <= time)
    }
}

/// One partition of one table. A topic's lives share their numbers.
type Stream = (String, i32);

/// How far event time has come, by the commits seen and the silence after them. It reads no clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventClock {
    /// Of each partition, its newest event time and when it was committed last.
    #[serde(with = "as_list")]
    streams: BTreeMap<Stream, Seen>,
    /// When the first and the newest commit were made.
    first_commit: Option<i64>,
    newest_commit: i64,
    /// Windows that end here or before are closed. It never goes back.
    watermark: Option<i64>,
    /// Rows that no window took any more.
    too_late: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    newest: i64,
    committed: i64,
}

impl EventClock {
    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }

    pub fn too_late(&self) -> u64 {
        self.too_late
    }

    /// Takes the rows that one commit added to one table, as partition and event time; answers which closed windows they change.
    pub fn see(&mut self, grid: Grid, table: &str, committed: i64, rows: &[(i32, i64)]) -> BTreeSet<i64> {
        self.first_commit.get_or_insert(committed);
        self.newest_commit = self.newest_commit.max(committed);
        let mut changed = BTreeSet::new();
        if let Some(watermark) = self.watermark {
            for (_, time) in rows.iter().filter(|(_, time)| *time < watermark) {
                let mut is_taken = false;
                for start in grid.windows_with(*time) {
                    if grid.end(start) > watermark {
                        is_taken = true;
                    } else if grid.end(start) + grid.lateness > watermark {
                        is_taken = true;
                        changed.insert(start);
                    }
                }
                self.too_late += u64::from(!is_taken);
            }
        }
        for (partition, time) in rows {
            let seen = self
                .streams
                .entry((table.to_owned(), *partition))
                .or_insert(Seen {
                    newest: *time,
                    committed,
                });
            seen.newest = seen.newest.max(*time);
            seen.committed = seen.committed.max(committed);
        }
        changed
    }

    /// Lets time pass up to where all partitions that are not idle have come. A table without rows holds it up as an idle
    /// partition would: for `idle_micros` of commits.
    ///
    /// When nothing has come for longer than that, all are idle: event time goes on from where it was, as fast as the silence lasts.
    pub fn advance(&mut self, tables: &[String], idle_micros: i64, silent_micros: i64) {
        let is_awake = |committed: i64| self.newest_commit - committed <= idle_micros;
        let first = self.first_commit.unwrap_or(self.newest_commit);
        let is_young = is_awake(first - silent_micros);
        let is_waited_for = |table: &String| is_young && !self.streams.keys().any(|(of, _)| of == table);
        if tables.iter().any(is_waited_for) {
            return;
        }
        let awake = self.streams.values().filter(|seen| is_awake(seen.committed));
        let passed = (silent_micros - idle_micros).max(0);
        let reached = awake.map(|seen| seen.newest.saturating_add(passed)).min();
        self.watermark = self.watermark.max(reached);
    }
}

/// JSON has no objects with pairs as keys.
mod as_list {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{BTreeMap, Seen, Stream};

    pub fn serialize<S: Serializer>(
        streams: &BTreeMap<Stream, Seen>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        streams.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Stream, Seen>, D::Error> {
        Ok(Vec::<(Stream, Seen)>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const S: i64 = 1_000_000;
    const IDLE: i64 = 30 * S;

    fn grid(size: u64, slide: u64, lateness: u64) -> Grid {
        Grid::new(&WindowConfig {
            size: Duration::from_secs(size),
            slide: Duration::from_secs(slide),
            lateness: Duration::from_secs(lateness),
        })
    }

    fn tables(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_time_lies_in_every_window_that_holds_it() {
        let sliding = grid(60, 10, 0);
        let starts: Vec<i64> = sliding.windows_with(65 * S).map(|start| start / S).collect();
        assert_eq!(starts, [10, 20, 30, 40, 50, 60]);
        assert_eq!(
            sliding.first_with(60 * S),
            10 * S,
            "the end does not belong to it"
        );
        let before: Vec<i64> = grid(60, 60, 0).windows_with(-1).map(|start| start / S).collect();
        assert_eq!(before, [-60], "before 1970, too");
    }

    #[test]
    fn windows_over_windows_close_with_the_last_of_them() {
        let (below, own) = (grid(60, 20, 0), grid(120, 20, 0));
        let over = own.over(below);
        let starts: Vec<i64> = below
            .starting_within(own.span(0))
            .map(|start| start / S)
            .collect();
        assert_eq!(starts, [0, 20, 40, 60, 80, 100]);
        assert_eq!(over.end(0), below.end(100 * S));
        // A row changes every window that holds a window that holds it.
        let touched: Vec<i64> = over.windows_with(5 * S).map(|start| start / S).collect();
        let expected: Vec<i64> = (-20..20)
            .map(|number| number * 20)
            .filter(|start| {
                let mut windows = below.starting_within(own.span(start * S));
                windows.any(|window| window <= 5 * S && below.end(window) > 5 * S)
            })
            .collect();
        assert_eq!(touched, expected);
    }

    #[test]
    fn the_slowest_partition_that_is_awake_decides() {
        let (grid, all) = (grid(60, 60, 0), tables(&["a"]));
        let mut clock = EventClock::default();
        clock.see(grid, "a", 0, &[(0, 100 * S), (1, 40 * S)]);
        clock.advance(&all, IDLE, 0);
        assert_eq!(clock.watermark(), Some(40 * S));
        clock.see(grid, "a", 31 * S, &[(0, 200 * S)]);
        clock.advance(&all, IDLE, 0);
        assert_eq!(clock.watermark(), Some(200 * S), "partition 1 is idle");
        clock.see(grid, "a", 32 * S, &[(1, 50 * S)]);
        clock.advance(&all, IDLE, 0);
        assert_eq!(clock.watermark(), Some(200 * S), "it never goes back");
    }

    #[test]
    fn a_table_without_rows_is_waited_for_as_long_as_an_idle_partition() {
        let (grid, all) = (grid(60, 60, 0), tables(&["a", "b"]));
        let mut clock = EventClock::default();
        clock.see(grid, "a", 0, &[(0, 100 * S)]);
        clock.advance(&all, IDLE, 0);
        assert_eq!(clock.watermark(), None);
        clock.see(grid, "a", 31 * S, &[(0, 110 * S)]);
        clock.advance(&all, IDLE, 0);
        assert_eq!(clock.watermark(), Some(110 * S));
    }

    #[test]
    fn in_silence_event_time_goes_on_once_all_are_idle() {
        let (grid, all) = (grid(60, 60, 0), tables(&["a", "b"]));
        let mut clock = EventClock::default();
        clock.see(grid, "a", 0, &[(0, 100 * S)]);
        clock.advance(&all, IDLE, IDLE);
        assert_eq!(clock.watermark(), None, "b may still come");
        clock.advance(&all, IDLE, IDLE + S);
        assert_eq!(clock.watermark(), Some(101 * S));
        clock.advance(&all, IDLE, IDLE + 50 * S);
        assert_eq!(clock.watermark(), Some(150 * S));
        clock.advance(&all, IDLE, 0);
        assert_eq!(clock.watermark(), Some(150 * S), "it never goes back");
        clock.see(grid, "b", 90 * S, &[(0, 170 * S)]);
        clock.advance(&all, IDLE, 0);
        assert_eq!(clock.watermark(), Some(170 * S));
    }

    #[test]
    fn late_rows_change_closed_windows_until_the_lateness_is_over() {
        let (grid, all) = (grid(60, 60, 30), tables(&["a"]));
        let mut clock = EventClock::default();
        assert!(clock.see(grid, "a", 0, &[(0, 125 * S)]).is_empty());
        clock.advance(&all, IDLE, 0);
        let changed = clock.see(grid, "a", 1, &[(0, 70 * S), (0, 10 * S), (0, 121 * S)]);
        assert_eq!(
            changed,
            BTreeSet::from([60 * S]),
            "the first minute takes nothing any more"
        );
        assert_eq!(clock.too_late(), 1);
    }

    #[test]
    fn it_is_the_same_after_it_was_kept() {
        let mut clock = EventClock::default();
        clock.see(grid(60, 10, 0), "a", 5, &[(0, 1), (3, 2)]);
        clock.advance(&tables(&["a"]), IDLE, 0);
        let kept = serde_json::to_string(&clock).expect("JSON");
        assert_eq!(serde_json::from_str::<EventClock>(&kept).expect("a clock"), clock);
    }
}
