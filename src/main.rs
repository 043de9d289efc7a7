//! The program's entry: parse the arguments, run one command, turn its outcome into an exit code.

mod cli;
mod commands;
mod server;
mod transforms;
mod views;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    eventlake_engine::resident::keep_allocator_lean();
    match cli::Cli::try_parse() {
        Ok(cli) => cli::run(cli).into(),
        Err(error) => {
            // Nothing is left to be said when even this cannot be printed.
            let _ = error.print();
            // Help and version are answers, not errors; clap knows which is which.
            if error.use_stderr() {
                cli::Exit::Usage.into()
            } else {
                cli::Exit::Ok.into()
            }
        }
    }
}
