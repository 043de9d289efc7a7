//! The line on the terminal that says what a report is at. Nothing where standard error is no terminal.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _};

use crate::cli::{output, visible};

/// Longer, and it would wrap and stay.
const WIDTH: usize = 79;

pub struct Progress {
    is_drawn: bool,
    table: RefCell<String>,
}

impl Progress {
    pub fn new() -> Progress {
        Progress {
            is_drawn: io::stderr().is_terminal(),
            table: RefCell::new(String::new()),
        }
    }

    /// From now on it is about this table.
    pub fn begin(&self, table: &str, number: usize, of: usize) {
        let of = if of > 1 {
            format!(" ({number} of {of})")
        } else {
            String::new()
        };
        *self.table.borrow_mut() = format!("{table}{of}");
        self.at("reading the log");
    }

    pub fn at(&self, what: &str) {
        if self.is_drawn {
            let line = visible::line(&format!("{}: {what}", self.table.borrow()));
            // It is a courtesy: when standard error is gone, the work goes on.
            let _ = output::note(format!("\r\x1b[K{}", visible::cut(&line, WIDTH)));
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if self.is_drawn {
            let _ = output::note("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
