//! Log lines on stderr: quiet aligned prose for people, or one JSON object a line for machines.
//!
//! A line of prose is the time, the topic it is about if there is one, the message, then the other fields:
//!
//! ```text
//! 14:03:20  clicks          landed 12,345 rows in 2 files  rejected=4 lag=0
//! 14:03:21  tickets         WARN  the broker is away, trying again  broker=127.0.0.1:9092
//! ```
//!
//! So an event that is about a topic carries it as the field `topic`, never inside the message.

use std::fmt;
use std::io::{self, IsTerminal as _};

use chrono::{Local, SecondsFormat, Utc};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Global, LogFormat, visible};

/// Wide enough for most topic names; a longer one shifts its own line only.
const TOPIC_WIDTH: usize = 14;

/// The target of events whose message says all that their fields do: the fields are for machines alone.
const WHOLE_SENTENCE: &str = "eventlake_roll";

/// Starts logging for the process; called once, before anything logs.
pub(super) fn start(global: &Global, draws_on_the_terminal: bool) {
    let own = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::WARN,
        (false, 0) if draws_on_the_terminal => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    // Dependencies speak only when something is odd, or when all there is to know is asked for.
    let others = if global.verbose > 1 {
        LevelFilter::DEBUG
    } else {
        LevelFilter::WARN
    };
    let filter = Targets::new().with_default(others).with_target("eventlake", own);
    let registry = tracing_subscriber::registry().with(filter);
    // A logger that is already there belongs to whoever embeds this (a test): it stays.
    let _ = match global.log_format {
        LogFormat::Json => {
            let json = tracing_subscriber::fmt::layer()
                .with_writer(|| VisibleJson(io::stderr()))
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            registry.with(json).try_init()
        }
        LogFormat::Text => {
            let terminal = io::stderr().is_terminal();
            let colour = terminal && super::output::colour_is_wanted();
            let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
            registry
                .with(layer.event_format(Prose { terminal, colour }))
                .try_init()
        }
    };
}

/// Escapes what JSON lets through and a terminal should not see. Each event comes in one piece.
struct VisibleJson<W>(W);

impl<W: io::Write> io::Write for VisibleJson<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .write_all(visible::json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The format for people.
struct Prose {
    /// On a terminal the local time of day is enough; in a file the time is UTC and complete.
    terminal: bool,
    /// Kept here, not in the layer: without its feature `ansi` that complains on the terminal at every start.
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Prose
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = if self.terminal {
            Local::now().format("%H:%M:%S").to_string()
        } else {
            Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
        };
        let mut line = Line::default();
        event.record(&mut line);
        if event.metadata().target() == WHOLE_SENTENCE {
            line.fields.clear();
        }
        let level = *event.metadata().level();
        let text = line.render(&time, level, self.colour);
        writer.write_str(&text)
    }
}

/// The parts of an event, gathered from its fields.
#[derive(Default)]
struct Line {
    topic: Option<String>,
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            "topic" => self.topic = Some(value),
            // Bookkeeping of the bridge from the `log` crate.
            name if name.starts_with("log.") => {}
            name => self.fields.push((name, value)),
        }
    }

    /// The fields as prose has them: what the message already says is not said twice.
    fn trailing(&self) -> String {
        let said = |value: &str| value.len() > 3 && self.message.contains(value);
        let fields = self.fields.iter().filter(|(_, value)| !said(value));
        fields
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn render(&self, time: &str, level: Level, colour: bool) -> String {
        let paint = |text: &str, ansi: &str| {
            if colour {
                format!("\u{1b}[{ansi}m{text}\u{1b}[0m")
            } else {
                text.to_owned()
            }
        };
        let mut text = paint(time, "2");
        if let Some(topic) = &self.topic {
            text.push_str(&format!("  {:<TOPIC_WIDTH$}", visible::line(topic)));
        }
        match level {
            Level::ERROR => text.push_str(&format!("  {}", paint("ERROR", "1;31"))),
            Level::WARN => text.push_str(&format!("  {}", paint("WARN", "1;33"))),
            Level::INFO => {}
            Level::DEBUG => text.push_str(&format!("  {}", paint("debug", "2"))),
            Level::TRACE => text.push_str(&format!("  {}", paint("trace", "2"))),
        }
        if !self.message.is_empty() {
            text.push_str("  ");
            text.push_str(&visible::set_in(&self.message));
        }
        let fields = visible::line(&self.trailing());
        if !fields.is_empty() {
            text.push_str("  ");
            text.push_str(&paint(&fields, "2"));
        }
        text.push('\n');
        text
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A text with blanks would run into the next field.
        let quote = field.name() != "message" && (value.is_empty() || value.contains([' ', '"', '\n']));
        self.add(
            field,
            if quote {
                format!("{value:?}")
            } else {
                value.to_owned()
            },
        );
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            topic: Some("clicks".into()),
            message: "landed 5 rows in /lake/a".into(),
            fields: vec![("lag", "0".into()), ("path", "/lake/a".into())],
        }
    }

    #[test]
    fn normal_work_is_a_time_a_topic_and_prose() {
        assert_eq!(
            line().render("10:00:00", Level::INFO, false),
            "10:00:00  clicks          landed 5 rows in /lake/a  lag=0\n"
        );
    }

    #[test]
    fn what_is_odd_is_marked() {
        let text = line().render("10:00:00", Level::WARN, false);
        assert_eq!(
            text,
            "10:00:00  clicks          WARN  landed 5 rows in /lake/a  lag=0\n"
        );
    }
}
