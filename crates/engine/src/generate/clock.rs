//! When events happen: now, or spread over a span of the past with a shop's daily rhythm.

use super::random::Stream;

const MINUTE: i64 = 60 * 1_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// How busy the shop is at each hour of the day (UTC), relative to the others.
const RHYTHM: [u64; 24] = [
    14, 8, 5, 4, 4, 7, 16, 32, 48, 58, 64, 70, 82, 78, 66, 62, 66, 76, 90, 100, 98, 80, 52, 28,
];

/// Saturday and Sunday, in percent of a weekday.
const WEEKEND_PERCENT: u64 = 125;

/// A stretch of time that `count` events are spread over, all times in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub start_micros: i64,
    /// At least one.
    pub span_micros: i64,
    /// At least one.
    pub count: u64,
}

/// Hands out the times of visits one after the other, never going back.
#[derive(Clone, Debug)]
pub struct SpreadClock {
    spread: Spread,
    bucket_micros: i64,
    weight_total: u128,
    bucket: i64,
    weight_before: u128,
    given: u64,
}

impl SpreadClock {
    #[must_use]
    pub fn new(spread: Spread) -> SpreadClock {
        // Fine enough to follow the rhythm; coarser for very long spans, so that the sum below stays cheap.
        let bucket_micros = (spread.span_micros / 500_000)
            .max(10 * MINUTE)
            .min(spread.span_micros);
        let mut clock = SpreadClock {
            spread,
            bucket_micros,
            weight_total: 0,
            bucket: 0,
            weight_before: 0,
            given: 0,
        };
        let buckets = (spread.span_micros + bucket_micros - 1) / bucket_micros;
        clock.weight_total = (0..buckets).map(|bucket| clock.weight(bucket)).sum();
        clock
    }

    /// The time of the next visit: the k-th of n lies in the k-th n-th part of the span's weight.
    pub fn next_time(&mut self, chance: &mut Stream) -> i64 {
        let along = u128::from(chance.bits() >> 32);
        let position = ((u128::from(self.given) << 32) + along) * self.weight_total;
        let position = position / (u128::from(self.spread.count) << 32);
        self.given += 1;
        while position >= self.weight_before + self.weight(self.bucket) {
            self.weight_before += self.weight(self.bucket);
            self.bucket += 1;
        }
        let within = position - self.weight_before;
        let (from, micros) = self.bounds(self.bucket);
        let offset = within * u128::from(micros.cast_unsigned()) / self.weight(self.bucket);
        from + offset as i64
    }

    /// `time`, or `fallback` when that lies past the span.
    #[must_use]
    pub fn inside(&self, time: i64, fallback: i64) -> i64 {
        if time < self.spread.start_micros + self.spread.span_micros {
            time
        } else {
            fallback
        }
    }

    fn bounds(&self, bucket: i64) -> (i64, i64) {
        let offset = bucket * self.bucket_micros;
        let micros = self.bucket_micros.min(self.spread.span_micros - offset);
        (self.spread.start_micros + offset, micros)
    }

    /// Never zero: the rhythm has no zero, and no bucket is empty. In microseconds of the busiest hour, times 10,000.
    fn weight(&self, bucket: i64) -> u128 {
        let (from, micros) = self.bounds(bucket);
        let middle = from + micros / 2;
        u128::from(micros.cast_unsigned()) * u128::from(busyness(middle))
    }
}

/// The rhythm at a time, between the hours in a straight line.
fn busyness(micros: i64) -> u64 {
    let of_day = micros.rem_euclid(DAY);
    let (hour, along) = (of_day / (60 * MINUTE), (of_day % (60 * MINUTE)).cast_unsigned());
    let (from, to) = (RHYTHM[hour as usize], RHYTHM[(hour as usize + 1) % 24]);
    let hour_micros = (60 * MINUTE).cast_unsigned();
    let at = (from * (hour_micros - along) + to * along) / (hour_micros / 100);
    // 1970 began on a Thursday.
    let weekday = (micros.div_euclid(DAY) + 3).rem_euclid(7);
    if weekday >= 5 {
        at * WEEKEND_PERCENT / 100
    } else {
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(span_micros: i64, count: u64) -> Vec<i64> {
        let start_micros = 1_767_225_600_000_000; // 2026-01-01T00:00:00Z, a Thursday.
        let mut clock = SpreadClock::new(Spread {
            start_micros,
            span_micros,
            count,
        });
        let mut chance = Stream::new(1, "test");
        let times: Vec<i64> = (0..count)
            .map(|_| clock.next_time(&mut chance) - start_micros)
            .collect();
        assert!(times.is_sorted());
        assert!(*times.first().expect("one at least") >= 0);
        assert!(*times.last().expect("one at least") < span_micros);
        times
    }

    #[test]
    fn a_day_is_busy_in_the_evening_and_quiet_at_night() {
        let mut hours = [0_u64; 24];
        for time in times(DAY, 100_000) {
            hours[(time / (60 * MINUTE)) as usize] += 1;
        }
        let busiest = (0..24).max_by_key(|hour| hours[*hour]).expect("24 hours");
        assert_eq!(busiest, 19, "{hours:?}");
        assert!(hours[19] > 10 * hours[3], "{hours:?}");
        assert!(hours.iter().all(|events| *events > 0), "{hours:?}");
    }

    #[test]
    fn any_span_is_filled_from_end_to_end() {
        for (span, count) in [
            (1, 5),
            (1_000, 1),
            (1_000_000, 1_000),
            (MINUTE, 100),
            (400 * DAY, 10_000),
        ] {
            let times = times(span, count);
            if count >= 100 {
                assert!(times[0] < span / 20, "{span}: {}", times[0]);
                assert!(times[times.len() - 1] >= span - span / 20 - 1, "{span}");
            }
        }
    }
}
