//! Events that look like a real shop's, and the producer that delivers them.
//!
//! ```text
//! shop (visits) + clock (when) -> event (JSON) -> source (late? broken?) -> produce (Kafka) or any writer
//! ```

mod broken;
mod clock;
mod deliveries;
mod event;
mod json;
mod produce;
mod progress;
mod random;
mod shop;
mod source;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

pub use broken::Fault;
pub use clock::Spread;
pub use deliveries::DeliveryLogError;
pub use event::Kind;
pub use produce::run;
pub use progress::{Counts, Progress, Report, TopicProgress};
pub use source::{Nature, Plan, Record, Source};

/// What to generate, where to, and how fast.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kinds of events, each with the topic it goes to.
    pub topics: Vec<(Kind, String)>,
    /// Events a topic; None: until it is stopped.
    pub count: Option<u64>,
    /// Events a second and topic; None: as fast as the cluster takes them.
    pub rate: Option<f64>,
    pub seed: u64,
    /// Start and length, in microseconds, of the stretch of time that the events are spread over, with the rhythm
    /// of days and weeks. It needs a `count`. None: they happen now.
    pub spread: Option<(i64, i64)>,
    /// Shares, 0.0 to 1.0, of broken and of late records.
    pub invalid: f64,
    pub late: f64,
    /// Where to log each confirmed delivery.
    pub deliveries: Option<PathBuf>,
}

impl Options {
    /// All four topics under their own names, valid and on time, without end.
    #[must_use]
    pub fn new(seed: u64) -> Options {
        Options {
            topics: Kind::ALL.map(|kind| (kind, kind.topic().to_owned())).into(),
            count: None,
            rate: None,
            seed,
            spread: None,
            invalid: 0.0,
            late: 0.0,
            deliveries: None,
        }
    }

    #[must_use]
    pub fn plan(&self) -> Plan {
        let spread = self
            .spread
            .zip(self.count)
            .map(|((start_micros, span_micros), count)| Spread {
                start_micros,
                span_micros: span_micros.max(1),
                count: count.max(1),
            });
        Plan {
            kinds: self.topics.iter().map(|(kind, _)| *kind).collect(),
            seed: self.seed,
            spread,
            invalid: self.invalid,
            late: self.late,
        }
    }
}

/// Why generating stopped. Records that could not be delivered are counted in the report instead.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error("topic {topic} does not exist on this cluster\nhint: create it with: eventlake topics create")]
    UnknownTopic { topic: String },
    #[error("a producer cannot be made from [kafka]: {reason}")]
    Client { reason: String },
    #[error(transparent)]
    DeliveryLog(#[from] DeliveryLogError),
}

/// Writes the payloads instead, one a line, in the order in which they would be sent. An invalid event may be an
/// empty line, but never more than one. Pays no heed to the rate.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_lines(
    options: &Options,
    out: &mut impl Write,
    now_micros: impl Fn() -> i64,
    stop: &AtomicBool,
) -> io::Result<u64> {
    let mut source = Source::new(&options.plan());
    let mut written = 0;
    for _ in 0..options.count.unwrap_or(u64::MAX) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        for _ in &options.topics {
            out.write_all(source.next_record(now_micros()).payload)?;
            out.write_all(b"\n")?;
            written += 1;
        }
    }
    out.flush()?;
    Ok(written)
}
