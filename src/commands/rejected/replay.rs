//! `eventlake rejected replay`: holds rejected records against the present schema, and lands those that pass.

use std::collections::BTreeMap;

use eventlake_core::commit::CommitNumber;
use eventlake_core::config::{Config, TopicConfig};
use eventlake_core::names::TableName;
use eventlake_engine::ingest::rejected::RejectedFilter;
use eventlake_engine::ingest::{RowRules, writer_id};
use eventlake_engine::lake::{LakePaths, TopicLog, read_fold};
use eventlake_engine::maintenance::replay::{Replayed, foresee, replay};
use serde::Serialize;

use super::files::table_named;
use super::filter::Filter;
use crate::cli::output::{self, Align, count};
use crate::cli::{Exit, failpoints, time, visible};
use crate::transforms;

/// Validate rejected records again, after a schema was mended, and land those that pass
///
/// Those that pass now move from the rejected to the accepted rows, in one commit a table; the others stay as they
/// are, those too that the topic's transform does not let through. It may run beside a daemon, which must be restarted to use the new schema itself. Run twice, the second time
/// finds nothing to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of this table
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,

    #[command(flatten)]
    filter: Filter,

    /// Only say what would move
    #[arg(long)]
    dry_run: bool,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, config: &Config) -> anyhow::Result<Exit> {
    let filter = args.filter.resolve(time::now_micros())?;
    let topics = match &args.table {
        Some(name) => vec![table_named(config, name)?],
        None => config.topics.iter().collect(),
    };
    let transforms = transforms::of(config);
    let mut tables = Vec::new();
    for topic in topics {
        let rules = transforms.rules_of(topic);
        let done = one(config, topic, &rules, &filter, args.dry_run);
        if let (Err(_), false) = (&done, tables.is_empty()) {
            // What is done is done: it is said before the error is.
            print(&Report::new(args.dry_run, tables), args.json)?;
            return done.map(|_| Exit::Failure);
        }
        tables.push(TableReport::new(topic, done?));
    }
    print(&Report::new(args.dry_run, tables), args.json)?;
    Ok(Exit::Ok)
}

fn one(
    config: &Config,
    topic: &TopicConfig,
    rules: &RowRules,
    filter: &RejectedFilter,
    dry_run: bool,
) -> anyhow::Result<Replayed> {
    // A topic that never landed gets no log by being asked.
    let Some(fold) = read_fold(&config.lake.checkpoints, &topic.name)? else {
        return Ok(Replayed::default());
    };
    if dry_run {
        return Ok(foresee(&config.lake, topic, rules, filter, &fold)?);
    }
    drop(fold);
    let paths = LakePaths {
        data: config.lake.data.clone(),
        rejected: config.lake.rejected.clone(),
        checkpoints: config.lake.checkpoints.clone(),
    };
    let store = failpoints::from_environment()?.store();
    let mut log = TopicLog::open_with(store, &paths, &topic.name, &topic.table, &writer_id())?;
    Ok(replay(&config.lake, topic, rules, filter, &mut log)?)
}

/// What `--json` prints. The field names are a public format.
#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    tables: Vec<TableReport>,
}

#[derive(Debug, Serialize)]
struct TableReport {
    table: TableName,
    /// Rejected records that the options let pass.
    examined: u64,
    /// Those that are accepted now, or would be in a dry run.
    landed: u64,
    /// The others, by the reason the present schema refuses them for.
    still_rejected: BTreeMap<String, u64>,
    /// The rest, which the present transform does not let through.
    filtered: u64,
    /// The commit that moved them; none where nothing was moved.
    commit: Option<CommitNumber>,
}

impl TableReport {
    fn new(topic: &TopicConfig, replayed: Replayed) -> TableReport {
        TableReport {
            table: topic.table.clone(),
            examined: replayed.examined,
            landed: replayed.landed,
            still_rejected: replayed.still_rejected,
            filtered: replayed.filtered,
            commit: replayed.commit,
        }
    }
}

impl Report {
    fn new(dry_run: bool, tables: Vec<TableReport>) -> Report {
        Report { dry_run, tables }
    }

    fn to_text(&self) -> String {
        let sum = |of: fn(&TableReport) -> u64| self.tables.iter().map(of).sum::<u64>();
        let (examined, landed) = (sum(|table| table.examined), sum(|table| table.landed));
        if examined == 0 {
            return "no rejected records to replay\n".to_owned();
        }
        let verb = if self.dry_run { "WOULD LAND" } else { "LANDED" };
        let mut lines = output::Table::new([
            ("TABLE", Align::Left),
            ("REJECTED", Align::Right),
            (verb, Align::Right),
            ("COMMIT", Align::Right),
            ("STILL REJECTED", Align::Left),
        ]);
        for table in &self.tables {
            let reasons = table.still_rejected.iter();
            let filtered = (table.filtered > 0).then(|| format!("{} filtered", count(table.filtered)));
            let reasons: Vec<String> = reasons
                .map(|(code, records)| format!("{} {}", count(*records), visible::line(code)))
                .chain(filtered)
                .collect();
            lines.row([
                table.table.to_string(),
                count(table.examined),
                count(table.landed),
                table.commit.map_or("-".to_owned(), |commit| commit.to_string()),
                reasons.join(", "),
            ]);
        }
        let last = match (landed, self.dry_run) {
            (0, _) => "nothing to do: none of them passes the present schema and transform",
            (_, true) => "nothing was changed: without --dry-run they land",
            (_, false) => "those that passed are among the accepted rows now",
        };
        format!("{lines}\n{last}\n")
    }
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        output::print_json(report)
    } else {
        output::print(report.to_text())
    }
}
