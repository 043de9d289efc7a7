//! SQL text to one statement that reads: how a text is split, what is let through, and what each refusal says.

use std::collections::BTreeSet;

use datafusion::common::{Location, TableReference};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::fault::Fault;
use crate::lake::ACCEPTED;
use crate::place;

/// How deep expressions and subqueries may nest.
pub(crate) const DEPTH_MAX: usize = 50;

/// A SQL text as its semicolons divide it.
#[derive(Debug, PartialEq, Eq)]
pub struct Split<'s> {
    /// Complete statements, without their semicolons.
    pub statements: Vec<&'s str>,
    /// What stands after the last semicolon, blanks and comments apart: the start of a statement.
    pub rest: &'s str,
}

/// Divides a text at the semicolons that stand outside of quotes and comments.
#[must_use]
pub fn split(sql: &str) -> Split<'_> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut is_blank = true;
    // A quote that is still open: everything after the last semicolon may belong to it.
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
    for token in tokens.unwrap_or_else(|_| complete_tokens(sql)) {
        match token.token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => {
                let at = token.span.start;
                let at = place::offset(sql, at.line, at.column).unwrap_or(sql.len());
                if !is_blank {
                    statements.push(sql[start..at].trim());
                }
                start = at + 1;
                is_blank = true;
            }
            _ => is_blank = false,
        }
    }
    let rest = sql[start.min(sql.len())..].trim();
    let rest = if is_blank && Tokenizer::new(&GenericDialect {}, rest).tokenize().is_ok() {
        ""
    } else {
        rest
    };
    Split { statements, rest }
}

/// The tokens before the one that never ends.
fn complete_tokens(sql: &str) -> Vec<datafusion::sql::sqlparser::tokenizer::TokenWithSpan> {
    let mut tokens = Vec::new();
    // What it has found before the fault stays in the buffer.
    let _ = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location_into_buf(&mut tokens);
    tokens
}

/// The only statement of a text.
pub(crate) fn parse(sql: &str) -> Result<Statement, Fault> {
    let parser = DFParserBuilder::new(sql)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(DEPTH_MAX)
        .build();
    let statements = parser.and_then(|mut parser| parser.parse_statements());
    let mut statements = statements.map_err(|error| Fault::of_parser(sql, &error))?;
    match (statements.pop_front(), statements.len()) {
        (None, _) => Err(Fault::new("there is no SQL in it")),
        (Some(_), 1..) => Err(Fault::new(
            "there are several statements; expected one: the shell takes several",
        )),
        (Some(statement), 0) if reads(&statement) => Ok(statement),
        (Some(_), 0) => Err(refused(sql)),
    }
}

/// The tables that a query names, as far as it can be read; others than of accepted rows with their schema's name.
#[must_use]
pub fn tables_named(sql: &str) -> BTreeSet<String> {
    let Ok(statement) = parse(sql) else {
        return BTreeSet::new();
    };
    let references = datafusion::sql::resolve::resolve_table_references(&statement, true);
    let references = references.map(|(tables, _)| tables).unwrap_or_default();
    let shown = |reference: &TableReference| match reference.schema() {
        None | Some(ACCEPTED) => reference.table().to_owned(),
        Some(_) => reference.to_string(),
    };
    references.iter().map(shown).collect()
}

/// Whether a statement only reads. What it reads from is looked at once more when it is planned.
fn reads(statement: &Statement) -> bool {
    match statement {
        Statement::Explain(explain) => reads(&explain.statement),
        Statement::Statement(sql) => matches!(
            **sql,
            Sql::Query(_)
                | Sql::ShowTables { .. }
                | Sql::ShowColumns { .. }
                | Sql::ShowFunctions { .. }
                | Sql::ShowVariable { .. }
                | Sql::ExplainTable { .. }
        ),
        _ => false,
    }
}

/// The lake is written by its ingester alone.
pub(crate) fn refused(sql: &str) -> Fault {
    let is_keyword = |token: &&Token| matches!(token, Token::Word(_));
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize()
        .unwrap_or_default();
    let first = tokens.iter().find(is_keyword).map(ToString::to_string);
    let word = first.unwrap_or_default().to_uppercase();
    let start = sql.find(|character: char| !character.is_whitespace());
    let before = &sql[..start.unwrap_or_default()];
    let line = before.matches('\n').count() as u64 + 1;
    let column = before
        .chars()
        .rev()
        .take_while(|character| *character != '\n')
        .count();
    let at = Location {
        line,
        column: column as u64 + 1,
    };
    Fault::new(format!("{word} is refused: a query only reads"))
        .at(sql, place::word_at(sql, at))
        .hint("what reads: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE, SHOW TABLES, SHOW COLUMNS FROM a table, SHOW FUNCTIONS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_divided_outside_of_quotes_and_comments() {
        let all = split("SELECT ';' ; ;\n-- a; b\nSELECT \"a;b\" /* ; */ FROM c;");
        assert_eq!(
            all.statements,
            ["SELECT ';'", "-- a; b\nSELECT \"a;b\" /* ; */ FROM c"]
        );
        assert_eq!(all.rest, "");
        let begun = split("SELECT 1; SELECT 'é;");
        assert_eq!(begun.statements, ["SELECT 1"]);
        assert_eq!(begun.rest, "SELECT 'é;");
        assert_eq!(split("  -- nothing\n").rest, "");
        assert_eq!(split("SELECT 1 /* open").rest, "SELECT 1 /* open");
    }

    #[test]
    fn only_what_reads_is_let_through() {
        for reading in [
            "SELECT 1",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1)",
            "EXPLAIN ANALYZE SELECT 1;",
            "DESCRIBE clicks",
            "SHOW TABLES",
            "SHOW COLUMNS FROM clicks",
        ] {
            assert!(parse(reading).is_ok(), "{reading}");
        }
        for other in [
            "INSERT INTO clicks VALUES (1)",
            "DELETE FROM clicks",
            "UPDATE clicks SET a = 1",
            "DROP TABLE clicks",
            "CREATE TABLE a AS SELECT 1",
            "CREATE EXTERNAL TABLE a STORED AS PARQUET LOCATION '/tmp/a'",
            "COPY clicks TO '/tmp/a.parquet'",
            "SET datafusion.execution.batch_size = 1",
            "RESET datafusion.execution.batch_size",
            "EXPLAIN DELETE FROM clicks",
            "PREPARE a AS SELECT 1",
            "BEGIN",
            "TRUNCATE TABLE clicks",
        ] {
            let fault = parse(other).expect_err(other).to_string();
            let word = other.split(' ').next().expect("a word");
            assert!(fault.starts_with(&format!("{word} is refused")), "{fault}");
        }
    }
}
