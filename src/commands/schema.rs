//! `eventlake schema`: check one, and events against it; infer one from events.

mod check;
mod infer;
mod lines;

use crate::cli::{Exit, Global};

/// Work with schemas: check one, and events against it; infer one from events
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: SchemaCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SchemaCommand {
    Check(check::Args),
    Infer(infer::Args),
}

/// # Errors
/// As the subcommand says.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    match args.command {
        SchemaCommand::Check(args) => check::run(args),
        SchemaCommand::Infer(args) => infer::run(args, global),
    }
}
