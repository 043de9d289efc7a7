//! How long nothing has come to a view's tables although everything that Kafka has of them is landed.

use std::time::{Duration, Instant};

use eventlake_core::names::TopicName;
use eventlake_engine::telemetry::{KafkaState, Telemetry, TopicState};

/// How often it is looked whether everything is landed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Silence as this process hears it. What went by before a start counts for nothing: there may be a backlog.
#[derive(Debug, Default)]
pub struct Silence {
    since: Option<Instant>,
    looked: Option<Instant>,
}

impl Silence {
    /// Something came, or may still come from before.
    pub fn ends(&mut self) {
        self.since = None;
    }

    /// How long it has lasted, once a look is due; None at other times, and while there is none.
    pub fn lasts(&mut self, now: Instant, is_all_landed: impl FnOnce() -> bool) -> Option<Duration> {
        if self
            .looked
            .is_some_and(|looked| now.duration_since(looked) < LOOK_EVERY)
        {
            return None;
        }
        self.looked = Some(now);
        if !is_all_landed() {
            self.ends();
            return None;
        }
        Some(now.duration_since(*self.since.get_or_insert(now)))
    }
}

/// Whether this process reads these topics, to their ends, and all it read is committed.
pub fn is_all_landed<'t>(telemetry: &Telemetry, topics: impl IntoIterator<Item = &'t TopicName>) -> bool {
    let is_landed = |topic: &TopicName| {
        telemetry.topic(topic).is_some_and(|topic| {
            let seen = topic.snapshot();
            seen.state == TopicState::Running && !seen.partitions.is_empty() && seen.lag_records == Some(0)
        })
    };
    telemetry.kafka() == KafkaState::Connected && topics.into_iter().all(is_landed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_when_all_is_landed_and_ends_with_what_comes() {
        let begin = Instant::now();
        let at = |secs| begin + Duration::from_secs(secs);
        let mut silence = Silence::default();
        assert_eq!(silence.lasts(at(0), || false), None);
        assert_eq!(silence.lasts(at(10), || true), Some(Duration::ZERO));
        assert_eq!(silence.lasts(at(40), || true), Some(Duration::from_secs(30)));
        let too_early = at(40) + LOOK_EVERY / 2;
        assert_eq!(
            silence.lasts(too_early, || panic!("looked at twice a second")),
            None
        );
        silence.ends();
        assert_eq!(silence.lasts(at(50), || true), Some(Duration::ZERO));
        assert_eq!(silence.lasts(at(60), || false), None);
        assert_eq!(silence.lasts(at(70), || true), Some(Duration::ZERO));
    }
}
