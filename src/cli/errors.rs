//! How an error reaches the reader: `error:` with its causes, every fault of a configuration, then `hint:` lines.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use eventlake_core::config::{Fault, Place};

use super::{Exit, visible};

const HINT: &str = "hint: ";

/// A configuration that was refused. Displayed, it is one line a fault.
#[derive(Debug)]
pub struct ConfigRefused {
    file: PathBuf,
    faults: Vec<Fault>,
    hint: Option<&'static str>,
}

impl ConfigRefused {
    pub(super) fn unreadable(file: &Path, reason: &str) -> Self {
        let place = Place::WholeFile {
            file: file.to_owned(),
        };
        Self {
            file: file.to_owned(),
            faults: vec![Fault {
                place,
                message: format!("cannot be read: {reason}"),
            }],
            hint: Some("name the configuration file with --config FILE or EVENTLAKE_CONFIG"),
        }
    }

    pub(super) fn new(file: &Path, faults: Vec<Fault>) -> Self {
        Self {
            file: file.to_owned(),
            faults,
            hint: None,
        }
    }

    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for ConfigRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigRefused {}

/// The command line asked for something that cannot be: exit code 2.
#[derive(Debug)]
struct WrongUsage(String);

impl fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// An error that ends in exit code 2, for arguments that clap could not judge by itself.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    WrongUsage(message.into()).into()
}

/// Standard output was closed by its reader (`eventlake status | head`): not worth a word.
#[derive(Debug)]
pub(super) struct OutputClosed;

impl fmt::Display for OutputClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for OutputClosed {}

/// Prints an error to stderr and says how the program ends.
pub fn report(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<OutputClosed>().is_some() {
        return Exit::Ok;
    }
    let mut text = String::new();
    let exit = if let Some(refused) = error.downcast_ref::<ConfigRefused>() {
        text.push_str(&render_refused(refused, paint()));
        Exit::Usage
    } else {
        text.push_str(&render(error, paint()));
        if error.downcast_ref::<WrongUsage>().is_some() {
            Exit::Usage
        } else {
            Exit::Failure
        }
    };
    // When stderr is gone the exit code still tells.
    let _ = io::stderr().write_all(text.as_bytes());
    exit
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Paint {
    Plain,
    Colour,
}

fn paint() -> Paint {
    if io::stderr().is_terminal() && super::output::colour_is_wanted() {
        Paint::Colour
    } else {
        Paint::Plain
    }
}

fn label(text: &str, ansi: &str, paint: Paint) -> String {
    match paint {
        Paint::Plain => text.to_owned(),
        Paint::Colour => format!("\u{1b}[{ansi}m{text}\u{1b}[0m"),
    }
}

fn render_refused(refused: &ConfigRefused, paint: Paint) -> String {
    let mut text = String::new();
    for fault in &refused.faults {
        text.push_str(&visible::set_in(&fault.to_string()));
        text.push('\n');
    }
    let count = match refused.faults.len() {
        1 => "1 fault".to_owned(),
        more => format!("{more} faults"),
    };
    text.push_str(&format!(
        "{} {count} in {}\n",
        label("error:", "1;31", paint),
        refused.file.display()
    ));
    if let Some(hint) = refused.hint {
        text.push_str(&format!("{} {hint}\n", label("hint:", "1;36", paint)));
    }
    text
}

/// The causes joined by colons on one line, then the hints found on the way, outermost first.
fn render(error: &anyhow::Error, paint: Paint) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for cause in error.chain() {
        let message = cause.to_string();
        let mut said: Vec<&str> = Vec::new();
        for line in message.lines() {
            match line.trim_start().strip_prefix(HINT) {
                Some(hint) => hints.push(visible::line(hint)),
                None => said.push(line),
            }
        }
        let said = visible::set_in(&said.join("\n"));
        // A cause that its wrapper already repeats in full is not said twice.
        if !said.is_empty() && !causes.last().is_some_and(|above| above.ends_with(&said)) {
            causes.push(said);
        }
    }
    hints.dedup();
    let mut text = format!("{} {}\n", label("error:", "1;31", paint), causes.join(": "));
    for hint in hints {
        text.push_str(&format!("{} {hint}\n", label("hint:", "1;36", paint)));
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn hints_of_any_depth_come_below_the_causes() {
        let inner = anyhow!("topic clicks is not there\nhint: eventlake topics create");
        let error = Err::<(), _>(inner)
            .context("hint: look at the brokers")
            .context("cannot start")
            .expect_err("made so");
        assert_eq!(
            render(&error, Paint::Plain),
            "error: cannot start: topic clicks is not there\nhint: look at the brokers\nhint: eventlake topics create\n"
        );
    }

    #[test]
    fn a_cause_that_its_wrapper_repeats_is_said_once() {
        let inner = anyhow!("disk full");
        let error = inner.context("cannot write a.parquet: disk full");
        assert_eq!(
            render(&error, Paint::Plain),
            "error: cannot write a.parquet: disk full\n"
        );
    }

    #[test]
    fn wrong_usage_ends_in_two_and_other_errors_in_three() {
        assert_eq!(
            report(&usage("--rate must be above 0").context("generate")),
            Exit::Usage
        );
        assert_eq!(report(&anyhow!("disk full")), Exit::Failure);
        assert_eq!(report(&anyhow::Error::new(OutputClosed)), Exit::Ok);
    }
}
