//! The shell: statements as they are typed, with history and completion, until it is left.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum as _;
use eventlake_core::config::Config;
use eventlake_query::{Session, split};
use rustyline::Editor;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;

use super::Format;
use super::complete::Words;
use super::sink::Destination;
use crate::cli::{Exit, output, report_error, signals};
use crate::sql::lake;

/// The shell's own commands and what they do.
pub const COMMANDS: &[(&str, &str)] = &[
    ("\\d", "list the tables; \\d TABLE: its columns"),
    ("\\format", "how answers look: table, json or csv"),
    ("\\timing", "say how long each statement took, or stop saying it"),
    ("\\?", "this list"),
    ("\\q", "leave; Ctrl-D does, too"),
];
const HISTORY_ENTRIES: usize = 2_000;
const TABLES: &str = "SELECT table_schema AS schema, table_name AS name FROM information_schema.tables \
                      WHERE table_schema <> 'information_schema' ORDER BY 1, 2";

struct Shell<'s> {
    session: &'s mut Session,
    config: &'s Config,
    format: Format,
    is_timed: bool,
    stop: std::sync::Arc<AtomicBool>,
}

/// Whether the shell goes on.
enum Next {
    Prompt,
    Leave,
}

pub fn run(session: &mut Session, config: &Config, format: Format) -> anyhow::Result<Exit> {
    session.show(lake::newest(config, &config.topics)?.0);
    let settings = rustyline::Config::builder()
        .max_history_size(HISTORY_ENTRIES)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(rustyline::CompletionType::List)
        .build();
    let mut editor: Editor<Words, FileHistory> = Editor::with_config(settings).context("the terminal")?;
    let history = history_file();
    if let Some(file) = &history {
        // The first time there is none.
        let _ = editor.load_history(file);
    }
    let mut shell = Shell {
        session,
        config,
        format,
        is_timed: true,
        stop: signals::interrupt_flag()?,
    };
    output::note(
        "SQL over the lake: end a statement with a semicolon; \\? lists the commands, \\q leaves.\n",
    )?;
    loop {
        let names = shell.session.words();
        editor.set_helper(Some(Words { names }));
        match editor.readline("eventlake> ") {
            Ok(line) => {
                if line.trim().is_empty() {
                    continue;
                }
                // What begins with a blank is not to be kept.
                if !line.starts_with(' ') {
                    editor.add_history_entry(line.trim())?;
                }
                if let Some(file) = &history {
                    // A shell without a history is better than none.
                    let _ = editor.append_history(file);
                }
                match shell.take(line.trim())? {
                    Next::Prompt => {}
                    Next::Leave => return Ok(Exit::Ok),
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(Exit::Ok),
            Err(error) => return Err(anyhow::Error::new(error).context("the terminal")),
        }
    }
}

impl Shell<'_> {
    fn take(&mut self, line: &str) -> anyhow::Result<Next> {
        let Some(command) = line.strip_prefix('\\') else {
            for statement in split(line).statements {
                self.answer(statement)?;
            }
            return Ok(Next::Prompt);
        };
        let mut words = command.trim_end_matches(';').split_whitespace();
        match (words.next().unwrap_or_default(), words.next()) {
            ("q", None) => return Ok(Next::Leave),
            ("d", None) => self.answer(TABLES)?,
            ("d", Some(table)) => self.answer(&format!("DESCRIBE {table}"))?,
            ("format", Some(name)) => match Format::from_str(name, true) {
                Ok(format) if format != Format::Parquet => self.format = format,
                _ => output::note("\\format takes table, json or csv\n")?,
            },
            ("timing", None) => self.is_timed = !self.is_timed,
            _ => {
                let width = COMMANDS.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                for (name, what) in COMMANDS {
                    output::note(format!("{name:width$}  {what}\n"))?;
                }
            }
        }
        Ok(Next::Prompt)
    }

    /// Answers a statement. What goes wrong is said, and the shell goes on.
    fn answer(&mut self, sql: &str) -> anyhow::Result<()> {
        self.stop.store(false, Ordering::Relaxed);
        let began = Instant::now();
        let answered = super::answer(
            self.session,
            self.config,
            sql,
            &Destination::Stdout,
            self.format,
            &self.stop,
        );
        self.stop.store(false, Ordering::Relaxed);
        match answered {
            Ok(Exit::Interrupted) => output::note("interrupted\n"),
            Ok(_) if self.is_timed => output::note(format!("({:.3} s)\n", began.elapsed().as_secs_f64())),
            Ok(_) => Ok(()),
            Err(error) => {
                report_error(&error);
                Ok(())
            }
        }
    }
}

/// Where the statements of earlier shells are. None where there is no home to keep them in.
fn history_file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = variable("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    let folder = state.join("eventlake");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("query_history"))
}
