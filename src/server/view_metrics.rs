//! The live views as Prometheus reads them. Labels are the configuration's names and the program's words.

use eventlake_engine::telemetry::{ViewSnapshot, ViewState};

use super::metrics::{Kind, head, sample};

type Read = fn(&ViewSnapshot) -> Option<f64>;

pub fn write(text: &mut String, views: &[ViewSnapshot]) {
    let of_view: [(&str, Kind, &str, Read); 7] = [
        (
            "eventlake_view_up",
            Kind::Gauge,
            "1 while this process works the view out, 0 while it fails or another process does.",
            |view| Some(f64::from(u8::from(view.state == ViewState::Running))),
        ),
        (
            "eventlake_view_as_of",
            Kind::Gauge,
            "The sum of the numbers of the commits that the view is as of.",
            |view| Some(view.as_of as f64),
        ),
        (
            "eventlake_view_behind_commits",
            Kind::Gauge,
            "Commits that the view has yet to look at.",
            |view| Some(view.behind_commits as f64),
        ),
        (
            "eventlake_view_groups",
            Kind::Gauge,
            "Groups that a running view keeps.",
            |view| Some(view.groups as f64),
        ),
        (
            "eventlake_view_state_bytes",
            Kind::Gauge,
            "Bytes of those groups in memory.",
            |view| Some(view.state_bytes as f64),
        ),
        (
            "eventlake_view_watermark_timestamp_seconds",
            Kind::Gauge,
            "How far event time has come, in seconds since 1970.",
            |view| view.watermark_unix_micros.map(|micros| micros as f64 / 1e6),
        ),
        (
            "eventlake_view_too_late_rows_total",
            Kind::Counter,
            "Rows that came too late for every window.",
            |view| Some(view.too_late_rows as f64),
        ),
    ];
    for (name, kind, help, read) in of_view {
        head(text, name, kind, help);
        for view in views {
            if let Some(value) = read(view) {
                sample(text, name, &[("view", view.view.as_str())], value);
            }
        }
    }
    let name = "eventlake_view_output_up_to_date";
    head(
        text,
        name,
        Kind::Gauge,
        "1 while the output shows all that the view says, else 0.",
    );
    each_output(text, views, name, |output| u64::from(output.up_to_date));
    let name = "eventlake_view_output_rows_total";
    head(
        text,
        name,
        Kind::Counter,
        "Rows that the output took since the process started.",
    );
    each_output(text, views, name, |output| output.rows);
}

fn each_output(
    text: &mut String,
    views: &[ViewSnapshot],
    name: &str,
    read: impl Fn(&eventlake_engine::telemetry::OutputSnapshot) -> u64,
) {
    for view in views {
        for output in &view.outputs {
            let labels = [("view", view.view.as_str()), ("output", output.output.as_str())];
            sample(text, name, &labels, read(output));
        }
    }
}
