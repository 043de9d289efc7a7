//! A report in Markdown: what came from the lake stands in code, where nothing in it means anything.

use std::fmt::Write as _;

use super::figures::{Column, Duplicates, Kind, Lateness, Rejected, Report, TableReport, Value};
use super::grid::Grid;
use super::shown;
use crate::cli::output::count;
use crate::cli::{time, visible};

const VALUE_MAX: usize = 60;
const BAR: usize = 20;
const HISTOGRAM: usize = 16;

pub fn text(report: &Report) -> String {
    let mut text = String::from("# Data quality\n\n");
    line(
        &mut text,
        &format!(
            "{} Made {} UTC.\n",
            super::period(report),
            time::moment(report.made_at.0)
        ),
    );
    for table in &report.tables {
        table_of(&mut text, table);
    }
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String never fails");
}

/// Text on one line in which nothing means anything to Markdown or HTML, in tables neither.
fn code(text: &str) -> String {
    let text = visible::line(text);
    // Inside of code only these end something: a table's cell, the code itself, what they are escaped with.
    if !text.is_empty() && !text.contains(['`', '|', '\\']) && text.trim() == text {
        return format!("`{text}`");
    }
    let mut shown = String::from("<code>");
    for character in text.chars() {
        if character.is_ascii_punctuation() {
            write!(shown, "&#{};", u32::from(character)).expect("writing to a String never fails");
        } else {
            shown.push(character);
        }
    }
    shown.push_str("</code>");
    shown
}

fn value(value: &Value) -> String {
    let shown = shown::value(value, VALUE_MAX);
    match value {
        Value::Text(_) => code(&shown),
        _ => shown,
    }
}

fn rows(text: &mut String, headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    line(text, &format!("| {} |", headers.join(" | ")));
    // Numbers, by their names, stand at the right.
    let is_number = |header: &&str| {
        matches!(
            *header,
            "nulls" | "distinct" | "rows" | "share" | "mean" | "offset"
        )
    };
    let rule: Vec<&str> = headers
        .iter()
        .map(|header| if is_number(header) { "---:" } else { "---" })
        .collect();
    line(text, &format!("| {} |", rule.join(" | ")));
    for row in rows {
        line(text, &format!("| {} |", row.join(" | ")));
    }
    text.push('\n');
}

fn table_of(text: &mut String, table: &TableReport) {
    line(text, &format!("## {}\n", code(&table.table)));
    let span = match table.first {
        Some(_) => format!(" {}.", shown::span(table)),
        None => String::new(),
    };
    line(text, &format!("{}.{span}\n", shown::headline(table)));
    for finding in &table.findings {
        line(
            text,
            &match &finding.column {
                Some(column) => format!("- {}: {}", code(column), finding.what),
                None => format!("- {}", finding.what),
            },
        );
    }
    if !table.findings.is_empty() {
        text.push('\n');
    }
    if table.rows > 0 {
        volume(text, table);
        columns(text, table);
        distributions(text, table);
        top(text, table);
    }
    rejected(text, &table.rejected);
    if table.rows > 0 {
        lateness(text, table.lateness.as_ref());
        duplicates(text, table.duplicates.as_ref());
    }
}

fn volume(text: &mut String, table: &TableReport) {
    let grid = Grid::of(&table.volume);
    if grid.lines.is_empty() {
        return;
    }
    line(text, "### Volume\n");
    let greatest = count(grid.greatest);
    line(
        text,
        &format!("{}; █ is up to {greatest}.\n\n```text", grid.legend()),
    );
    let label = grid.lines.iter().map(|line| line.label.len()).max().unwrap_or(0);
    line(text, format!("{:label$}  {}", "", grid.axis()).trim_end());
    for row in &grid.lines {
        line(
            text,
            &format!("{:<label$}  {}  {}", row.label, grid.cells(row), count(row.rows)),
        );
    }
    line(text, "```\n");
}

fn columns(text: &mut String, table: &TableReport) {
    line(text, "### Columns\n");
    match shown::estimates(table) {
        "" => {}
        note => line(text, &format!("{note}.\n")),
    }
    let optional = |found: &Option<Value>| found.as_ref().map_or("-".to_owned(), value);
    let row = |column: &Column| {
        vec![
            code(&column.name),
            column.kind.as_str().to_owned(),
            shown::share(column.nulls, table.rows),
            shown::distinct(column),
            optional(&column.min),
            optional(&column.max),
        ]
    };
    let headers = ["column", "type", "nulls", "distinct", "min", "max"];
    rows(text, &headers, table.columns.iter().map(row));
}

fn distributions(text: &mut String, table: &TableReport) {
    let ordered = table.ordered();
    if ordered.is_empty() {
        return;
    }
    line(text, "### Distributions\n");
    let row = |column: &&Column| {
        let of = if column.kind == Kind::List {
            " (length)"
        } else {
            ""
        };
        let mut cells = vec![format!("{}{of}", code(&column.name))];
        cells.push(column.mean.map_or("-".to_owned(), shown::number));
        let quantiles = column.quantiles.iter().flat_map(|quantiles| quantiles.all());
        cells.extend(quantiles.map(value));
        cells.push(format!("`{}`", shown::histogram(column, HISTOGRAM)));
        cells
    };
    let headers = [
        "column",
        "mean",
        "5 %",
        "25 %",
        "50 %",
        "75 %",
        "95 %",
        "min to max",
    ];
    rows(text, &headers, ordered.iter().map(row));
}

fn top(text: &mut String, table: &TableReport) {
    let telling: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| shown::is_telling(column, table.rows))
        .collect();
    if telling.is_empty() {
        return;
    }
    line(text, "### Top values\n");
    let mut all = Vec::new();
    for column in telling {
        let values = table.rows - column.nulls;
        for top in column.top.iter().flatten() {
            all.push(vec![
                code(&column.name),
                value(&top.value),
                count(top.rows),
                shown::share(top.rows, values),
                shown::bar(top.rows, values, BAR),
            ]);
        }
    }
    rows(text, &["column", "value", "rows", "share", ""], all);
}

fn rejected(text: &mut String, rejected: &Rejected) {
    if rejected.rows == 0 {
        return;
    }
    line(
        text,
        "### Rejected\n\nOf the period by Kafka's time; an example of each reason.\n",
    );
    let reasons = rejected.reasons.iter().map(|reason| {
        let example = reason.example.as_ref();
        let field = match reason.field.as_str() {
            "" => "(the record as a whole)".to_owned(),
            field => code(field),
        };
        let text = |text: &str| code(&visible::cut(text, VALUE_MAX));
        vec![
            code(&reason.code),
            field,
            count(reason.rows),
            shown::share(reason.rows, rejected.rows),
            example.map_or(String::new(), |example| {
                format!("{}, {}", example.partition, example.offset)
            }),
            example.map_or(String::new(), |example| text(&example.expected)),
            example.map_or(String::new(), |example| text(&example.found)),
            example.map_or(String::new(), |example| text(&example.payload)),
        ]
    });
    let headers = [
        "code",
        "field",
        "rows",
        "share",
        "partition, offset",
        "expected",
        "found",
        "payload",
    ];
    rows(text, &headers, reasons);
    if rejected.other_reasons > 0 {
        let (reasons, rows) = (count(rejected.other_reasons), count(rejected.other_rows));
        line(
            text,
            &format!("And {reasons} more reasons with {rows} records.\n"),
        );
    }
}

fn lateness(text: &mut String, lateness: Option<&Lateness>) {
    line(text, "### Lateness\n");
    let Some(lateness) = lateness else {
        return line(text, "Not applicable: the event time is Kafka's own.\n");
    };
    line(text, "Kafka's timestamp minus the event time.\n");
    if let Some(said) = shown::lateness_line(lateness) {
        line(text, &format!("{said}.\n"));
    }
    let bands = lateness.bands.iter().filter(|band| band.rows > 0).map(|band| {
        vec![
            shown::band(band.from_secs, band.to_secs),
            count(band.rows),
            shown::share(band.rows, lateness.rows),
            shown::bar(band.rows, lateness.rows, BAR),
        ]
    });
    rows(text, &["late", "rows", "share", ""], bands);
}

fn duplicates(text: &mut String, duplicates: Option<&Duplicates>) {
    line(text, "### Duplicates\n");
    let Some(duplicates) = duplicates else {
        return line(text, "No business key was given.\n");
    };
    let key: Vec<String> = duplicates.key.iter().map(|name| code(name)).collect();
    line(
        text,
        &format!("By {}: {}.\n", key.join(", "), shown::duplicates_line(duplicates)),
    );
    if !duplicates.most.is_empty() {
        let repeated = duplicates.most.iter().map(|repeated| {
            let key: Vec<String> = repeated.key.iter().map(value).collect();
            vec![key.join(", "), count(repeated.rows)]
        });
        rows(text, &["key", "rows"], repeated);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_code() {
        assert_eq!(code("user 1"), "`user 1`");
        assert_eq!(code("<b>*x*</b>"), "`<b>*x*</b>`");
        assert_eq!(code("a|b"), "<code>a&#124;b</code>");
        assert_eq!(
            code("`</code><script>`"),
            "<code>&#96;&#60;&#47;code&#62;&#60;script&#62;&#96;</code>"
        );
        assert_eq!(code("\n# x"), "<code>&#92;n&#35; x</code>");
        assert_eq!(code(""), "<code></code>");
    }
}
