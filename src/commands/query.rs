//! `eventlake query`: SQL over what has been committed.

mod complete;
mod shell;
mod sink;

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use clap::ValueEnum;
use eventlake_core::config::Config;
use eventlake_query::{QueryError, Session};

use crate::cli::{Exit, Global, signals, usage};
use crate::sql::{self, Halt, outward};
use sink::{Destination, Sink};

/// Query the lake with SQL: one statement, or a shell
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Query the lake with SQL: one statement, or a shell when none is given on a terminal.

A query sees what was committed when it began, by the commit logs and not by what lies in the folders; it may run beside ingesters and \
changes nothing. The tables are those of the configuration; what they refused is in rejected.<table>. Every row has its record's \
_kafka_partition, _kafka_offset and _kafka_timestamp, and the keys of its folder, date and hour: conditions on those and on the \
event time skip whole files.",
    after_help = "\
Examples:
  eventlake query                                          a shell
  eventlake query \"SELECT count(*) FROM clicks\"
  eventlake query \"SELECT date, hour, count(*) FROM clicks GROUP BY date, hour ORDER BY 1, 2\"
  eventlake query \"SELECT code, count(*) FROM rejected.clicks GROUP BY code\" --json | jq
  eventlake query --file report.sql --output report.parquet
  eventlake query \"DESCRIBE clicks\"
  eventlake query --cluster df://10.0.0.1:50050 \"SELECT count(DISTINCT user_id) FROM clicks\"

Exit codes: 0 done; 2 a fault in the SQL or the configuration; 3 the query failed; 130 interrupted."
)]
pub struct Args {
    /// The statement; without it, what standard input holds, or a shell
    sql: Option<String>,

    /// Read the statement from a file
    #[arg(long, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,

    /// How the answer looks; by default a table, or as the name of the output says
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// One JSON object a row, each on a line: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Write the answer to this file, which is there once it is complete
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Run it on the cluster of this scheduler, such as df://10.0.0.1:50050, whose executors see the lake's files where this machine does
    #[arg(long, value_name = "URL")]
    cluster: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// One object a row, each on a line
    Json,
    Csv,
    Parquet,
}

pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let statement = statement(&args)?;
    let config = global.load_config()?;
    let mut session = match &args.cluster {
        None => sql::open(&config)?,
        Some(scheduler) => sql::open_on(&config, scheduler)?,
    };
    let Some(statement) = statement else {
        return shell::run(&mut session, &config, args.format.unwrap_or(Format::Table));
    };
    let destination = match &args.output {
        Some(path) => Destination::File(path.clone()),
        None => Destination::Stdout,
    };
    let stop = signals::stop_flag()?;
    answer(
        &mut session,
        &config,
        &statement,
        &destination,
        format(&args),
        &stop,
    )
}

/// The SQL that was given; None when it is to be asked for.
fn statement(args: &Args) -> anyhow::Result<Option<String>> {
    if let Some(sql) = &args.sql {
        return Ok(Some(sql.clone()));
    }
    if let Some(file) = &args.file {
        let text = fs::read_to_string(file);
        return text
            .map(Some)
            .map_err(|error| usage(format!("--file {}: {error}", file.display())));
    }
    if !io::stdin().is_terminal() {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(Some(text));
    }
    if args.output.is_some() || !io::stdout().is_terminal() {
        return Err(usage(
            "there is no SQL\nhint: eventlake query \"SELECT ...\"; a shell needs a terminal",
        ));
    }
    Ok(None)
}

fn format(args: &Args) -> Format {
    let named = args.output.as_deref().and_then(|path| path.extension());
    match (args.json, args.format) {
        (true, _) => Format::Json,
        (false, Some(format)) => format,
        (false, None) => match named.and_then(|extension| extension.to_str()) {
            Some("parquet") => Format::Parquet,
            Some("csv") => Format::Csv,
            Some("json" | "jsonl" | "ndjson") => Format::Json,
            _ => Format::Table,
        },
    }
}

/// Answers one statement, over the newest commits there are. Files that are replaced before the first row came out make it
/// start over; afterwards they are an error, never a wrong answer.
fn answer(
    session: &mut Session,
    config: &Config,
    statement: &str,
    destination: &Destination,
    format: Format,
    stop: &AtomicBool,
) -> anyhow::Result<Exit> {
    let answered = sql::over_newest(session, config, &config.topics, |session, _| {
        let mut sink = Sink::new(destination, format)?;
        match pass_on(session, statement, &mut sink, stop) {
            Err(Halt::Query(gone @ QueryError::Gone { .. })) if sink.has_written() => {
                Err(outward(gone).into())
            }
            Err(halt) => Err(halt),
            Ok(()) => Ok(sink.finish()?),
        }
    })?;
    Ok(match answered {
        Some(()) => Exit::Ok,
        None => Exit::Interrupted,
    })
}

fn pass_on(session: &Session, statement: &str, sink: &mut Sink, stop: &AtomicBool) -> Result<(), Halt> {
    let mut answer = session.run(statement, stop)?;
    sink.begin(answer.columns())?;
    while let Some(batch) = answer.next(stop)? {
        sink.write(&batch)?;
    }
    Ok(())
}
