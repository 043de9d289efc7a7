//! `eventlake topics create|list`: the topics of the configuration, on the cluster.

use std::time::Duration;

use eventlake_core::config::{Config, KafkaConfig, TopicCreation, parse_duration};
use eventlake_core::names::TopicName;
use eventlake_engine::kafka::admin::{self, CreateError, Creation, TopicContent};
use eventlake_engine::kafka::client::{CONNECT_TIMEOUT, connect};
use serde_json::{Value, json};

use super::generate;
use crate::cli::output::{self, Align, Table};
use crate::cli::{Exit, Global, usage};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Create the configured topics on the cluster, or list what is in them
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: TopicsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TopicsCommand {
    Create(CreateArgs),
    List(ListArgs),
}

/// Create the topics that are not there yet
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eventlake topics create                           as [[topics]] in the configuration says
  eventlake topics create --partitions 12 --replication 3 --retention 7d
  eventlake topics create --topics clicks,views

Topics that exist are left as they are.

Exit codes:
  0  all of them are there now
  1  the cluster refused some, or cannot create topics
  3  the cluster did not answer")]
struct CreateArgs {
    #[command(flatten)]
    which: Which,

    /// Partitions of each topic, in place of the configuration's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100_000))]
    partitions: Option<i32>,

    /// Copies of each partition, in place of the configuration's; -1: the cluster's default
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(-1..=1_000))]
    replication: Option<i32>,

    /// How long Kafka keeps records, in place of the configuration's, such as 7d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    retention: Option<Duration>,
}

/// List topics: ids, partitions, replicas, watermarks, records
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eventlake topics list
  eventlake topics list --all               every topic of the cluster
  eventlake topics list --json | jq .topics

Exit codes:
  0  all of them are there
  1  some are missing on the cluster
  3  the cluster did not answer")]
struct ListArgs {
    #[command(flatten)]
    which: Which,

    /// Every topic of the cluster but its internal ones
    #[arg(long, conflicts_with = "topics")]
    all: bool,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// These topics; without it those of the configuration
    #[arg(long, value_name = "TOPIC,...", value_delimiter = ',')]
    topics: Vec<String>,

    /// The cluster, in place of the configuration's: host:port,...
    #[arg(long, value_name = "BROKERS")]
    brokers: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// # Errors
/// When the cluster does not answer.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    match args.command {
        TopicsCommand::Create(args) => create(&args, global),
        TopicsCommand::List(args) => list(&args, global),
    }
}

/// A topic that nobody configured is created with one partition and the cluster's defaults.
const NOT_CONFIGURED: TopicCreation = TopicCreation {
    partitions: 1,
    replication: -1,
    retention: None,
};

fn create(args: &CreateArgs, global: &Global) -> anyhow::Result<Exit> {
    let (kafka, config) = cluster_and_config(&args.which, global)?;
    let wanted: Vec<(String, TopicCreation)> = names(&args.which, config.as_ref())?
        .into_iter()
        .map(|name| {
            let configured = config
                .iter()
                .flat_map(|config| &config.topics)
                .find(|topic| topic.name.as_str() == name);
            let base = configured.map_or(NOT_CONFIGURED, |topic| topic.creation);
            let creation = TopicCreation {
                partitions: args.partitions.unwrap_or(base.partitions),
                replication: args.replication.unwrap_or(base.replication),
                retention: args.retention.or(base.retention),
            };
            (name, creation)
        })
        .collect();
    connect(&kafka, CONNECT_TIMEOUT)?;
    let request: Vec<(&str, TopicCreation)> = wanted
        .iter()
        .map(|(name, creation)| (name.as_str(), *creation))
        .collect();
    let outcomes = match admin::create_topics(&kafka, &request, TIMEOUT) {
        Ok(outcomes) => outcomes,
        Err(error @ CreateError::NotSupported) => {
            output::note(format!("{error}\n"))?;
            return Ok(Exit::Negative);
        }
        Err(error) => return Err(error.into()),
    };
    let rows = request.iter().zip(&outcomes);
    if args.which.json {
        let topics: Vec<Value> = rows
            .map(|(topic, outcome)| creation_json(topic, outcome))
            .collect();
        output::print_json(&json!({ "topics": topics }))?;
    } else {
        let lines: Vec<String> = rows
            .map(|(topic, outcome)| creation_line(topic, outcome))
            .collect();
        output::print(lines.concat())?;
    }
    let refused = outcomes
        .iter()
        .any(|outcome| matches!(outcome, Creation::Refused(_)));
    Ok(if refused { Exit::Negative } else { Exit::Ok })
}

fn creation_line((name, creation): &(&str, TopicCreation), outcome: &Creation) -> String {
    let wanted = creation.partitions.unsigned_abs() as usize;
    match outcome {
        Creation::Created => format!("{name}: created with {}\n", partitions(wanted)),
        Creation::Exists { partitions: found } if *found == wanted => {
            format!("{name}: exists already, with {}\n", partitions(*found))
        }
        Creation::Exists { partitions: found } => {
            format!(
                "{name}: exists already, with {} and not {wanted}; left as it is\n",
                partitions(*found)
            )
        }
        Creation::Refused(reason) => format!("{name}: refused: {reason}\n"),
    }
}

fn partitions(count: usize) -> String {
    format!("{count} partition{}", if count == 1 { "" } else { "s" })
}

fn creation_json((name, creation): &(&str, TopicCreation), outcome: &Creation) -> Value {
    let (word, partitions, reason) = match outcome {
        Creation::Created => ("created", Some(creation.partitions.unsigned_abs() as usize), None),
        Creation::Exists { partitions } => ("exists", Some(*partitions), None),
        Creation::Refused(reason) => ("refused", None, Some(reason)),
    };
    json!({ "topic": name, "outcome": word, "partitions": partitions, "reason": reason })
}

fn list(args: &ListArgs, global: &Global) -> anyhow::Result<Exit> {
    let (kafka, config) = cluster_and_config(&args.which, global)?;
    let cluster = connect(&kafka, CONNECT_TIMEOUT)?;
    let names: Vec<String> = if args.all {
        cluster
            .topics
            .keys()
            .filter(|name| !name.starts_with("__"))
            .cloned()
            .collect()
    } else {
        names(&args.which, config.as_ref())?
    };
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let contents = admin::list_topics(&kafka, &asked, TIMEOUT)?;
    let missing = contents.iter().any(Option::is_none);
    let rows: Vec<(&str, Option<TopicContent>)> = asked.into_iter().zip(contents).collect();
    if args.which.json {
        let topics: Vec<Value> = rows
            .iter()
            .map(|(name, content)| content_json(name, content.as_ref()))
            .collect();
        let object = json!({ "brokers": kafka.brokers, "cluster_id": cluster.cluster_id, "topics": topics });
        output::print_json(&object)?;
    } else {
        output::print(contents_table(&rows))?;
    }
    if missing && !args.which.json {
        output::note("hint: create what is missing with: eventlake topics create\n")?;
    }
    Ok(if missing { Exit::Negative } else { Exit::Ok })
}

fn contents_table(rows: &[(&str, Option<TopicContent>)]) -> Table {
    let mut table = Table::new(vec![
        ("TOPIC", Align::Left),
        ("TOPIC ID", Align::Left),
        ("PARTITIONS", Align::Right),
        ("REPLICAS", Align::Right),
        ("LOW", Align::Right),
        ("HIGH", Align::Right),
        ("RECORDS", Align::Right),
    ]);
    let number = |number: i64| output::count(number.unsigned_abs());
    for (name, content) in rows {
        let Some(content) = content else {
            table.row([(*name).to_owned(), "missing".to_owned()]);
            continue;
        };
        table.row([
            (*name).to_owned(),
            content
                .description
                .topic_id
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
            content.watermarks.len().to_string(),
            content.replication().to_string(),
            number(
                content
                    .watermarks
                    .iter()
                    .map(|marks| marks.low)
                    .min()
                    .unwrap_or(0),
            ),
            number(
                content
                    .watermarks
                    .iter()
                    .map(|marks| marks.high)
                    .max()
                    .unwrap_or(0),
            ),
            number(content.records()),
        ]);
    }
    table
}

fn content_json(name: &str, content: Option<&TopicContent>) -> Value {
    let Some(content) = content else {
        return json!({ "topic": name, "exists": false });
    };
    let partitions: Vec<Value> = content
        .watermarks
        .iter()
        .zip(&content.description.partitions)
        .map(|(marks, partition)| {
            json!({
                "partition": marks.partition,
                "low": marks.low,
                "high": marks.high,
                "leader": partition.leader,
                "replicas": partition.replicas,
            })
        })
        .collect();
    json!({
        "topic": name,
        "exists": true,
        "topic_id": content.description.topic_id,
        "replication": content.replication(),
        "records": content.records(),
        "partitions": partitions,
    })
}

/// The configuration is needed for what the flags leave open, and read whenever it is there.
fn cluster_and_config(which: &Which, global: &Global) -> anyhow::Result<(KafkaConfig, Option<Config>)> {
    let kafka = generate::kafka(which.brokers.as_deref(), global)?;
    let config = global.config.exists().then(|| global.load_config()).transpose()?;
    Ok((kafka, config))
}

fn names(which: &Which, config: Option<&Config>) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = if which.topics.is_empty() {
        let topics = config.iter().flat_map(|config| &config.topics);
        topics.map(|topic| topic.name.to_string()).collect()
    } else {
        which.topics.clone()
    };
    for name in &names {
        TopicName::new(name).map_err(|error| usage(format!("--topics: {error}")))?;
    }
    if names.is_empty() {
        return Err(usage(
            "which topics? there is no configuration file; name them with --topics",
        ));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}
