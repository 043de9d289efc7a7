//! `eventlake completions`: the script that teaches a shell to complete this program's commands.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{Cli, Exit, Global, output};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eventlake completions bash > ~/.local/share/bash-completion/completions/eventlake
  eventlake completions zsh > ~/.zfunc/_eventlake
  eventlake completions fish > ~/.config/fish/completions/eventlake.fish")]
pub struct Args {
    /// The shell to complete in
    shell: Shell,
}

pub fn run(args: Args, _: &Global) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "eventlake", &mut script);
    output::print_bytes(&script)?;
    Ok(Exit::Ok)
}
