//! What Ballista says by the `log` crate, among the program's own lines.

use log::{Level, Log, Metadata, Record};
use tracing::level_filters::LevelFilter;

/// The level that others are heard at is the filter's affair; below it nothing need be written.
pub fn listen() {
    let level = match LevelFilter::current() {
        LevelFilter::OFF => log::LevelFilter::Off,
        LevelFilter::ERROR => log::LevelFilter::Error,
        LevelFilter::WARN | LevelFilter::INFO => log::LevelFilter::Warn,
        _ => log::LevelFilter::Debug,
    };
    // A logger that is already there stays.
    if log::set_logger(&Listener).is_ok() {
        log::set_max_level(level);
    }
}

struct Listener;

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        ["ballista", "datafusion"]
            .iter()
            .any(|name| metadata.target().starts_with(name))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (said, by) = (record.args(), record.target());
        match record.level() {
            Level::Error => tracing::error!(target: "ballista", by, "{said}"),
            Level::Warn => tracing::warn!(target: "ballista", by, "{said}"),
            Level::Info => tracing::info!(target: "ballista", by, "{said}"),
            Level::Debug | Level::Trace => tracing::debug!(target: "ballista", by, "{said}"),
        }
    }

    fn flush(&self) {}
}
