//! Places in a SQL text: from a line and a column to the excerpt with a caret that a person looks at.

use datafusion::common::{Location, Span};

/// Characters of a line that an excerpt shows at most.
const SHOWN: usize = 100;

/// The byte at which a line and column (both from 1, in characters) begin. None beyond the text.
pub(crate) fn offset(sql: &str, line: u64, column: u64) -> Option<usize> {
    let line = usize::try_from(line.checked_sub(1)?).ok()?;
    let column = usize::try_from(column.checked_sub(1)?).ok()?;
    if sql.matches('\n').count() < line {
        return None;
    }
    let start: usize = sql.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = sql.get(start..)?;
    let rest = rest.split_inclusive('\n').next().unwrap_or_default();
    let characters = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    characters.into_iter().nth(column).map(|at| start + at)
}

/// A span of one character or none, as the parser reports where it stopped, becomes that of the word there.
pub(crate) fn word_at(sql: &str, start: Location) -> Span {
    let at = offset(sql, start.line, start.column).unwrap_or(sql.len());
    let is_inside = |character: &char| character.is_alphanumeric() || *character == '_';
    let length = sql[at..].chars().take_while(is_inside).count().max(1);
    let end = Location {
        line: start.line,
        column: start.column + length as u64,
    };
    Span { start, end }
}

/// The line that the span begins in, and below it a caret under each of its characters. Tabs and other control characters
/// become blanks, so that the carets stand where they should.
pub(crate) fn excerpt(sql: &str, span: Span) -> Option<String> {
    let index = usize::try_from(span.start.line.checked_sub(1)?).ok()?;
    let line: Vec<char> = sql
        .split('\n')
        .nth(index)?
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let from = usize::try_from(span.start.column.checked_sub(1)?).ok()?;
    let from = from.min(line.len());
    let is_one_line = span.end.line == span.start.line;
    let until = match usize::try_from(span.end.column.saturating_sub(1)) {
        Ok(until) if is_one_line => until.min(line.len()),
        _ => line.len(),
    };
    let until = until.max(from + 1);
    let first = from.saturating_sub(SHOWN / 2);
    let last = line.len().min(first + SHOWN);
    let shown: String = line[first..last].iter().collect();
    let (before, after) = (
        if first > 0 { "…" } else { "" },
        if last < line.len() { "…" } else { "" },
    );
    let number = if sql.trim_end().contains('\n') {
        format!("line {}: ", index + 1)
    } else {
        String::new()
    };
    let blanks = number.chars().count() + before.chars().count() + from - first;
    let carets = until.min(first + SHOWN).saturating_sub(from).max(1);
    Some(format!(
        "{number}{before}{}{after}\n{}{}",
        shown.trim_end(),
        " ".repeat(blanks),
        "^".repeat(carets)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: u64, from: u64, until: u64) -> Span {
        let at = |column| Location { line, column };
        Span {
            start: at(from),
            end: at(until),
        }
    }

    #[test]
    fn carets_stand_under_what_is_meant() {
        assert_eq!(
            excerpt("SELECT née FROM a", span(1, 8, 11)).as_deref(),
            Some("SELECT née FROM a\n       ^^^")
        );
        assert_eq!(
            excerpt("SELECT\n\tx\nFROM a", span(2, 2, 3)).as_deref(),
            Some("line 2:  x\n         ^")
        );
        assert_eq!(
            excerpt("SELECT", span(1, 7, 7)).as_deref(),
            Some("SELECT\n      ^"),
            "the end of the text"
        );
        assert_eq!(excerpt("SELECT", span(4, 1, 1)), None);
        assert_eq!(excerpt("SELECT", span(0, 0, 0)), None);
    }

    #[test]
    fn long_lines_are_shown_around_the_place() {
        let sql = format!("SELECT {} FROM a", "x, ".repeat(200));
        let shown = excerpt(&sql, span(1, 500, 501)).expect("a place");
        let (line, carets) = shown.split_once('\n').expect("two lines");
        assert!(line.chars().count() <= SHOWN + 2, "{line}");
        let at = carets.chars().count() - 1;
        assert_eq!(line.chars().nth(at), sql.chars().nth(499));
    }

    #[test]
    fn offsets_are_bytes_and_columns_characters() {
        assert_eq!(offset("é\nab", 1, 2), Some(2));
        assert_eq!(offset("é\nab", 2, 2), Some(4));
        assert_eq!(offset("é\nab", 2, 3), Some(5));
        assert_eq!(offset("é\nab", 2, 4), None);
        assert_eq!(offset("a", 9, 1), None);
        assert_eq!(word_at("a bcd e", Location { line: 1, column: 3 }), span(1, 3, 6));
    }
}
