//! Which windows there are to show, by what an output shows already, how far time has come, and where there are rows.

use std::time::Duration;

use eventlake_core::commit::{File, TimeSpan};
use eventlake_query::EventTimes;

use super::clock::{EventClock, Grid};
use super::state::Shown;

/// Windows that are worked out at once.
const AT_ONCE: usize = 32;
/// Empty windows that a view of one row a window shows between two that have rows.
const EMPTY_MAX: i64 = 1_440;

/// The windows to show next.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Shown before, and changed since.
    pub changed: Vec<i64>,
    /// Closed since.
    pub closed: Vec<i64>,
    /// The first one that is neither shown nor among these.
    pub next: Option<i64>,
}

/// Whether there may be windows to show.
pub fn is_behind(shown: &Shown, clock: &EventClock, grid: Grid) -> bool {
    let is_open = |watermark: i64| shown.next_window.is_some_and(|next| grid.end(next) > watermark);
    changed(shown).next().is_some() || clock.watermark().is_some_and(|watermark| !is_open(watermark))
}

/// Those that have changed since they were shown. One that changed while an output failed to show it for the first time is none.
fn changed(shown: &Shown) -> impl Iterator<Item = i64> {
    let is_shown = |start: &i64| shown.next_window.is_some_and(|next| *start < next);
    shown.changed.keys().copied().filter(is_shown)
}

/// The next windows to show. `times` are those of all files; a view of one row a window shows that of an empty window, too, between
/// two that have rows and, in a silence, after the last.
pub fn wanted(shown: &Shown, clock: &EventClock, grid: Grid, times: &[TimeSpan], is_one_row: bool) -> Wanted {
    let mut wanted = Wanted {
        changed: changed(shown).take(AT_ONCE).collect(),
        closed: Vec::new(),
        next: shown.next_window,
    };
    let Some(watermark) = clock.watermark() else {
        return wanted;
    };
    let earliest = times.iter().map(|times| times.min_micros).min();
    let Some(mut next) = shown.next_window.or(earliest.map(|time| grid.first_with(time))) else {
        return wanted;
    };
    let last = times.iter().map(|times| times.max_micros).max();
    let is_near_the_last =
        |next| last.is_some_and(|last| grid.steps(grid.first_with(last), next) <= EMPTY_MAX);
    while wanted.changed.len() + wanted.closed.len() < AT_ONCE {
        let later = times.iter().filter(|times| times.max_micros >= next);
        let time = later.map(|times| times.min_micros.max(next)).min();
        let with_rows = time.map(|time| grid.first_with(time).max(next));
        let start = match with_rows {
            Some(start) if is_one_row && grid.steps(next, start) <= EMPTY_MAX => next,
            Some(start) => start,
            None if is_one_row && is_near_the_last(next) => next,
            None => grid.first_with(watermark),
        };
        if grid.end(start) > watermark {
            next = next.max(grid.first_with(watermark));
            break;
        }
        wanted.closed.push(start);
        next = grid.following(start);
    }
    wanted.next = Some(next);
    wanted
}

/// How long a partition, or a table, is waited for when others go on.
pub fn idle_micros(roll_interval: Duration) -> i64 {
    let idle = (3 * roll_interval).max(Duration::from_secs(30));
    i64::try_from(idle.as_micros()).unwrap_or(i64::MAX)
}

/// The newest time of each file's partitions, as far as the log knows: of each partition that of the file.
pub fn newest_times(files: &[File]) -> EventTimes {
    let of = |file: &File| {
        let newest = file.times.map(|times| times.max_micros);
        let partitions: Vec<i32> = file.offsets.iter().map(|offsets| offsets.partition.0).collect();
        partitions
            .into_iter()
            .filter_map(move |partition| Some((partition, newest?)))
    };
    files.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use eventlake_core::config::WindowConfig;

    use super::*;

    const S: i64 = 1_000_000;

    fn grid(size: u64, slide: u64) -> Grid {
        Grid::new(&WindowConfig {
            size: Duration::from_secs(size),
            slide: Duration::from_secs(slide),
            lateness: Duration::ZERO,
        })
    }

    fn clock_at(secs: i64) -> EventClock {
        let mut clock = EventClock::default();
        clock.see(grid(60, 60), "a", 0, &[(0, secs * S)]);
        clock.advance(&["a".to_owned()], 0, 0);
        clock
    }

    fn times(spans: &[(i64, i64)]) -> Vec<TimeSpan> {
        let span = |(min, max): &(i64, i64)| TimeSpan {
            min_micros: min * S,
            max_micros: max * S,
        };
        spans.iter().map(span).collect()
    }

    fn secs(wanted: &Wanted) -> (Vec<i64>, Option<i64>) {
        (
            wanted.closed.iter().map(|start| start / S).collect(),
            wanted.next.map(|next| next / S),
        )
    }

    #[test]
    fn windows_without_rows_are_passed_over() {
        let files = times(&[(10, 70), (1_000_000, 1_000_100)]);
        let found = wanted(
            &Shown::default(),
            &clock_at(1_000_100),
            grid(60, 60),
            &files,
            false,
        );
        assert_eq!(secs(&found), (vec![0, 60, 999_960, 1_000_020], Some(1_000_080)));
        let shown = Shown {
            next_window: found.next,
            ..Shown::default()
        };
        assert!(!is_behind(&shown, &clock_at(1_000_100), grid(60, 60)));
        assert!(is_behind(&shown, &clock_at(1_000_140), grid(60, 60)));
    }

    #[test]
    fn a_window_that_changed_before_it_was_shown_is_shown_once() {
        let shown = Shown {
            next_window: Some(60 * S),
            changed: [(0, 3), (60 * S, 4), (120 * S, 4)].into(),
            ..Shown::default()
        };
        let found = wanted(&shown, &clock_at(130), grid(60, 60), &times(&[(0, 130)]), false);
        assert_eq!(
            (found.changed.clone(), secs(&found)),
            (vec![0], (vec![60], Some(120)))
        );
        let nothing = Shown {
            changed: [(120 * S, 4)].into(),
            next_window: Some(120 * S),
            ..Shown::default()
        };
        assert!(!is_behind(&nothing, &clock_at(130), grid(60, 60)));
    }

    #[test]
    fn a_view_of_one_row_shows_short_silences() {
        let files = times(&[(10, 70), (200, 290)]);
        let clock = clock_at(290);
        let found = wanted(&Shown::default(), &clock, grid(60, 60), &files, true);
        assert_eq!(secs(&found), (vec![0, 60, 120, 180], Some(240)));
        let found = wanted(&Shown::default(), &clock, grid(60, 60), &files, false);
        assert_eq!(secs(&found), (vec![0, 60, 180], Some(240)));
    }

    #[test]
    fn what_changed_comes_first_and_much_comes_in_parts() {
        let files = times(&[(0, 100_000)]);
        let shown = Shown {
            next_window: Some(600 * S),
            changed: [(60 * S, 3)].into(),
            ..Shown::default()
        };
        let found = wanted(&shown, &clock_at(100_000), grid(60, 60), &files, false);
        assert_eq!(found.changed, [60 * S]);
        assert_eq!(found.closed.len(), AT_ONCE - 1);
        assert_eq!(found.closed[0], 600 * S);
        assert_eq!(found.next, Some((600 + 31 * 60) * S));
    }
}
