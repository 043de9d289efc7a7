//! `eventlake check`: is the configuration right, and with `--connect`, does the cluster have the topics?

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use eventlake_core::config::{
    AlertConfig, AlertOutput, Config, EventTimeUnit, Fault, ListenAddress, OnDataLoss, OutputConfig,
    PartitionBy, Place, Start, TopicConfig, ViewConfig, WindowConfig,
};
use eventlake_core::schema::EventTime;
use eventlake_engine::kafka::client::{CONNECT_TIMEOUT, Cluster, connect};
use serde_json::{Value, json};

use crate::cli::output::{self, Align, Table};
use crate::cli::{Exit, Global, warnings};

/// Check the configuration: every fault at once, with its file and line
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Check the configuration, the variables over it and the schemas it names: every fault at once, with \
its file and line. Nothing is changed. With --connect the cluster is asked for the topics as well.",
    after_help = "\
Examples:
  eventlake check
  eventlake check --connect             is the cluster there, does it have the topics?
  eventlake check --json | jq .topics

Exit codes:
  0  all is well
  1  with --connect: topics are missing on the cluster
  2  the configuration has faults
  3  with --connect: the cluster did not answer within 10 seconds"
)]
pub struct Args {
    /// Ask the cluster too: which topics are missing, how many partitions the others have
    #[arg(long)]
    connect: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let config = match global.read_config() {
        Ok(config) => config,
        Err(refused) if args.json => {
            let faults: Vec<Value> = refused.faults().iter().map(fault_json).collect();
            output::print_json(&json!({ "ok": false, "faults": faults }))?;
            return Ok(Exit::Usage);
        }
        Err(refused) => return Err(refused.into()),
    };
    let cluster = args
        .connect
        .then(|| connect(&config.kafka, CONNECT_TIMEOUT))
        .transpose()?;
    let missing = cluster
        .as_ref()
        .map(|cluster| missing(&config, cluster))
        .unwrap_or_default();
    if args.json {
        output::print_json(&report_json(&config, cluster.as_ref(), &missing))?;
    } else {
        for warning in warnings(&config) {
            tracing::warn!("{warning}");
        }
        output::print(report_text(&config, cluster.as_ref(), &missing))?;
    }
    Ok(if missing.is_empty() {
        Exit::Ok
    } else {
        Exit::Negative
    })
}

fn missing<'a>(config: &'a Config, cluster: &Cluster) -> Vec<&'a str> {
    let names = config.topics.iter().map(|topic| topic.name.as_str());
    names.filter(|name| !cluster.topics.contains_key(*name)).collect()
}

fn report_text(config: &Config, cluster: Option<&Cluster>, missing: &[&str]) -> String {
    let mut columns = vec![
        ("TOPIC", Align::Left),
        ("TABLE", Align::Left),
        ("FIELDS", Align::Right),
        ("EVENT TIME", Align::Left),
        ("START", Align::Left),
        ("FOLDERS", Align::Left),
    ];
    if cluster.is_some() {
        columns.push(("PARTITIONS", Align::Right));
    }
    let mut table = Table::new(columns);
    for topic in &config.topics {
        let mut row = vec![
            topic.name.to_string(),
            topic.table.to_string(),
            topic.rules.schema.fields().len().to_string(),
            event_time(topic),
            start(topic.start),
            partition_by(topic.partition_by).to_owned(),
        ];
        if let Some(cluster) = cluster {
            let partitions = cluster.topics.get(topic.name.as_str());
            row.push(partitions.map_or_else(|| "missing".to_owned(), ToString::to_string));
        }
        table.row(row);
    }
    let lake = &config.lake;
    let mut text = format!("{table}\n{}{}", views(&config.views), alerts(&config.alerts));
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line(
        "kafka",
        format!("{}, group {}", config.kafka.brokers, config.kafka.group),
    );
    if let Some(cluster) = cluster {
        let id = cluster.cluster_id.as_deref().unwrap_or("without an id");
        line(
            "cluster",
            format!("{id}, {} broker(s) answering", cluster.brokers.len()),
        );
    }
    line("data", lake.data.display().to_string());
    line("rejected", lake.rejected.display().to_string());
    line("checkpoints", lake.checkpoints.display().to_string());
    let (every, size) = (
        output::duration(lake.roll_interval),
        output::bytes(lake.roll_bytes),
    );
    line("rolls", format!("every {every}, or at {size} a topic"));
    line(
        "memory",
        format!("at most {}", output::bytes(lake.memory_limit_bytes)),
    );
    line("http", listen(config.http.listen));
    let transformed = config.topics.iter().filter(|topic| topic.transform.is_some());
    let transformed: Vec<&str> = transformed.map(|topic| topic.name.as_str()).collect();
    if !transformed.is_empty() {
        line("transforms", format!("of {}", transformed.join(", ")));
    }
    if missing.is_empty() {
        text.push_str("\nok\n");
    } else {
        let _ = writeln!(text, "\nmissing on the cluster: {}", missing.join(", "));
        text.push_str("hint: eventlake topics create\n");
    }
    text
}

/// A line for each view; nothing where there are none.
fn views(views: &[ViewConfig]) -> String {
    if views.is_empty() {
        return String::new();
    }
    let mut table = Table::new(vec![
        ("VIEW", Align::Left),
        ("WINDOW", Align::Left),
        ("SHOWN", Align::Left),
        ("OUTPUTS", Align::Left),
    ]);
    for view in views {
        let window = |window: &WindowConfig| {
            let [size, slide] = [window.size, window.slide].map(output::duration);
            format!("{size} every {slide}")
        };
        let every = |every| format!("every {}", output::duration(every));
        let outputs: Vec<&str> = view.outputs.iter().map(OutputConfig::kind).collect();
        table.row(vec![
            view.name.to_string(),
            view.window.as_ref().map_or_else(|| "all rows".to_owned(), window),
            view.every.map_or_else(|| "with each commit".to_owned(), every),
            outputs.join(", "),
        ]);
    }
    format!("{table}\n")
}

fn alerts(alerts: &[AlertConfig]) -> String {
    if alerts.is_empty() {
        return String::new();
    }
    let mut table = Table::new(vec![
        ("ALERT", Align::Left),
        ("VIEW", Align::Left),
        ("SEVERITY", Align::Left),
        ("OUTPUTS", Align::Left),
    ]);
    for alert in alerts {
        table.row(vec![
            alert.name.to_string(),
            alert.view.to_string(),
            alert.severity.to_string(),
            told_in(alert).join(", "),
        ]);
    }
    format!("{table}\n")
}

fn told_in(alert: &AlertConfig) -> Vec<&'static str> {
    let kind = |output: &AlertOutput| match output {
        AlertOutput::Log => "log",
        AlertOutput::Webhook { .. } => "webhook",
    };
    alert.outputs.iter().map(kind).collect()
}

fn event_time(topic: &TopicConfig) -> String {
    match &topic.rules.event_time {
        EventTime::Kafka => "Kafka's timestamp".to_owned(),
        EventTime::DateTime { field } => field.clone(),
        EventTime::Integer { field, unit } => format!("{field} ({})", unit_name(*unit)),
    }
}

fn unit_name(unit: EventTimeUnit) -> &'static str {
    match unit {
        EventTimeUnit::Seconds => "s",
        EventTimeUnit::Millis => "ms",
        EventTimeUnit::Micros => "us",
    }
}

fn start(start: Start) -> String {
    match start {
        Start::Earliest => "earliest".to_owned(),
        Start::Latest => "latest".to_owned(),
        Start::At { unix_millis } => DateTime::from_timestamp_millis(unix_millis).map_or_else(
            || format!("{unix_millis} ms"),
            |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        ),
    }
}

fn partition_by(partition_by: PartitionBy) -> &'static str {
    match partition_by {
        PartitionBy::Hour => "hour",
        PartitionBy::Day => "day",
    }
}

fn listen(listen: ListenAddress) -> String {
    match listen {
        ListenAddress::Off => "off".to_owned(),
        ListenAddress::At(address) => format!("http://{address}"),
    }
}

fn report_json(config: &Config, cluster: Option<&Cluster>, missing: &[&str]) -> Value {
    let (kafka, lake) = (&config.kafka, &config.lake);
    // Names only: a property's value may be a secret.
    let properties: Vec<&String> = kafka.properties.iter().map(|(name, _)| name).collect();
    let topics: Vec<Value> = config
        .topics
        .iter()
        .map(|topic| topic_json(topic, cluster))
        .collect();
    json!({
        "ok": missing.is_empty(),
        "config": config.file,
        "warnings": warnings(config),
        "kafka": { "brokers": kafka.brokers, "group": kafka.group, "properties": properties },
        "cluster": cluster.map(|cluster| json!({
            "cluster_id": cluster.cluster_id,
            "brokers": cluster.brokers.values().collect::<Vec<_>>(),
            "missing_topics": missing,
        })),
        "lake": {
            "data": lake.data,
            "rejected": lake.rejected,
            "checkpoints": lake.checkpoints,
            "roll_interval_seconds": lake.roll_interval.as_secs_f64(),
            "roll_size_bytes": lake.roll_bytes,
            "memory_limit_bytes": lake.memory_limit_bytes,
            "on_data_loss": match lake.on_data_loss { OnDataLoss::Fail => "fail", OnDataLoss::Record => "record" },
            "log_retention_seconds": lake.log_retention.as_secs_f64(),
            "snapshot_every": lake.snapshot_every,
        },
        "http": match config.http.listen {
            ListenAddress::Off => json!({ "listen": "off" }),
            ListenAddress::At(address) => json!({ "listen": address.to_string() }),
        },
        "topics": topics,
        "views": config.views.iter().map(view_json).collect::<Vec<_>>(),
        "alerts": config.alerts.iter().map(alert_json).collect::<Vec<_>>(),
    })
}

fn view_json(view: &ViewConfig) -> Value {
    json!({
        "name": view.name,
        "window": view.window.as_ref().map(|window| json!({
            "size_seconds": window.size.as_secs_f64(),
            "slide_seconds": window.slide.as_secs_f64(),
            "lateness_seconds": window.lateness.as_secs_f64(),
        })),
        "every_seconds": view.every.map(|every| every.as_secs_f64()),
        "outputs": view.outputs.iter().map(OutputConfig::kind).collect::<Vec<_>>(),
    })
}

fn alert_json(alert: &AlertConfig) -> Value {
    json!({
        "name": alert.name,
        "view": alert.view,
        "severity": alert.severity.to_string(),
        "outputs": told_in(alert),
    })
}

fn topic_json(topic: &TopicConfig, cluster: Option<&Cluster>) -> Value {
    let rules = &topic.rules;
    let fields: Vec<&str> = rules
        .schema
        .fields()
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    let mut value = json!({
        "name": topic.name,
        "table": topic.table,
        "schema": topic.schema_file,
        "transform": topic.transform.is_some(),
        "fields": fields,
        "event_time": rules.event_time.field(),
        "event_time_unit": match &rules.event_time {
            EventTime::Integer { unit, .. } => Some(unit_name(*unit)),
            EventTime::Kafka | EventTime::DateTime { .. } => None,
        },
        "start": start(topic.start),
        "partition_by": partition_by(topic.partition_by),
        "extra": rules.extra,
        "max_record_bytes": rules.record_bytes_max,
        "max_future_seconds": rules.future_micros_max as f64 / 1e6,
    });
    if let Some(cluster) = cluster {
        value["partitions_on_cluster"] = json!(cluster.topics.get(topic.name.as_str()));
    }
    value
}

fn fault_json(fault: &Fault) -> Value {
    let mut value = json!({ "message": fault.message });
    match &fault.place {
        Place::File { file, line, column } => {
            value["file"] = json!(file);
            value["line"] = json!(line);
            value["column"] = json!(column);
        }
        Place::Line { file, line } => {
            value["file"] = json!(file);
            value["line"] = json!(line);
        }
        Place::WholeFile { file } => value["file"] = json!(file),
        Place::Variable { name } => value["variable"] = json!(name),
    }
    value
}
