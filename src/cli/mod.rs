//! The command line: global options, the list of commands, and what each outcome means to a script.
//!
//! To add a command: write `src/commands/<name>.rs` with `pub struct Args` (clap) and
//! `pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit>`, name it in `src/commands/mod.rs`,
//! add a variant to [`Command`], and an arm to [`Command::run`].

pub mod columns;
mod errors;
pub mod failpoints;
mod logging;
pub mod output;
pub mod rows;
pub mod signals;
pub mod time;
pub mod visible;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use eventlake_core::config::{self, Config, Surroundings};
use eventlake_engine::kafka::property;

use crate::commands;
use crate::{transforms, views};
pub use errors::{ConfigRefused, report as report_error, usage};

const AFTER_HELP: &str = "\
Examples:
  eventlake demo                         see it at work, without a Kafka
  eventlake ingest                       land the configured topics until stopped
  eventlake query                        SQL over what has landed
  eventlake report                       how good is it: rows, nulls, values, rejects, lateness
  eventlake check                        is the configuration right? every fault at once
  eventlake --config prod.toml check     the same for another file

Exit codes:
  0  done
  1  the command's own negative answer: topics missing, lines rejected, a claim refuted
  2  wrong usage, or a fault in the configuration; of verify: something could not be checked
  3  failed while running: the cluster, the disk, the network
  130  interrupted, without an answer

Every setting of the configuration file can also be given as a variable, EVENTLAKE_<SECTION>_<KEY>,
such as EVENTLAKE_KAFKA_BROKERS. NO_COLOR=1 turns colours off.";

/// Lands Kafka topics in a Parquet lake, exactly once, with every record checked against its schema.
#[derive(Debug, Parser)]
#[command(name = "eventlake", version, about, after_help = AFTER_HELP, max_term_width = 110)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = false
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes, before or after its name.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "EVENTLAKE_CONFIG",
        default_value = "config/eventlake.toml"
    )]
    pub config: PathBuf,

    /// How log lines look on stderr: prose for people, or one JSON object a line for machines
    #[arg(long, global = true, value_name = "FORMAT", env = "EVENTLAKE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Log more: -v for details, -vv for what the Kafka client says as well
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Log warnings and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Check(commands::check::Args),
    Cluster(commands::cluster::Args),
    Generate(commands::generate::Args),
    Demo(commands::demo::Args),
    Ingest(commands::ingest::Args),
    Completions(commands::completions::Args),
    Query(commands::query::Args),
    Rejected(commands::rejected::Args),
    Report(commands::report::Args),
    Schema(commands::schema::Args),
    Status(commands::status::Args),
    Tail(commands::tail::Args),
    Topics(commands::topics::Args),
    Verify(commands::verify::Args),
}

impl Command {
    fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Check(args) => commands::check::run(args, global),
            Self::Cluster(args) => commands::cluster::run(args, global),
            Self::Generate(args) => commands::generate::run(args, global),
            Self::Demo(args) => commands::demo::run(args, global),
            Self::Ingest(args) => commands::ingest::run(args, global),
            Self::Completions(args) => commands::completions::run(args, global),
            Self::Query(args) => commands::query::run(args, global),
            Self::Rejected(args) => commands::rejected::run(args, global),
            Self::Report(args) => commands::report::run(args, global),
            Self::Schema(args) => commands::schema::run(args, global),
            Self::Status(args) => commands::status::run(args, global),
            Self::Tail(args) => commands::tail::run(args, global),
            Self::Topics(args) => commands::topics::run(args, global),
            Self::Verify(args) => commands::verify::run(args, global),
        }
    }

    /// Commands that draw on the terminal themselves log only what is odd, unless asked for more.
    fn draws_on_the_terminal(&self) -> bool {
        // What the brokers do is in the status itself.
        matches!(self, Self::Demo(_) | Self::Status(_))
    }
}

/// What a command's end means to a script. An error is [`Exit::Usage`] or [`Exit::Failure`] by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    /// The command did its work and the answer is no.
    Negative,
    /// No answer: something that it takes could not be checked.
    Unchecked,
    /// Wrong usage or configuration: running again will not help.
    Usage,
    /// The cluster, the disk or the network failed.
    Failure,
    /// Ctrl-C, and there is no answer.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Negative => 1,
            Exit::Unchecked | Exit::Usage => 2,
            Exit::Failure => 3,
            Exit::Interrupted => signals::INTERRUPTED,
        })
    }
}

/// Runs a parsed command line to its end; errors are reported here, once.
pub fn run(cli: Cli) -> Exit {
    logging::start(&cli.global, cli.command.draws_on_the_terminal());
    match cli.command.run(&cli.global) {
        Ok(exit) => exit,
        Err(error) => report_error(&error),
    }
}

impl Global {
    /// Reads the configuration file, applies the `EVENTLAKE_...` variables, and compiles the schemas.
    /// What is allowed and yet odd is logged.
    ///
    /// # Errors
    /// With every fault at once, as [`ConfigRefused`]; passed on with `?` it is reported and ends in exit code 2.
    pub fn load_config(&self) -> anyhow::Result<Config> {
        let config = self.read_config()?;
        for warning in warnings(&config) {
            tracing::warn!("{warning}");
        }
        Ok(config)
    }

    /// As [`Self::load_config`], without a word about what is odd.
    pub fn read_config(&self) -> Result<Config, ConfigRefused> {
        let text =
            read_text(&self.config).map_err(|reason| ConfigRefused::unreadable(&self.config, &reason))?;
        let around = Surroundings {
            env: &|name| std::env::var(name).ok(),
            read: &read_text,
            property: &property::check,
            transform: &transforms::check,
            view: &views::check,
            alert: &views::check_alert,
        };
        config::resolve_in(&text, &self.config, &around)
            .map_err(|faults| ConfigRefused::new(&self.config, faults))
    }
}

/// What is allowed in a configuration and its variables, and yet worth a word.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    let mut names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    names.sort();
    for name in names {
        match config::misspelt_variable(&name, config) {
            None => {}
            Some(None) => warnings.push(format!("{name} (environment): no setting has this variable")),
            Some(Some(near)) => warnings.push(format!(
                "{name} (environment): no setting has this variable; did you mean {near}?"
            )),
        }
    }
    warnings
}

fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    })
}
