//! What the shell knows while a statement is typed: how a word can go on, and whether the statement is complete.

use eventlake_query::split;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "ASC",
    "BETWEEN",
    "CASE",
    "CAST",
    "CROSS JOIN",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL JOIN",
    "GROUP BY",
    "HAVING",
    "ILIKE",
    "INNER JOIN",
    "INTERSECT",
    "INTERVAL",
    "JOIN",
    "LEFT JOIN",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ORDER BY",
    "OVER",
    "PARTITION BY",
    "RIGHT JOIN",
    "SELECT",
    "SHOW COLUMNS FROM",
    "SHOW TABLES",
    "THEN",
    "TRUE",
    "UNION ALL",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

pub struct Words {
    /// Tables, columns and functions of the snapshot.
    pub names: Vec<String>,
}

impl Words {
    /// Where the word before the cursor begins, and what it can become: names first.
    fn candidates(&self, before: &str) -> (usize, Vec<String>) {
        let is_inside = |character: char| character.is_alphanumeric() || "_.\"\\".contains(character);
        let start = before
            .char_indices()
            .rev()
            .take_while(|(_, character)| is_inside(*character))
            .last()
            .map_or(before.len(), |(at, _)| at);
        let word = &before[start..];
        if word.is_empty() {
            return (start, Vec::new());
        }
        let begins = |name: &str| name.to_lowercase().starts_with(&word.to_lowercase());
        let names = self.names.iter().map(String::as_str);
        let names = names.chain(super::shell::COMMANDS.iter().map(|(name, _)| *name));
        let mut begun: Vec<String> = names.filter(|name| begins(name)).map(str::to_owned).collect();
        // Keywords go on as they were begun, in capitals or small letters.
        let is_small = word.chars().any(char::is_lowercase);
        for keyword in KEYWORDS.iter().filter(|keyword| begins(keyword)) {
            begun.push(if is_small {
                keyword.to_lowercase()
            } else {
                (*keyword).to_owned()
            });
        }
        (start, begun)
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(&line[..at]))
    }
}

impl Validator for Words {
    /// A statement goes on over lines until its semicolon; a command of the shell is one line.
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let input = context.input().trim();
        let is_complete = input.starts_with('\\') || split(input).rest.is_empty();
        Ok(if is_complete {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_on_as_names_and_keywords_do() {
        let words = Words {
            names: ["clicks", "client_id", "count", "rejected.clicks", "\"userId\""]
                .map(str::to_owned)
                .to_vec(),
        };
        let of = |before: &str| words.candidates(before);
        assert_eq!(
            of("SELECT cli"),
            (7, vec!["clicks".to_owned(), "client_id".to_owned()])
        );
        assert_eq!(
            of("SELECT * FROM rejected.c"),
            (14, vec!["rejected.clicks".to_owned()])
        );
        assert_eq!(of("sel"), (0, vec!["select".to_owned()]));
        assert_eq!(of("SEL"), (0, vec!["SELECT".to_owned()]));
        assert_eq!(of("SELECT \"us"), (7, vec!["\"userId\"".to_owned()]));
        assert_eq!(of("é, clie"), (4, vec!["client_id".to_owned()]));
        assert_eq!(of("\\q"), (0, vec!["\\q".to_owned()]));
        assert_eq!(of("SELECT "), (7, vec![]));
    }
}
