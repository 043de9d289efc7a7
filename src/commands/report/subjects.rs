//! What the options ask for: which tables, over which period, by which keys.

use eventlake_core::config::{Config, TopicConfig, nearest, parse_duration};
use eventlake_engine::ingest::Transforms;

use super::Args;
use super::figures::Kind;
use super::leaves::{self, Leaf};
use super::measure::Subject;
use super::source::Period;
use crate::cli::{time, usage};
use crate::sql::lake;
use crate::transforms;

/// The tables to be measured, in the configuration's order.
///
/// # Errors
/// When there is no such table or column, or the period cannot be.
pub fn of<'c>(args: &Args, config: &'c Config, now: i64) -> anyhow::Result<Vec<Subject<'c>>> {
    let period = period(args, now)?;
    for name in &args.tables {
        topic_named(config, "--table", name)?;
    }
    let is_chosen = |topic: &&TopicConfig| {
        args.tables.is_empty() || args.tables.iter().any(|name| topic.table.as_str() == name)
    };
    let transforms = transforms::of(config);
    let mut keys = keys(args, config, &transforms)?;
    let mut subjects = Vec::new();
    for topic in config.topics.iter().filter(is_chosen) {
        let mut leaves = leaves::of(&lake::columns(&transforms, topic));
        leaves.retain(|leaf| !leaves::is_kafkas(leaf));
        let at = keys.iter().position(|(of, _)| of.table == topic.table);
        subjects.push(Subject {
            topic,
            leaves,
            key: at.map(|at| keys.swap_remove(at).1).unwrap_or_default(),
            period,
            top_max: usize::from(args.top),
            exact_max: args.exact_up_to,
        });
    }
    match keys.first() {
        None => Ok(subjects),
        Some((topic, _)) => Err(usage(format!(
            "--key is for table {}, which is none of --table",
            topic.table
        ))),
    }
}

fn period(args: &Args, now: i64) -> anyhow::Result<Period> {
    let at = |option: &str, text: &Option<String>| {
        let parsed = text.as_deref().map(|text| {
            time::parse(text, now).map_err(|expected| usage(format!("{option} {text:?}: {expected}")))
        });
        parsed.transpose()
    };
    let (from, to) = (at("--from", &args.from)?, at("--to", &args.to)?);
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(usage("--from must lie before --to"));
    }
    let Some(last) = &args.last else {
        return Ok(Period { from, to });
    };
    let span = parse_duration(last).map_err(|fault| usage(format!("--last {last:?}: {fault}")))?;
    let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Ok(Period {
        from: Some(now.saturating_sub(span)),
        to: None,
    })
}

fn keys<'c>(
    args: &Args,
    config: &'c Config,
    transforms: &Transforms,
) -> anyhow::Result<Vec<(&'c TopicConfig, Vec<Leaf>)>> {
    let mut keys: Vec<(&TopicConfig, Vec<Leaf>)> = Vec::new();
    for text in &args.keys {
        let (table, columns) = text
            .split_once('=')
            .filter(|(table, columns)| !table.trim().is_empty() && !columns.trim().is_empty())
            .ok_or_else(|| {
                usage(format!(
                    "--key {text:?}: expected TABLE=COLUMN[,COLUMN], such as orders=order_id"
                ))
            })?;
        let topic = topic_named(config, "--key", table.trim())?;
        if keys.iter().any(|(of, _)| of.table == topic.table) {
            return Err(usage(format!(
                "--key is given twice for table {}\nhint: the columns of one key are joined by commas",
                topic.table
            )));
        }
        let leaves = leaves::of(&lake::columns(transforms, topic));
        let mut key: Vec<Leaf> = Vec::new();
        for column in columns.split(',') {
            let leaf = leaf_named(topic, &leaves, column.trim())?;
            if key.contains(leaf) {
                return Err(usage(format!(
                    "--key {text:?}: column {} is there twice",
                    leaf.name
                )));
            }
            key.push(leaf.clone());
        }
        keys.push((topic, key));
    }
    Ok(keys)
}

fn topic_named<'c>(config: &'c Config, option: &str, name: &str) -> anyhow::Result<&'c TopicConfig> {
    let known = || config.topics.iter().map(|topic| topic.table.as_str());
    config
        .topics
        .iter()
        .find(|topic| topic.table.as_str() == name)
        .ok_or_else(|| {
            unknown(
                &format!("{option}: no table {name:?}"),
                "tables",
                name,
                &known().collect::<Vec<_>>(),
            )
        })
}

fn leaf_named<'l>(topic: &TopicConfig, leaves: &'l [Leaf], name: &str) -> anyhow::Result<&'l Leaf> {
    let table = &topic.table;
    let leaf = leaves.iter().find(|leaf| leaf.name == name).ok_or_else(|| {
        let known: Vec<&str> = leaves.iter().map(|leaf| leaf.name.as_str()).collect();
        unknown(
            &format!("--key: table {table} has no column {name:?}"),
            "columns",
            name,
            &known,
        )
    })?;
    match leaf.kind {
        Kind::List => Err(usage(format!(
            "--key: column {name} of table {table} is a list, which is no key"
        ))),
        _ => Ok(leaf),
    }
}

fn unknown(message: &str, what: &str, name: &str, known: &[&str]) -> anyhow::Error {
    let near = nearest(name, known.iter().copied());
    let near = near.map_or(String::new(), |near| format!("\nhint: did you mean {near}?"));
    usage(format!(
        "{message}{near}\nhint: the {what} are {}",
        known.join(", ")
    ))
}
