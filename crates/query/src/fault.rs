//! What is wrong with a SQL text: one message, the place in it, and what was most likely meant.

use std::fmt;

use datafusion::common::{Column, DataFusionError, Location, SchemaError, Span};
use datafusion::sql::sqlparser::parser::ParserError;
use eventlake_core::config::nearest;

use crate::place;

/// Names that a hint lists at most.
const LISTED: usize = 30;

/// A fault of the SQL itself. Displayed: the message, the line with carets below it, hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    message: String,
    /// Where it begins, line and column from 1.
    start: Option<Location>,
    excerpt: Option<String>,
    hints: Vec<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Fault {
    /// A fault of no place.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Fault {
        Fault {
            message: message.into(),
            start: None,
            excerpt: None,
            hints: Vec::new(),
        }
    }

    pub(crate) fn at(mut self, sql: &str, span: Span) -> Fault {
        self.excerpt = place::excerpt(sql, span);
        self.start = self.excerpt.is_some().then_some(span.start);
        self
    }

    /// Where in the text it begins: line and column from 1, the column in characters. None where no place can be named.
    #[must_use]
    pub fn place(&self) -> Option<(usize, usize)> {
        let start = self.start?;
        Some((
            usize::try_from(start.line).ok()?,
            usize::try_from(start.column).ok()?,
        ))
    }

    /// The message and its hints on one line, for where the place is said in another way.
    #[must_use]
    pub fn on_one_line(&self) -> String {
        let message = std::iter::once(self.message.clone());
        let hints = self.hints.iter().map(|hint| format!("hint: {hint}"));
        let parts: Vec<String> = message.chain(hints).collect();
        parts.join("; ").replace('\n', " ")
    }

    /// What the reader may do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hints.push(hint.into());
        self
    }

    /// No table of this name; `known` are those that there are, as a query names them.
    pub(crate) fn no_table(sql: &str, name: &str, known: &[String], error: &DataFusionError) -> Fault {
        let mut fault = Fault::new(format!("no table {name}"));
        if let Some(span) = error.diagnostic().and_then(|diagnostic| diagnostic.span) {
            fault = fault.at(sql, span);
        }
        let near = nearest(name, known.iter().map(String::as_str));
        fault.meant(near, "tables", known)
    }

    /// What the parser or the planner found.
    pub(crate) fn of_planner(sql: &str, error: &DataFusionError) -> Fault {
        let diagnostic = error.diagnostic();
        let mut fault = match root(error) {
            DataFusionError::SchemaError(schema, _) => Fault::of_names(schema),
            DataFusionError::SQL(parser, _) => return Fault::of_text(sql, &parser_text(parser)),
            root => Fault::new(tidy(&match diagnostic {
                Some(diagnostic) => diagnostic.message.clone(),
                None => root.strip_backtrace(),
            })),
        };
        let Some(diagnostic) = diagnostic else {
            return fault;
        };
        if let Some(span) = diagnostic.span {
            fault = fault.at(sql, span);
        }
        if fault.hints.is_empty() {
            let notes = diagnostic.notes.iter().map(|note| &note.message);
            let helps = diagnostic.helps.iter().map(|help| &help.message);
            for said in notes.chain(helps) {
                let hint = match said.strip_prefix("Possible function ") {
                    Some(name) => format!("did you mean {}?", name.replace('\'', "")),
                    None => said.clone(),
                };
                fault.hints.push(hint);
            }
        }
        fault
    }

    /// What the parser found.
    pub(crate) fn of_parser(sql: &str, error: &DataFusionError) -> Fault {
        match root(error) {
            DataFusionError::SQL(parser, _) => Fault::of_text(sql, &parser_text(parser)),
            other => Fault::new(tidy(&other.strip_backtrace())),
        }
    }

    /// A message of the parser, which ends with its place.
    fn of_text(sql: &str, text: &str) -> Fault {
        const LINE: &str = " at Line: ";
        let Some((message, at)) = text.rsplit_once(LINE) else {
            let fault = Fault::new(tidy(text));
            // Only at the end of the text has the parser no place to name.
            return if text.ends_with("EOF") {
                fault.at(sql, end_of(sql))
            } else {
                fault
            };
        };
        let number = |text: &str| text.trim().parse().ok();
        let at = at.split_once(", Column: ");
        let at = at.and_then(|(line, column)| Some((number(line)?, number(column)?)));
        match at {
            Some((line, column)) => {
                let start = Location { line, column };
                Fault::new(tidy(message)).at(sql, place::word_at(sql, start))
            }
            None => Fault::new(tidy(text)),
        }
    }

    fn of_names(error: &SchemaError) -> Fault {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => no_column(field, valid_fields),
            SchemaError::AmbiguousReference { field } => Fault::new(format!(
                "column {} is in more than one of the tables",
                field.name()
            ))
            .hint("put the table's name before it"),
            other => Fault::new(tidy(&other.to_string())),
        }
    }

    fn meant(mut self, near: Option<&str>, what: &str, known: &[String]) -> Fault {
        if let Some(near) = near {
            self = self.hint(format!("did you mean {near}?"));
        }
        match known.len() {
            0 => self,
            1..=LISTED => self.hint(format!("the {what} are {}", known.join(", "))),
            more => {
                let first = known[..LISTED].join(", ");
                self.hint(format!("the {what} are {first} and {} more", more - LISTED))
            }
        }
    }
}

fn no_column(field: &Column, valid_fields: &[Column]) -> Fault {
    let mut known: Vec<String> = Vec::new();
    for column in valid_fields {
        let name = quoted(column.name());
        if !known.contains(&name) {
            known.push(name);
        }
    }
    let place = match &field.relation {
        Some(relation) => format!(" in {}", relation.table()),
        None => String::new(),
    };
    let near = nearest(field.name(), known.iter().map(|name| name.trim_matches('"')));
    let near = near.map(quoted);
    Fault::new(format!("no column {}{place}", field.name())).meant(near.as_deref(), "columns", &known)
}

/// A name as a query must write it: one with capitals would be read as small letters.
pub(crate) fn quoted(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_lowercase() || character == '_';
    let is_digit = |character: char| character.is_ascii_digit();
    let plain = name.starts_with(is_plain) && name.chars().all(|c| is_plain(c) || is_digit(c));
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// The error inside of what was wrapped around it. Of several, the first.
pub(crate) fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) if !errors.is_empty() => root(&errors[0]),
        DataFusionError::External(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => root(inner),
            None => error,
        },
        other => other,
    }
}

fn parser_text(error: &ParserError) -> String {
    match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "it is nested too deep".to_owned(),
    }
}

/// Without the name of the stage it came from, and beginning as our messages do.
pub(crate) fn tidy(message: &str) -> String {
    let stages = [
        "Error during planning: ",
        "Execution error: ",
        "SQL error: ",
        "This feature is not implemented: ",
        "Arrow error: ",
        "External error: ",
        "Schema error: ",
        "Parquet error: ",
        "Internal error: ",
        "type_coercion\ncaused by\n",
    ];
    let mut rest = message.trim();
    while let Some(inner) = stages.iter().find_map(|stage| rest.strip_prefix(stage)) {
        rest = inner.trim_start();
    }
    let mut characters = rest.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().collect::<String>() + characters.as_str()
        }
        _ => rest.to_owned(),
    }
}

fn end_of(sql: &str) -> Span {
    let text = sql.trim_end();
    let last = text.rsplit('\n').next().unwrap_or_default();
    let at = Location {
        line: text.matches('\n').count() as u64 + 1,
        column: last.chars().count() as u64 + 1,
    };
    Span { start: at, end: at }
}
