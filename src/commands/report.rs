//! `eventlake report`: the data quality of tables over a period, for people and for programs.

mod ask;
mod bins;
mod charts;
mod duplicates;
mod figures;
mod findings;
mod grid;
mod html;
mod leaves;
mod markdown;
mod measure;
mod progress;
mod rejects;
mod shown;
mod source;
mod subjects;
mod summary;
mod terminal;
mod values;
mod volume;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use clap::ValueEnum;
use eventlake_core::config::Config;

use super::unfinished::Unfinished;
use crate::cli::{Exit, Global, output, signals, time, visible};
use crate::sql;
use ask::Asker;
use figures::{Moment, Report};
use measure::{Subject, measure};
use progress::Progress;
use terminal::Paint;

/// Tell the data quality of tables over a period
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Tell the data quality of tables over a period: rows by hour, and for each column nulls, different values, least and greatest, \
quantiles, a histogram and the most frequent values; rejected records by reason with an example each; lateness; rows that share a business key.

It sees what the commit logs call live, as eventlake query does: each table as of one commit. It may run beside ingesters and changes nothing.",
    after_help = "\
Examples:
  eventlake report                                          every table, all of the lake
  eventlake report --table clicks --last 24h
  eventlake report --key tickets=ticket_id --key clicks=user_id,item_id,timestamp
  eventlake report --from 2026-11-01 --to 2026-12-01 --output november.html
  eventlake report --json | jq '.tables[] | {table, rows, rejected: .rejected.rows}'

Exit codes: 0 done; 2 wrong usage or a fault in the configuration; 3 the lake could not be read; 130 interrupted."
)]
pub struct Args {
    /// Only this table; may be given again
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,

    /// The business key of a table, to find rows that share one; once a table
    #[arg(long = "key", value_name = "TABLE=COLUMN[,COLUMN]")]
    keys: Vec<String>,

    /// Only events from this time on: 2026-11-21T01:02:03Z, 2026-11-21, or 1h (ago)
    #[arg(long, visible_alias = "since", value_name = "TIME")]
    from: Option<String>,

    /// Only events before this time
    #[arg(long, visible_alias = "until", value_name = "TIME")]
    to: Option<String>,

    /// Only events of this last while, such as 24h or 7d
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["from", "to"])]
    last: Option<String>,

    /// How many of a column's most frequent values are listed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    top: u16,

    /// A column with about more different values than these is estimated: each value counted would take long
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    exact_up_to: u64,

    /// How it looks; by default for a terminal, or as the name of the output says
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// One JSON object: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Write the report to this file, which is there once it is complete
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text in 80 columns
    Terminal,
    Markdown,
    /// One page with its charts inside
    Html,
    /// One object
    Json,
}

pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let config = global.load_config()?;
    let now = time::now_micros();
    let subjects = subjects::of(&args, &config, now)?;
    // Before the work: a file that cannot be is better known at once.
    let file = args.output.as_deref().map(Unfinished::create).transpose()?;
    let stop = signals::stop_flag()?;
    let Some(report) = report(&config, &subjects, now, &stop)? else {
        return Ok(Exit::Interrupted);
    };
    hand_out(&report, format(&args), file)?;
    Ok(Exit::Ok)
}

/// Measures table after table, each on its own newest commit. None when the user interrupted it.
fn report(
    config: &Config,
    subjects: &[Subject<'_>],
    now: i64,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Report>> {
    let mut session = sql::open(config)?;
    let progress = Progress::new();
    let mut tables = Vec::with_capacity(subjects.len());
    for (index, subject) in subjects.iter().enumerate() {
        progress.begin(subject.topic.table.as_str(), index + 1, subjects.len());
        let measured = sql::over_newest(&mut session, config, [subject.topic], |session, as_of| {
            let asker = Asker {
                session,
                stop,
                progress: &progress,
            };
            measure(&asker, subject, &as_of[0])
        })?;
        match measured {
            Some(table) => tables.push(table),
            None => return Ok(None),
        }
    }
    let period = subjects.first().map(|subject| subject.period).unwrap_or_default();
    Ok(Some(Report {
        made_at: Moment(now),
        from: period.from.map(Moment),
        to: period.to.map(Moment),
        tables,
    }))
}

fn format(args: &Args) -> Format {
    let named = args.output.as_deref().and_then(|path| path.extension());
    match (args.json, args.format) {
        (true, _) => Format::Json,
        (false, Some(format)) => format,
        (false, None) => match named.and_then(|extension| extension.to_str()) {
            Some("html" | "htm") => Format::Html,
            Some("md" | "markdown") => Format::Markdown,
            Some("json") => Format::Json,
            _ => Format::Terminal,
        },
    }
}

fn hand_out(report: &Report, format: Format, file: Option<Unfinished>) -> anyhow::Result<()> {
    let text = match format {
        Format::Terminal => {
            let is_seen = file.is_none() && output::can_draw();
            if is_seen {
                return output::draw(terminal::text(report, Paint::Colour));
            }
            terminal::text(report, Paint::Plain)
        }
        Format::Markdown => markdown::text(report),
        Format::Html => html::page(report),
        Format::Json => {
            let text = serde_json::to_string(report)?;
            format!("{}\n", visible::json(&text))
        }
    };
    let Some(mut file) = file else {
        return match format {
            Format::Json => output::print_bytes(text.as_bytes()),
            _ => output::print(text),
        };
    };
    file.write(text.as_bytes())?;
    file.complete()
}

/// The period of a report, as a sentence.
fn period(report: &Report) -> String {
    let moment = |at: Moment| time::moment(at.0);
    match (report.from, report.to) {
        (None, None) => "All of the lake.".to_owned(),
        (Some(from), None) => format!("Events from {} UTC on.", moment(from)),
        (None, Some(to)) => format!("Events before {} UTC.", moment(to)),
        (Some(from), Some(to)) => format!("Events from {} to before {} UTC.", moment(from), moment(to)),
    }
}
