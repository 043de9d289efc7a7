//! The counters as Prometheus reads them: text exposition format 0.0.4.
//!
//! Labels are bounded: topics are the configuration's, codes, reasons and states the program's. Names that come
//! from records never become labels.

use std::fmt::{self, Display, Write as _};

use eventlake_core::violation::Code;
use eventlake_engine::telemetry::{
    KafkaState, RollReason, TelemetrySnapshot, TopicSnapshot, TopicState, Work,
};

use super::view_metrics;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const STATES: [&str; 4] = ["starting", "running", "paused", "stopped"];

/// One metric's kind, by Prometheus' words.
#[derive(Clone, Copy)]
pub enum Kind {
    Counter,
    Gauge,
}

/// All metrics of the process as text.
pub fn exposition(process: &TelemetrySnapshot) -> String {
    let mut text = String::with_capacity(16 * 1024);
    process_metrics(&mut text, process);
    record_metrics(&mut text, &process.topics);
    roll_metrics(&mut text, &process.topics);
    work_metrics(&mut text, &process.topics);
    state_metrics(&mut text, &process.topics);
    if !process.views.is_empty() {
        view_metrics::write(&mut text, &process.views);
    }
    text
}

fn process_metrics(text: &mut String, process: &TelemetrySnapshot) {
    head(
        text,
        "eventlake_build_info",
        Kind::Gauge,
        "The program's version, as a label of the constant 1.",
    );
    sample(
        text,
        "eventlake_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    let mut one = |name: &str, help: &str, value: &dyn Display| {
        head(text, name, Kind::Gauge, help);
        sample(text, name, &[], value);
    };
    let started = process.started_unix_millis as f64 / 1e3;
    one(
        "eventlake_start_time_seconds",
        "When the process started, in seconds since 1970.",
        &started,
    );
    one(
        "eventlake_ready",
        "1 when /readyz answers 200, else 0.",
        &u8::from(process.ready),
    );
    let connected = matches!(process.kafka.connection, KafkaState::Connected);
    one(
        "eventlake_kafka_connected",
        "1 while a broker answers, else 0.",
        &u8::from(connected),
    );
    let memory = process.memory;
    one(
        "eventlake_memory_used_bytes",
        "Bytes of the memory budget in use.",
        &memory.used_bytes,
    );
    one(
        "eventlake_memory_limit_bytes",
        "The memory budget: [lake] memory_limit.",
        &memory.limit_bytes,
    );
    if let Some(bytes) = eventlake_engine::resident::resident_bytes() {
        one(
            "process_resident_memory_bytes",
            "Resident memory, by the operating system.",
            &bytes,
        );
    }
}

type Read = fn(&TopicSnapshot) -> u64;

fn record_metrics(text: &mut String, topics: &[TopicSnapshot]) {
    let counters: [(&str, &str, Read); 11] = [
        (
            "eventlake_consumed_records_total",
            "Records read; a rewind reads again.",
            |t| t.consumed_records,
        ),
        (
            "eventlake_consumed_payload_bytes_total",
            "Bytes of payload read.",
            |t| t.consumed_bytes,
        ),
        (
            "eventlake_accepted_records_total",
            "Records committed as events.",
            |t| t.accepted,
        ),
        (
            "eventlake_tombstone_records_total",
            "Records without a payload, committed.",
            |t| t.tombstones,
        ),
        (
            "eventlake_filtered_records_total",
            "Events that the topic's transform does not let through, committed.",
            |t| t.filtered,
        ),
        (
            "eventlake_absent_offsets_total",
            "Offsets that Kafka never hands out, committed.",
            |t| t.absent,
        ),
        (
            "eventlake_lost_offsets_total",
            "Offsets committed as lost: Kafka no longer had them.",
            |t| t.lost,
        ),
        (
            "eventlake_undeclared_fields_total",
            "Fields that the schema does not declare.",
            |t| t.undeclared_fields,
        ),
        (
            "eventlake_rewinds_total",
            "Times that reading was set back to the checkpoint.",
            |t| t.rewinds,
        ),
        (
            "eventlake_cleaned_files_total",
            "Files deleted that a crash or a dropped roll had left behind.",
            |t| t.cleaned_files,
        ),
        ("eventlake_cleaned_bytes_total", "Bytes of those files.", |t| {
            t.cleaned_bytes
        }),
    ];
    for (name, help, read) in counters {
        per_topic(text, topics, (name, Kind::Counter, help), |topic| {
            Some(read(topic))
        });
    }
    let name = "eventlake_rejected_records_total";
    head(
        text,
        name,
        Kind::Counter,
        "Records committed as rejected, by the code of their violation.",
    );
    for topic in topics {
        for code in Code::ALL {
            let count = topic.rejected_by_code.get(code.as_str()).copied().unwrap_or(0);
            sample(
                text,
                name,
                &[("topic", topic.topic.as_str()), ("code", code.as_str())],
                count,
            );
        }
    }
    let lag = "Records of the assigned partitions that have not landed.";
    per_topic(
        text,
        topics,
        ("eventlake_lag_records", Kind::Gauge, lag),
        |topic| topic.lag_records,
    );
    let unread = "Records of the assigned partitions that have not been read.";
    per_topic(
        text,
        topics,
        ("eventlake_unread_records", Kind::Gauge, unread),
        |topic| topic.unread_records,
    );
}

fn roll_metrics(text: &mut String, topics: &[TopicSnapshot]) {
    let name = "eventlake_rolls_total";
    head(
        text,
        name,
        Kind::Counter,
        "Rolls committed, by what made them roll.",
    );
    for topic in topics {
        for reason in RollReason::ALL {
            let count = topic.rolls_by_reason.get(reason.as_str()).copied().unwrap_or(0);
            sample(
                text,
                name,
                &[("topic", topic.topic.as_str()), ("reason", reason.as_str())],
                count,
            );
        }
    }
    let counters: [(&str, &str, Read); 3] = [
        (
            "eventlake_dropped_rolls_total",
            "Rolls given up: void, dropped or revoked.",
            |t| t.dropped_rolls,
        ),
        (
            "eventlake_files_total",
            "Files committed, of events and of rejected records.",
            |t| t.files,
        ),
        (
            "eventlake_file_bytes_total",
            "Bytes of the files committed.",
            |t| t.file_bytes,
        ),
    ];
    for (name, help, read) in counters {
        per_topic(text, topics, (name, Kind::Counter, help), |topic| {
            Some(read(topic))
        });
    }
    let seconds = "Seconds from sealing to publishing, all rolls together.";
    per_topic(
        text,
        topics,
        ("eventlake_roll_seconds_total", Kind::Counter, seconds),
        |t| Some(t.roll_secs),
    );
    let number = "The number of this writer's last commit.";
    per_topic(
        text,
        topics,
        ("eventlake_last_commit_number", Kind::Gauge, number),
        |topic| topic.last_commit.map(|commit| commit.number),
    );
    let time = "When this writer last committed, in seconds since 1970.";
    per_topic(
        text,
        topics,
        ("eventlake_last_commit_timestamp_seconds", Kind::Gauge, time),
        |topic| topic.last_commit.map(|commit| commit.unix_millis as f64 / 1e3),
    );
}

fn work_metrics(text: &mut String, topics: &[TopicSnapshot]) {
    let name = "eventlake_work_seconds_total";
    let help = "Seconds spent on each kind of work; taking runs beside the others.";
    head(text, name, Kind::Counter, help);
    for topic in topics {
        for work in Work::ALL {
            let secs = topic.work_secs.get(work.as_str()).copied().unwrap_or(0.0);
            sample(
                text,
                name,
                &[("topic", topic.topic.as_str()), ("work", work.as_str())],
                secs,
            );
        }
    }
}

fn state_metrics(text: &mut String, topics: &[TopicSnapshot]) {
    let newest = "The newest event time committed, in seconds since 1970.";
    per_topic(
        text,
        topics,
        ("eventlake_newest_event_timestamp_seconds", Kind::Gauge, newest),
        |topic| topic.newest_event_unix_micros.map(|micros| micros as f64 / 1e6),
    );
    let rows = "Rows in open buffers.";
    per_topic(
        text,
        topics,
        ("eventlake_buffered_rows", Kind::Gauge, rows),
        |topic| Some(topic.buffered_rows),
    );
    let bytes = "Bytes in open buffers.";
    per_topic(
        text,
        topics,
        ("eventlake_buffered_bytes", Kind::Gauge, bytes),
        |topic| Some(topic.buffered_bytes),
    );
    let assigned = "Partitions assigned to this writer.";
    per_topic(
        text,
        topics,
        ("eventlake_assigned_partitions", Kind::Gauge, assigned),
        |topic| Some(topic.partitions.len()),
    );
    let name = "eventlake_topic_state";
    head(
        text,
        name,
        Kind::Gauge,
        "1 for the state the topic is in, 0 for the others.",
    );
    for topic in topics {
        let now = match topic.state {
            TopicState::Starting => "starting",
            TopicState::Running => "running",
            TopicState::Paused { .. } => "paused",
            TopicState::Stopped { .. } => "stopped",
        };
        for state in STATES {
            sample(
                text,
                name,
                &[("topic", topic.topic.as_str()), ("state", state)],
                u8::from(state == now),
            );
        }
    }
}

/// One metric with a sample a topic; a topic whose value is not known has none.
fn per_topic<T: Display>(
    text: &mut String,
    topics: &[TopicSnapshot],
    (name, kind, help): (&str, Kind, &str),
    value: impl Fn(&TopicSnapshot) -> Option<T>,
) {
    head(text, name, kind, help);
    for topic in topics {
        if let Some(value) = value(topic) {
            sample(text, name, &[("topic", topic.topic.as_str())], value);
        }
    }
}

pub fn head(text: &mut String, name: &str, kind: Kind, help: &str) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    written(writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}"));
}

pub fn sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) {
    text.push_str(name);
    for (index, (label, value)) in labels.iter().enumerate() {
        let open = if index == 0 { '{' } else { ',' };
        written(write!(text, "{open}{label}=\"{}\"", escaped(value)));
    }
    if !labels.is_empty() {
        text.push('}');
    }
    written(writeln!(text, " {value}"));
}

/// A label's value may hold anything but these three as they stand.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn written(result: fmt::Result) {
    result.expect("writing to a String never fails");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = String::new();
        sample(&mut text, "m", &[("a", "x\"y"), ("b", "1\\2\n3")], 7);
        assert_eq!(text, "m{a=\"x\\\"y\",b=\"1\\\\2\\n3\"} 7\n");
    }
}
