//! How fast a counter grows, from samples of it taken now and then.

use std::collections::VecDeque;

/// The span that a rate is told over, in milliseconds.
const SPAN_MILLIS: i64 = 10_000;
/// Samples nearer to the last one than this add nothing.
const APART_MILLIS: i64 = 500;

/// The samples of the last ten seconds. Bounded, since samples are kept apart and old ones go.
#[derive(Debug, Default)]
pub struct RateMeter {
    samples: VecDeque<(i64, u64)>,
}

impl RateMeter {
    /// Notes that the counter stood at `count` at a time in milliseconds since 1970.
    pub fn sample(&mut self, at_unix_millis: i64, count: u64) {
        match self.samples.back() {
            // The clock was set back, or the counter began anew: what was noted before means nothing now.
            Some((last, before)) if at_unix_millis < *last || count < *before => self.samples.clear(),
            Some((last, _)) if at_unix_millis - last < APART_MILLIS => return,
            _ => {}
        }
        self.samples.push_back((at_unix_millis, count));
        while self.samples.len() > 2 && at_unix_millis - self.samples[1].0 >= SPAN_MILLIS {
            self.samples.pop_front();
        }
    }

    /// How much the counter grew a second, over the samples held; none before there are two.
    #[must_use]
    pub fn per_sec(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (*self.samples.front()?, *self.samples.back()?);
        (to > from).then(|| (after - before) as f64 * 1000.0 / (to - from) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_forgets_what_is_older_than_its_span() {
        let mut meter = RateMeter::default();
        meter.sample(0, 0);
        assert_eq!(meter.per_sec(), None);
        for second in 1..=20 {
            meter.sample(second * 1000, 100 * u64::try_from(second).expect("positive"));
        }
        assert_eq!(meter.per_sec(), Some(100.0));
        for second in 21..=40 {
            meter.sample(second * 1000, 2000);
        }
        assert_eq!(meter.per_sec(), Some(0.0), "nothing came for twenty seconds");
    }

    #[test]
    fn any_number_of_samplers_leave_a_bounded_number_of_samples() {
        let mut meter = RateMeter::default();
        for millis in 0..100_000 {
            meter.sample(millis, 1);
        }
        assert!(meter.samples.len() <= 22, "{}", meter.samples.len());
        meter.sample(5, 0);
        assert_eq!(
            meter.per_sec(),
            None,
            "a clock that was set back starts the meter anew"
        );
    }
}
