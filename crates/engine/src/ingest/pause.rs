//! A topic that waits for its disk or its cluster: said when it begins, now and then, and when it is over.

use std::time::{Duration, Instant};

use crate::telemetry::{TopicState, TopicTelemetry};

/// Between two reminders of one pause: from the first to the longest.
const REMINDER: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// A pause under way.
#[derive(Debug)]
pub struct Pause {
    since: Instant,
    said: Option<Instant>,
    next_reminder: Duration,
}

impl Pause {
    #[must_use]
    pub fn begin(now: Instant) -> Pause {
        Pause {
            since: now,
            said: None,
            next_reminder: REMINDER.0,
        }
    }

    /// It was tried, and did not work. The state tells the latest reason; the log is told seldom, since a reason may name
    /// another file at each try.
    pub fn go_on(&mut self, why: &str, telemetry: &TopicTelemetry, now: Instant) {
        let why = one_line(why);
        match self.said {
            None => {
                tracing::warn!(topic = %telemetry.name(), "paused, trying again: {why}");
                self.said = Some(now);
            }
            Some(said) if now.duration_since(said) >= self.next_reminder => {
                let secs = now.duration_since(self.since).as_secs();
                tracing::warn!(topic = %telemetry.name(), "still paused after {secs} s, trying again: {why}");
                self.said = Some(now);
                self.next_reminder = (self.next_reminder * 2).min(REMINDER.1);
            }
            Some(_) => {}
        }
        telemetry.set_state(TopicState::Paused { why });
    }

    /// It works again, and the topic is in this state.
    pub fn end(self, telemetry: &TopicTelemetry, state: TopicState) {
        let secs = self.since.elapsed().as_secs_f64();
        tracing::info!(topic = %telemetry.name(), "goes on after {secs:.1} s");
        telemetry.set_state(state);
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use eventlake_core::names::{TableName, TopicName};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            struct Message(String);
            impl Visit for Message {
                fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                    if field.name() == "message" {
                        self.0 = format!("{value:?}");
                    }
                }
            }
            let mut message = Message(String::new());
            event.record(&mut message);
            self.0.lock().expect("unpoisoned").push(message.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_long_pause_is_said_a_few_times_and_not_at_each_try() {
        let telemetry = TopicTelemetry::new(
            TopicName::new("clicks").expect("a name"),
            TableName::new("clicks").expect("a name"),
        );
        let lines = Lines::default();
        let began = Instant::now();
        tracing::subscriber::with_default(lines.clone(), || {
            let mut pause = Pause::begin(began);
            for second in 0..1_000 {
                let why = format!("cannot write file {second}: full\nhint: free some space");
                pause.go_on(&why, &telemetry, began + Duration::from_secs(second));
            }
            let TopicState::Paused { why } = telemetry.state() else {
                panic!("not paused")
            };
            assert_eq!(why, "cannot write file 999: full; hint: free some space");
            pause.end(&telemetry, TopicState::Running);
        });
        let lines = lines.0.lock().expect("unpoisoned").clone();
        // At the beginning, after 1, 3, 7 and 15 minutes, at the end.
        assert_eq!(lines.len(), 6, "{lines:#?}");
        assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:#?}");
        assert!(lines[1].starts_with("still paused after 60 s"), "{}", lines[1]);
        assert_eq!(telemetry.state(), TopicState::Running);
    }
}
