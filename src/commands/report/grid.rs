//! Rows over time as a grid of characters: a line a day with a cell an hour, or a line a month with a cell a day, and so on.

use chrono::{DateTime, Datelike as _, NaiveDate};

use super::figures::{Moment, Step, Unit, Volume};
use super::shown;
use super::volume::{between, coarsened, coarser, start};

/// Lines that a reader still takes in.
const LINES_MAX: usize = 31;

pub struct Grid {
    /// Of the cells.
    pub unit: Unit,
    pub lines: Vec<Line>,
    /// Lines before those, which are left out.
    pub left_out: usize,
    /// Rows of the fullest cell.
    pub greatest: u64,
}

pub struct Line {
    pub label: String,
    /// Every step of the line; None outside of the period.
    cells: Vec<Option<u64>>,
    pub rows: u64,
}

impl Grid {
    /// The finest grid that is not too long. Lines without rows are left out.
    pub fn of(volume: &Volume) -> Grid {
        let (mut unit, mut steps) = (volume.unit, volume.steps.clone());
        loop {
            let mut lines = lines(unit, &steps);
            match coarser(unit) {
                Some(next) if lines.len() > LINES_MAX => {
                    unit = next;
                    steps = coarsened(&steps, unit);
                }
                _ => {
                    let left_out = lines.len().saturating_sub(LINES_MAX);
                    lines.drain(..left_out);
                    return Grid {
                        unit,
                        lines,
                        left_out,
                        greatest: steps.iter().map(|step| step.rows).max().unwrap_or(0),
                    };
                }
            }
        }
    }

    /// What a line and a cell are.
    pub fn legend(&self) -> String {
        let line = match self.unit {
            Unit::Hour => "day",
            Unit::Day => "month",
            Unit::Month => "year",
            Unit::Year => "decade",
        };
        format!("rows by {}, a line a {line}, UTC", self.unit.as_str())
    }

    /// What stands above the cells.
    pub fn axis(&self) -> String {
        let (step, first, width) = match self.unit {
            Unit::Hour => (6, 0, 24),
            Unit::Day => (10, 1, 31),
            Unit::Month => (3, 1, 12),
            Unit::Year => (5, 0, 10),
        };
        let space = step * self.cell_width();
        let marks = (0..width).step_by(step);
        let axis: String = marks.map(|at| format!("{:<space$}", at + first)).collect();
        axis.trim_end().to_owned()
    }

    /// A line's cells.
    pub fn cells(&self, line: &Line) -> String {
        let cell = |rows: &Option<u64>| match rows {
            None => " ".repeat(self.cell_width()),
            Some(rows) => shown::blocks([*rows], self.greatest).repeat(self.cell_width()),
        };
        line.cells.iter().map(cell).collect()
    }

    fn cell_width(&self) -> usize {
        match self.unit {
            Unit::Hour => 2,
            Unit::Day => 1,
            Unit::Month | Unit::Year => 3,
        }
    }
}

fn lines(unit: Unit, steps: &[Step]) -> Vec<Line> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Vec::new();
    };
    let mut lines: Vec<(Moment, Line)> = Vec::new();
    for step in steps {
        let from = line_start(unit, step.from);
        if lines.last().is_none_or(|(start, _)| *start != from) {
            let cells = (0..cells_of(unit, from)).map(|_| Some(0)).collect();
            let label = match unit {
                Unit::Hour => shown::step(Unit::Day, from),
                Unit::Day => shown::step(Unit::Month, from),
                Unit::Month | Unit::Year => shown::step(Unit::Year, from),
            };
            lines.push((
                from,
                Line {
                    label,
                    cells,
                    rows: 0,
                },
            ));
        }
        let line = &mut lines.last_mut().expect("pushed above").1;
        line.rows += step.rows;
        let at = usize::try_from(between(unit, from, step.from)).unwrap_or(usize::MAX);
        if let Some(cell) = line.cells.get_mut(at) {
            *cell = Some(step.rows);
        }
    }
    let clear = |line: &mut (Moment, Line), outside: &dyn Fn(usize) -> bool| {
        let cells = line.1.cells.iter_mut().enumerate();
        cells
            .filter(|(at, _)| outside(*at))
            .for_each(|(_, cell)| *cell = None);
    };
    let place = |at: Moment| between(unit, line_start(unit, at), at) as usize;
    clear(lines.first_mut().expect("there are steps"), &|at| {
        at < place(first.from)
    });
    clear(lines.last_mut().expect("there are steps"), &|at| {
        at > place(last.from)
    });
    lines.into_iter().map(|(_, line)| line).collect()
}

fn line_start(unit: Unit, at: Moment) -> Moment {
    match coarser(unit) {
        Some(line) => start(line, at),
        None => {
            let date = DateTime::from_timestamp_micros(at.0).map(|time| time.date_naive());
            let decade = date.and_then(|date| NaiveDate::from_ymd_opt(date.year().div_euclid(10) * 10, 1, 1));
            let start = decade.and_then(|date| date.and_hms_opt(0, 0, 0));
            start.map_or(at, |time| Moment(time.and_utc().timestamp_micros()))
        }
    }
}

fn cells_of(unit: Unit, line: Moment) -> u64 {
    match unit {
        Unit::Hour => 24,
        Unit::Day => between(Unit::Day, line, super::volume::next(Unit::Month, line)),
        Unit::Month => 12,
        Unit::Year => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn grid(hours: &[(i64, u64)]) -> Grid {
        let steps = hours.iter().map(|(hour, rows)| Step {
            from: Moment(hour * HOUR),
            rows: *rows,
        });
        Grid::of(&Volume {
            unit: Unit::Hour,
            steps: steps.collect(),
            empty_steps: 0,
            longest_gap: None,
            rows_without_time: 0,
        })
    }

    #[test]
    fn hours_have_their_places_in_the_lines_of_their_days() {
        let grid = grid(&[(22, 8), (24, 4), (27, 1), (72, 8)]);
        let lines: Vec<(String, String, u64)> = grid
            .lines
            .iter()
            .map(|line| {
                (
                    line.label.clone(),
                    grid.cells(line).trim_end().to_owned(),
                    line.rows,
                )
            })
            .collect();
        assert_eq!(
            lines[0],
            ("1970-01-01".to_owned(), format!("{}██··", " ".repeat(44)), 8)
        );
        assert_eq!(
            lines[1],
            ("1970-01-02".to_owned(), format!("▄▄····▁▁{}", "·".repeat(40)), 5)
        );
        assert_eq!(lines[2], ("1970-01-04".to_owned(), "██".to_owned(), 8));
        assert_eq!(grid.axis(), "0           6           12          18");
        assert_eq!(grid.greatest, 8);
    }

    #[test]
    fn long_periods_have_coarser_cells_and_lose_no_row() {
        for (days, unit) in [
            (31, Unit::Hour),
            (60, Unit::Day),
            (2_000, Unit::Month),
            (40_000, Unit::Year),
        ] {
            let hours: Vec<(i64, u64)> = (0..days).map(|day| (day * 24, 1)).collect();
            let grid = grid(&hours);
            assert_eq!(grid.unit, unit, "{days} days");
            assert!(grid.lines.len() <= LINES_MAX);
            assert_eq!(grid.lines.iter().map(|line| line.rows).sum::<u64>(), days as u64);
            for line in &grid.lines {
                let cells = line.cells.iter().flatten().sum::<u64>();
                assert_eq!(cells, line.rows, "{}", line.label);
            }
        }
        let ages: Vec<(i64, u64)> = (0..60).map(|index| (index * 24 * 366 * 10, 1)).collect();
        let grid = grid(&ages);
        assert_eq!(grid.lines.len() + grid.left_out, 60);
    }

    #[test]
    fn nothing_is_no_line() {
        assert!(grid(&[]).lines.is_empty());
    }
}
