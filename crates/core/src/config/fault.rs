//! A fault of the configuration: where it is, what is wrong, and what was expected.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One fault, displayed on one line as `file:line:column: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub place: Place,
    /// What was found and what was expected.
    pub message: String,
}

/// Where a fault is. The order is the one faults are reported in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Line and column count from 1, the column in characters.
    File {
        file: PathBuf,
        line: usize,
        column: usize,
    },
    /// A line of another file, whose faults know no column.
    Line { file: PathBuf, line: usize },
    /// A whole file, when no line can be named.
    WholeFile { file: PathBuf },
    /// An environment variable.
    Variable { name: String },
}

impl Place {
    /// How a message about another place refers to this one.
    pub(super) fn short(&self) -> String {
        match self {
            Self::File { line, .. } | Self::Line { line, .. } => format!("line {line}"),
            Self::WholeFile { file } => file.display().to_string(),
            Self::Variable { name } => name.clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::WholeFile { file } => write!(f, "{}", file.display()),
            Self::Variable { name } => write!(f, "{name} (environment)"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A message quotes names and values as they are written, which may be anything: control characters become visible.
pub(super) fn on_one_line(message: String) -> String {
    if !message.contains(char::is_control) {
        return message;
    }
    let mut shown = String::with_capacity(message.len());
    for char in message.chars() {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Turns byte offsets of one text into places.
#[derive(Debug)]
pub(super) struct Places<'a> {
    file: &'a Path,
    text: &'a str,
}

impl<'a> Places<'a> {
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text }
    }

    /// The place of a byte offset; one past the end, or inside a character, is the place of what comes before.
    pub fn at(&self, offset: usize) -> Place {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Where a text begins that is written within these bytes as it stands, without an escape.
    pub fn of_text(&self, within: Range<usize>, text: &str) -> Option<Place> {
        let written = self.text.get(within.clone())?;
        written.find(text).map(|at| self.at(within.start + at))
    }

    pub fn whole_file(&self) -> Place {
        Place::WholeFile {
            file: self.file.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let places = Places::new(Path::new("a.toml"), "é = 1\nab = 2\n");
        let shown = |offset| places.at(offset).to_string();
        assert_eq!(shown(0), "a.toml:1:1");
        assert_eq!(shown(1), "a.toml:1:1");
        assert_eq!(shown(3), "a.toml:1:3");
        assert_eq!(shown(8), "a.toml:2:2");
        assert_eq!(shown(900), "a.toml:3:1");
    }
}
