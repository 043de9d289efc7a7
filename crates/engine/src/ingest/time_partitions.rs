//! Which rows of a roll go to which time partition, and in what order: sorted by event time, one run a partition.

use std::ops::Range;

use eventlake_core::config::PartitionBy;
use eventlake_core::schema::{EVENT_TIME_MICROS_MAX, EVENT_TIME_MICROS_MIN};

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// One time partition's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first microsecond of the time partition, since 1970.
    pub starts_at_micros: i64,
    /// Places in the sorted order.
    pub rows: Range<usize>,
    pub min_micros: i64,
    pub max_micros: i64,
}

/// The rows in event-time order, cut into time partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeOrder {
    /// The row at each place of the sorted order; None when the rows are in order as they stand.
    pub order: Option<Vec<u32>>,
    pub runs: Vec<Run>,
}

/// Sorts rows by event time (rows of one time keep their order) and cuts where a time partition ends.
///
/// # Panics
/// With 2^32 rows or more: a roll ends long before.
#[must_use]
pub fn time_order(times_micros: &[i64], unit: PartitionBy) -> TimeOrder {
    let rows = u32::try_from(times_micros.len()).expect("a roll has fewer than 2^32 rows");
    let order = (!times_micros.is_sorted()).then(|| sorted_rows(times_micros, rows));
    let time_at = |place: usize| match &order {
        Some(order) => times_micros[order[place] as usize],
        None => times_micros[place],
    };
    let mut runs: Vec<Run> = Vec::new();
    // Where the time partition of the last run ends; the first row is behind it, whatever its time.
    let mut ends_at_micros = i128::MIN;
    for place in 0..times_micros.len() {
        let time = time_at(place);
        match runs.last_mut() {
            Some(run) if i128::from(time) < ends_at_micros => {
                run.rows.end = place + 1;
                run.max_micros = time;
            }
            _ => {
                let starts_at_micros = start_of(time, unit);
                ends_at_micros = end_of(starts_at_micros, unit);
                runs.push(Run {
                    starts_at_micros,
                    rows: place..place + 1,
                    min_micros: time,
                    max_micros: time,
                });
            }
        }
    }
    TimeOrder { order, runs }
}

/// The rows in the order of their times; rows of one time in their own.
///
/// Where the span of the times and the count of the rows fit 64 bits together, as they do but for times that lie
/// centuries apart, both are sorted as one number: half the bytes to move, and a comparison without a branch.
fn sorted_rows(times_micros: &[i64], rows: u32) -> Vec<u32> {
    let first = times_micros.iter().copied().min().unwrap_or(0);
    let last = times_micros.iter().copied().max().unwrap_or(0);
    let row_bits = u32::BITS - rows.leading_zeros();
    // The difference of two 64-bit numbers as a number without a sign: it never overflows.
    let span_bits = u64::BITS - (last.wrapping_sub(first) as u64).leading_zeros();
    if span_bits + row_bits > u64::BITS {
        let mut keyed: Vec<(i64, u32)> = times_micros.iter().copied().zip(0..rows).collect();
        keyed.sort_unstable();
        return keyed.into_iter().map(|(_, row)| row).collect();
    }
    let key = |(time, row): (&i64, u32)| (time.wrapping_sub(first) as u64) << row_bits | u64::from(row);
    let mut keys: Vec<u64> = times_micros.iter().zip(0..rows).map(key).collect();
    keys.sort_unstable();
    let row_mask = (1_u64 << row_bits) - 1;
    keys.into_iter().map(|key| (key & row_mask) as u32).collect()
}

/// Where the time partition ends that begins at a time; the last that a folder can name holds all later times, too.
fn end_of(starts_at_micros: i64, unit: PartitionBy) -> i128 {
    match start_of(EVENT_TIME_MICROS_MAX, unit) == starts_at_micros {
        true => i128::MAX,
        false => i128::from(starts_at_micros) + i128::from(width_of(unit)),
    }
}

fn width_of(unit: PartitionBy) -> i64 {
    match unit {
        PartitionBy::Hour => HOUR_MICROS,
        PartitionBy::Day => DAY_MICROS,
    }
}

/// The first microsecond of the time partition that holds a time.
fn start_of(time_micros: i64, unit: PartitionBy) -> i64 {
    // Times that no folder can name go to the nearest that can: see `file_writer::folder_of`.
    let clamped = time_micros.clamp(EVENT_TIME_MICROS_MIN, EVENT_TIME_MICROS_MAX);
    clamped - clamped.rem_euclid(width_of(unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_in_order_are_not_moved_and_a_late_row_gets_its_own_partition() {
        let order = time_order(&[0, 5, HOUR_MICROS], PartitionBy::Hour);
        assert_eq!(order.order, None);
        assert_eq!(order.runs.len(), 2);
        let order = time_order(
            &[HOUR_MICROS, HOUR_MICROS + 1, -1, HOUR_MICROS],
            PartitionBy::Hour,
        );
        assert_eq!(order.order, Some(vec![2, 0, 3, 1]));
        let starts: Vec<i64> = order.runs.iter().map(|run| run.starts_at_micros).collect();
        assert_eq!(starts, [-HOUR_MICROS, HOUR_MICROS]);
    }

    /// Times that fit beside their rows in 64 bits, and times that do not.
    fn any_span() -> impl Strategy<Value = Vec<i64>> {
        prop_oneof![
            prop::collection::vec(-5_i64..5, 0..100),
            prop::collection::vec(any::<i32>().prop_map(i64::from), 0..100),
            prop::collection::vec(prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)], 0..100),
        ]
    }

    proptest! {
        #[test]
        fn rows_of_one_time_keep_their_order_however_far_apart_the_times_are(times in any_span()) {
            let rows = u32::try_from(times.len()).expect("few rows");
            let mut expected: Vec<u32> = (0..rows).collect();
            expected.sort_by_key(|row| times[*row as usize]);
            prop_assert_eq!(sorted_rows(&times, rows), expected);
        }

        #[test]
        fn every_row_is_in_the_one_run_that_its_time_says(
            times in prop::collection::vec(-3 * DAY_MICROS..3 * DAY_MICROS, 0..200),
            by_day in any::<bool>(),
        ) {
            let (unit, width) =
                if by_day { (PartitionBy::Day, DAY_MICROS) } else { (PartitionBy::Hour, HOUR_MICROS) };
            let order = time_order(&times, unit);
            let places: Vec<usize> = match &order.order {
                Some(rows) => rows.iter().map(|row| *row as usize).collect(),
                None => (0..times.len()).collect(),
            };
            let mut seen = vec![false; times.len()];
            for run in &order.runs {
                let mut last = i64::MIN;
                for place in run.rows.clone() {
                    let time = times[places[place]];
                    prop_assert_eq!(time.div_euclid(width) * width, run.starts_at_micros);
                    prop_assert!(last <= time && run.min_micros <= time && time <= run.max_micros);
                    prop_assert!(!std::mem::replace(&mut seen[places[place]], true));
                    last = time;
                }
            }
            prop_assert!(seen.iter().all(|row| *row));
            let starts: Vec<i64> = order.runs.iter().map(|run| run.starts_at_micros).collect();
            prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
