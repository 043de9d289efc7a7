//! A report on a terminal: in 80 columns, the same without colours.

use super::figures::{Column, Duplicates, Example, Kind, Lateness, Rejected, Report, TableReport};
use super::grid::Grid;
use super::shown;
use crate::cli::output::{Align, Table, count};
use crate::cli::{columns, visible};

const WIDTH: usize = 80;
/// Characters of a column's name.
const NAME_MAX: usize = 20;
/// Characters of the bars of shares.
const BAR: usize = 20;
const HISTOGRAM: usize = 8;

/// Whether headings stand out by escape codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colour,
}

impl Paint {
    fn with(self, ansi: &str, text: &str) -> String {
        match self {
            Paint::Plain => text.to_owned(),
            Paint::Colour => format!("\u{1b}[{ansi}m{text}\u{1b}[0m"),
        }
    }
}

/// The text. Everything in it that came from the lake was made visible, so escape codes are our own.
pub fn text(report: &Report, paint: Paint) -> String {
    let mut page = Page {
        paint,
        text: String::new(),
    };
    if report.from.is_some() || report.to.is_some() {
        page.line(&super::period(report));
        page.line("");
    }
    for (index, table) in report.tables.iter().enumerate() {
        if index > 0 {
            page.line("");
        }
        page.table(table);
    }
    page.text
}

struct Page {
    paint: Paint,
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A sentence in as many lines as it needs.
    fn sentence(&mut self, text: &str, indent: usize) {
        for line in wrapped(text, WIDTH, indent) {
            self.line(&line);
        }
    }

    /// A title of a section, with what it says in short.
    fn section(&mut self, title: &str, note: &str) {
        self.line("");
        let title = self.paint.with("1", title);
        self.line(&if note.is_empty() {
            title
        } else {
            format!("{title}  {note}")
        });
    }

    /// Rows under their headers, of which there may be none.
    fn rows(&mut self, table: &Table) {
        let text = table.to_string();
        let (headers, rows) = text.split_once('\n').unwrap_or((&text, ""));
        let headers = self.paint.with("2", headers);
        self.line(&headers);
        self.text.push_str(rows);
    }

    fn table(&mut self, table: &TableReport) {
        let name = visible::line(&table.table);
        let headline = format!("{name}  {}", shown::headline(table));
        let lines = wrapped(&headline, WIDTH, 2);
        for (index, line) in lines.iter().enumerate() {
            match line.strip_prefix(&name).filter(|_| index == 0) {
                Some(rest) => self.line(&format!("{}{rest}", self.paint.with("1;36", &name))),
                None => self.line(line),
            }
        }
        self.line(&shown::span(table));
        if !table.findings.is_empty() {
            self.line("");
        }
        for finding in &table.findings {
            let what = match &finding.column {
                Some(column) => format!("! {}: {}", name_of(column), finding.what),
                None => format!("! {}", finding.what),
            };
            let mark = self.paint.with("1;33", "!");
            for line in wrapped(&what, WIDTH, 2) {
                match line.strip_prefix('!') {
                    Some(rest) => self.line(&format!("{mark}{rest}")),
                    None => self.line(&line),
                }
            }
        }
        if table.rows > 0 {
            self.volume(table);
            self.columns(table);
            self.numbers(table);
            self.top(table);
        }
        self.rejected(&table.rejected);
        if table.rows > 0 {
            self.lateness(table.lateness.as_ref());
            self.duplicates(table.duplicates.as_ref());
        }
    }

    fn volume(&mut self, table: &TableReport) {
        let grid = Grid::of(&table.volume);
        if grid.lines.is_empty() {
            return;
        }
        self.section(
            "VOLUME",
            &format!("{}; █ is up to {}", grid.legend(), count(grid.greatest)),
        );
        let label = grid.lines.iter().map(|line| line.label.len()).max().unwrap_or(0);
        let axis = format!("{:label$}  {}", "", grid.axis());
        let axis = self.paint.with("2", &axis);
        self.line(&axis);
        if grid.left_out > 0 {
            self.line(&format!(
                "({} lines before these are left out)",
                count(grid.left_out as u64)
            ));
        }
        let totals: Vec<String> = grid.lines.iter().map(|line| count(line.rows)).collect();
        let width = totals.iter().map(String::len).max().unwrap_or(0);
        for (line, total) in grid.lines.iter().zip(&totals) {
            let cells = self.paint.with("36", &grid.cells(line));
            self.line(&format!("{:<label$}  {cells}  {total:>width$}", line.label));
        }
    }

    fn columns(&mut self, table: &TableReport) {
        self.section("COLUMNS", shown::estimates(table));
        // What is too wide is cut where it hurts least: first the values, then the names.
        let wide = |name_max: usize, value_max: usize| {
            let mut rows = Table::new([
                ("COLUMN", Align::Left),
                ("TYPE", Align::Left),
                ("NULLS", Align::Right),
                ("DISTINCT", Align::Right),
                ("MIN", Align::Left),
                ("MAX", Align::Left),
            ]);
            for column in &table.columns {
                let value = |value: &Option<super::figures::Value>| {
                    value
                        .as_ref()
                        .map_or("-".to_owned(), |value| shown::value(value, value_max))
                };
                rows.row([
                    columns::fit(&visible::line(&column.name), name_max),
                    column.kind.as_str().to_owned(),
                    shown::share(column.nulls, table.rows),
                    shown::distinct(column),
                    value(&column.min),
                    value(&column.max),
                ]);
            }
            rows
        };
        let sizes = [(NAME_MAX, 19), (NAME_MAX, 16), (NAME_MAX, 12), (14, 12), (10, 10)];
        let fitting = sizes.iter().map(|(name, value)| wide(*name, *value)).find(fits);
        self.rows(&fitting.unwrap_or_else(|| wide(8, 8)));
    }

    fn numbers(&mut self, table: &TableReport) {
        let ordered = table.ordered();
        if ordered.is_empty() {
            return;
        }
        self.section("DISTRIBUTIONS", "");
        let mut rows = Table::new([
            ("COLUMN", Align::Left),
            ("MEAN", Align::Right),
            ("P5", Align::Right),
            ("P25", Align::Right),
            ("P50", Align::Right),
            ("P75", Align::Right),
            ("P95", Align::Right),
            ("MIN-MAX", Align::Left),
        ]);
        for column in ordered {
            let name = visible::line(&column.name);
            let name = match column.kind {
                Kind::List => format!("len({})", columns::fit(&name, 10)),
                _ => columns::fit(&name, 15),
            };
            let mut cells = vec![name];
            // Times and dates are too wide for it, and have their share in the columns above.
            if matches!(column.kind, Kind::Time | Kind::Date) {
                cells.extend(["-"; 6].map(str::to_owned));
            } else {
                cells.push(column.mean.map_or("-".to_owned(), shown::short));
                let quantiles = column.quantiles.iter().flat_map(|quantiles| quantiles.all());
                cells.extend(quantiles.map(|value| value.position().map_or("-".to_owned(), shown::short)));
            }
            cells.push(shown::histogram(column, HISTOGRAM));
            rows.row(cells);
        }
        self.rows(&rows);
    }

    fn top(&mut self, table: &TableReport) {
        let telling = table
            .columns
            .iter()
            .filter(|column| shown::is_telling(column, table.rows));
        let telling: Vec<&Column> = telling.collect();
        if telling.is_empty() {
            return;
        }
        self.section("TOP VALUES", "");
        let with = |value_max: usize| top_rows(table, &telling, value_max);
        let fitting = [44, 36, 28, 20].into_iter().map(with).find(fits);
        self.rows(&fitting.unwrap_or_else(|| with(12)));
    }

    fn rejected(&mut self, rejected: &Rejected) {
        if rejected.rows == 0 {
            return;
        }
        self.section(
            "REJECTED",
            "by reason, of the period by Kafka's time, with the newest of each",
        );
        let mut table = Table::new([
            ("CODE", Align::Left),
            ("FIELD", Align::Left),
            ("RECORDS", Align::Right),
            ("SHARE", Align::Right),
            ("", Align::Left),
        ]);
        for reason in &rejected.reasons {
            table.row([
                reason.code.clone(),
                match reason.field.as_str() {
                    "" => "(the record)".to_owned(),
                    field => columns::fit(&visible::line(field), 24),
                },
                count(reason.rows),
                shown::share(reason.rows, rejected.rows),
                shown::bar(reason.rows, rejected.rows, 10),
            ]);
        }
        // Under each row of the table its example.
        let text = table.to_string();
        let mut lines = text.lines();
        let headers = self.paint.with("2", lines.next().unwrap_or_default());
        self.line(&headers);
        for (line, reason) in lines.zip(&rejected.reasons) {
            self.line(line);
            if let Some(example) = &reason.example {
                self.example(example);
            }
        }
        if rejected.other_reasons > 0 {
            self.line(&format!(
                "and {} more reasons with {} records",
                count(rejected.other_reasons),
                count(rejected.other_rows)
            ));
        }
    }

    fn example(&mut self, example: &Example) {
        let place = format!("partition {}, offset {}", example.partition, example.offset);
        let expected = columns::fit(&visible::line(&example.expected), 44);
        let found = visible::line(&example.found);
        self.sentence(&format!("  {place}: expected {expected}, found {found}"), 4);
        let payload = format!("  {}", visible::line(&example.payload));
        let payload = self.paint.with("2", &columns::fit(&payload, WIDTH));
        self.line(&payload);
    }

    fn lateness(&mut self, lateness: Option<&Lateness>) {
        let Some(lateness) = lateness else {
            self.section("LATENESS", "not applicable: the event time is Kafka's own");
            return;
        };
        self.section("LATENESS", "Kafka's timestamp minus the event time");
        if let Some(said) = shown::lateness_line(lateness) {
            self.sentence(&said, 0);
        }
        let mut rows = Table::new([
            ("LATE", Align::Left),
            ("ROWS", Align::Right),
            ("SHARE", Align::Right),
            ("", Align::Left),
        ]);
        for band in lateness.bands.iter().filter(|band| band.rows > 0) {
            rows.row([
                shown::band(band.from_secs, band.to_secs),
                count(band.rows),
                shown::share(band.rows, lateness.rows),
                shown::bar(band.rows, lateness.rows, BAR),
            ]);
        }
        if !rows.is_empty() {
            self.rows(&rows);
        }
    }

    fn duplicates(&mut self, duplicates: Option<&Duplicates>) {
        let Some(duplicates) = duplicates else {
            self.section(
                "DUPLICATES",
                "no business key was given: --key TABLE=COLUMN[,COLUMN]",
            );
            return;
        };
        let key: Vec<String> = duplicates.key.iter().map(|name| visible::line(name)).collect();
        self.section(
            "DUPLICATES",
            &columns::fit(&format!("by {}", key.join(", ")), WIDTH - 12),
        );
        self.sentence(&shown::duplicates_line(duplicates), 0);
        if duplicates.most.is_empty() {
            return;
        }
        let mut rows = Table::new([("KEY", Align::Left), ("ROWS", Align::Right)]);
        for repeated in &duplicates.most {
            let key: Vec<String> = repeated.key.iter().map(|value| shown::value(value, 30)).collect();
            rows.row([columns::fit(&key.join(", "), 60), count(repeated.rows)]);
        }
        self.rows(&rows);
    }
}

/// The most frequent values of these columns, each in at most so many characters.
fn top_rows(table: &TableReport, columns: &[&Column], value_max: usize) -> Table {
    let mut rows = Table::new([
        ("COLUMN", Align::Left),
        ("VALUE", Align::Left),
        ("ROWS", Align::Right),
        ("SHARE", Align::Right),
        ("", Align::Left),
    ]);
    for column in columns {
        let values = table.rows - column.nulls;
        for (index, top) in column.top.iter().flatten().enumerate() {
            let name = if index == 0 {
                name_of(&column.name)
            } else {
                String::new()
            };
            rows.row([
                name,
                shown::value(&top.value, value_max),
                count(top.rows),
                shown::share(top.rows, values),
                shown::bar(top.rows, values, 14),
            ]);
        }
    }
    rows
}

fn name_of(column: &str) -> String {
    columns::fit(&visible::line(column), NAME_MAX)
}

fn fits(rows: &Table) -> bool {
    let text = rows.to_string();
    text.lines().all(|line| columns::of(line) <= WIDTH)
}

/// A text in lines of at most so many columns, broken at its spaces; lines after the first are set in so far. A word that is longer
/// than a line is cut.
fn wrapped(text: &str, columns_max: usize, indent: usize) -> Vec<String> {
    let words = text.trim_start_matches(' ');
    let mut lines = Vec::new();
    let mut line = " ".repeat(text.len() - words.len());
    for word in words.split(' ') {
        let is_begun = !line.trim_start().is_empty();
        if is_begun && columns::of(&line) + 1 + columns::of(word) > columns_max {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if is_begun {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.iter().map(|line| columns::fit(line, columns_max)).collect()
}

#[cfg(test)]
mod tests {
    use eventlake_core::commit::CommitNumber;

    use super::*;
    use crate::commands::report::figures::{Finding, Moment, Reason, Repeated, Top, Unit, Value, Volume};

    #[test]
    fn sentences_break_at_spaces_and_words_that_are_too_long_are_cut() {
        assert_eq!(wrapped("one two three", 8, 2), ["one two", "  three"]);
        assert_eq!(wrapped(" one two", 6, 2), [" one", "  two"]);
        assert_eq!(wrapped("! 0123456789 a", 8, 2), ["!", "  01234…", "  a"]);
        assert_eq!(wrapped("東京 大阪", 8, 0), ["東京", "大阪"]);
        assert_eq!(wrapped("", 8, 2), [""]);
    }

    /// A report in which every text that can come from the lake or its schema is hostile.
    fn hostile() -> Report {
        let text = "\u{1b}[2J\u{9b}31m\r\n! forged\u{202e}".to_owned();
        let value = Value::Text(text.clone());
        let column = Column {
            name: text.clone(),
            kind: Kind::Text,
            nulls: 0,
            blank: None,
            distinct: Some(1),
            estimated: false,
            min: Some(value.clone()),
            max: Some(value.clone()),
            mean: None,
            stddev: None,
            quantiles: None,
            length: None,
            top: Some(vec![Top {
                value: value.clone(),
                rows: 2,
            }]),
            histogram: Vec::new(),
        };
        let example = Example {
            partition: 0,
            offset: 0,
            kafka_timestamp: None,
            expected: text.clone(),
            found: text.clone(),
            payload: text.clone(),
        };
        let table = TableReport {
            table: text.clone(),
            commit: CommitNumber(1),
            rows: 2,
            first: None,
            last: None,
            findings: vec![Finding {
                column: Some(text.clone()),
                what: "of our own words".to_owned(),
            }],
            volume: Volume {
                unit: Unit::Hour,
                steps: Vec::new(),
                empty_steps: 0,
                longest_gap: None,
                rows_without_time: 0,
            },
            columns: vec![column],
            lateness: None,
            duplicates: Some(Duplicates {
                key: vec![text.clone()],
                rows_without_key: 0,
                keys: 1,
                repeated_keys: 1,
                surplus_rows: 1,
                most: vec![Repeated {
                    key: vec![value],
                    rows: 2,
                }],
            }),
            rejected: Rejected {
                rows: 1,
                reasons: vec![Reason {
                    code: text.clone(),
                    field: text,
                    rows: 1,
                    example: Some(example),
                }],
                other_reasons: 0,
                other_rows: 0,
            },
            lost: 0,
        };
        Report {
            made_at: Moment(0),
            from: None,
            to: None,
            tables: vec![table],
        }
    }

    #[test]
    fn the_only_escape_codes_are_our_own() {
        let mut shown = text(&hostile(), Paint::Colour);
        assert!(shown.matches("\\x1b[2J").count() >= 8, "{shown}");
        for code in ["0", "1", "2", "36", "1;36", "1;33"] {
            shown = shown.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(visible::text(&shown), shown);
        assert!(shown.lines().all(|line| !line.starts_with("! forged")), "{shown}");
        assert_eq!(shown, text(&hostile(), Paint::Plain));
    }
}
