//! `eventlake rejected`: the records that were refused, and why.

mod files;
mod filter;
mod list;
mod replay;
mod show;
#[cfg(test)]
mod tests;

use clap::Subcommand;

use crate::cli::{Exit, Global};

/// Look at the records that were refused, with the reason and their bytes as they came; replay them after a schema fix
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eventlake rejected list                              how many, by table and code, and the newest 20
  eventlake rejected list --table clicks --code minimum --since 1h
  eventlake rejected show clicks 3 12345               everything about the record at partition 3, offset 12345
  eventlake rejected show clicks 3 12345 --raw | xxd   its payload, byte for byte
  eventlake rejected replay --table clicks --dry-run   how many would pass the schema as it is now
  eventlake rejected replay --table clicks             land those that pass")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(list::Args),
    Show(show::Args),
    Replay(replay::Args),
}

pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let config = global.load_config()?;
    match args.what {
        What::List(args) => list::run(&args, &config),
        What::Show(args) => show::run(&args, &config),
        What::Replay(args) => replay::run(&args, &config),
    }
}
