//! A report as one HTML file: no script, nothing fetched, charts as SVG inside, and every text from the lake escaped.

use std::fmt::Write as _;

use super::figures::{Column, Duplicates, Kind, Lateness, Rejected, Report, TableReport, Value};
use super::{charts, shown};
use crate::cli::output::count;
use crate::cli::{time, visible};

const VALUE_MAX: usize = 60;
/// Even if something did get in, a browser would run and fetch nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const STYLE: &str = include_str!("report.css");

pub fn page(report: &Report) -> String {
    let mut page = String::new();
    let period = escaped(&super::period(report));
    let made = time::moment(report.made_at.0);
    put(
        &mut page,
        &format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Data quality</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>Data quality</h1>\n<p>{period} Made {made} UTC.</p>"
        ),
    );
    if report.tables.len() > 1 {
        put(&mut page, "<nav>");
        for (index, table) in report.tables.iter().enumerate() {
            let name = escaped(&table.table);
            put(
                &mut page,
                &format!(
                    "<a href=\"#table-{index}\">{name} <small>{}</small></a>",
                    count(table.rows)
                ),
            );
        }
        put(&mut page, "</nav>");
    }
    put(&mut page, "</header>\n<main>");
    for (index, table) in report.tables.iter().enumerate() {
        table_of(&mut page, index, table);
    }
    put(&mut page, "</main>\n</body>\n</html>");
    page
}

fn put(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("writing to a String never fails");
}

/// Text on one line, as content or in the quotes of an attribute.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in visible::line(text).chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            other => shown.push(other),
        }
    }
    shown
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

fn value(value: &Value) -> String {
    let shown = shown::value(value, VALUE_MAX);
    match value {
        Value::Text(_) => code(&shown),
        Value::Time(_) => format!("<time>{}</time>", escaped(&shown)),
        _ => escaped(&shown),
    }
}

/// A table: its headers, of which those of numbers begin with `#`, and its rows' cells, as HTML.
fn rows(page: &mut String, headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let class = |header: &str| {
        if header.starts_with('#') {
            " class=\"n\""
        } else {
            ""
        }
    };
    put(page, "<div class=\"wide\"><table>\n<thead><tr>");
    for header in headers {
        let text = header.trim_start_matches('#');
        put(page, &format!("<th{}>{text}</th>", class(header)));
    }
    put(page, "</tr></thead>\n<tbody>");
    for row in rows {
        let cells = row.iter().zip(headers);
        let cells: String = cells
            .map(|(cell, header)| format!("<td{}>{cell}</td>", class(header)))
            .collect();
        put(page, &format!("<tr>{cells}</tr>"));
    }
    put(page, "</tbody>\n</table></div>");
}

fn table_of(page: &mut String, index: usize, table: &TableReport) {
    put(
        page,
        &format!(
            "<section id=\"table-{index}\">\n<h2>{}</h2>",
            escaped(&table.table)
        ),
    );
    put(page, &format!("<p class=\"sub\">{}</p>", shown::span(table)));
    cards(page, table);
    if !table.findings.is_empty() {
        put(page, "<ul class=\"findings\">");
        for finding in &table.findings {
            let column = finding.column.as_ref();
            let column = column.map_or(String::new(), |column| format!("{}: ", code(column)));
            put(page, &format!("<li>{column}{}</li>", escaped(&finding.what)));
        }
        put(page, "</ul>");
    }
    if table.rows > 0 {
        let unit = table.volume.unit.as_str();
        put(
            page,
            &format!("<h3>Volume</h3>\n<p class=\"note\">Rows by {unit}, UTC.</p>"),
        );
        put(page, &charts::volume(&table.volume));
        columns(page, table);
        top(page, table);
    }
    rejected(page, &table.rejected);
    if table.rows > 0 {
        lateness(page, table.lateness.as_ref());
        duplicates(page, table.duplicates.as_ref());
    }
    put(page, "</section>");
}

fn cards(page: &mut String, table: &TableReport) {
    let rejected = table.rejected.rows;
    let mut cards = vec![
        ("rows", count(table.rows)),
        (
            "rejected",
            match rejected {
                0 => "0".to_owned(),
                rows => format!(
                    "{} <small>{}</small>",
                    count(rows),
                    escaped(&shown::share(rows, rows + table.rows))
                ),
            },
        ),
        ("columns", table.columns.len().to_string()),
    ];
    if let Some(duplicates) = &table.duplicates {
        cards.push(("surplus rows", count(duplicates.surplus_rows)));
    }
    if let Some(p95) = table.lateness.as_ref().and_then(|lateness| lateness.p95_secs) {
        cards.push(("95 % late by", format!("~{}", escaped(&shown::secs(p95)))));
    }
    if table.lost > 0 {
        cards.push(("lost offsets", count(table.lost)));
    }
    cards.push(("as of commit", count(table.commit.0)));
    put(page, "<dl class=\"cards\">");
    for (name, figure) in cards {
        put(page, &format!("<div><dt>{name}</dt><dd>{figure}</dd></div>"));
    }
    put(page, "</dl>");
}

fn columns(page: &mut String, table: &TableReport) {
    put(page, "<h3>Columns</h3>");
    match shown::estimates(table) {
        "" => {}
        note => put(page, &format!("<p class=\"note\">{}.</p>", escaped(note))),
    }
    let optional = |found: Option<&Value>| found.map_or("-".to_owned(), value);
    let row = |column: &Column| {
        let of = match column.kind {
            Kind::List => " <small>lengths</small>",
            _ => "",
        };
        let quantile = |index: usize| {
            let quantiles = column.quantiles.as_ref();
            optional(quantiles.map(|quantiles| quantiles.all()[index]))
        };
        vec![
            code(&column.name),
            format!("{}{of}", column.kind.as_str()),
            format!(
                "{}{}",
                charts::share(column.nulls, table.rows, 40),
                escaped(&shown::share(column.nulls, table.rows))
            ),
            shown::distinct(column),
            optional(column.min.as_ref()),
            quantile(1),
            quantile(2),
            quantile(3),
            optional(column.max.as_ref()),
            column.mean.map_or("-".to_owned(), shown::number),
            charts::histogram(column),
        ]
    };
    let headers = [
        "column",
        "type",
        "#nulls",
        "#distinct",
        "#min",
        "#25 %",
        "#median",
        "#75 %",
        "#max",
        "#mean",
        "distribution",
    ];
    rows(page, &headers, table.columns.iter().map(row));
}

fn top(page: &mut String, table: &TableReport) {
    let telling: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| shown::is_telling(column, table.rows))
        .collect();
    if telling.is_empty() {
        return;
    }
    put(page, "<h3>Top values</h3>\n<div class=\"tops\">");
    for column in telling {
        let values = table.rows - column.nulls;
        put(
            page,
            &format!("<figure><figcaption>{}</figcaption>\n<table>", code(&column.name)),
        );
        for top in column.top.iter().flatten() {
            put(
                page,
                &format!(
                    "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                    value(&top.value),
                    charts::share(top.rows, values, 60),
                    count(top.rows),
                    escaped(&shown::share(top.rows, values))
                ),
            );
        }
        put(page, "</table></figure>");
    }
    put(page, "</div>");
}

fn rejected(page: &mut String, rejected: &Rejected) {
    if rejected.rows == 0 {
        return;
    }
    put(
        page,
        "<h3>Rejected</h3>\n<p class=\"note\">Records of the period by Kafka's time, by reason, with the newest of each.</p>",
    );
    let reasons = rejected.reasons.iter().map(|reason| {
        let field = match reason.field.as_str() {
            "" => "the record as a whole".to_owned(),
            field => code(field),
        };
        let example = reason.example.as_ref().map_or(String::new(), |example| {
            format!(
                "<details open><summary>partition {}, offset {}: expected {}, found {}</summary><pre>{}</pre></details>",
                example.partition,
                example.offset,
                code(&example.expected),
                code(&example.found),
                escaped(&example.payload)
            )
        });
        vec![
            code(&reason.code),
            field,
            count(reason.rows),
            format!("{} {}", charts::share(reason.rows, rejected.rows, 60), escaped(&shown::share(reason.rows, rejected.rows))),
            example,
        ]
    });
    rows(page, &["code", "field", "#records", "#share", "example"], reasons);
    if rejected.other_reasons > 0 {
        let (reasons, rows) = (count(rejected.other_reasons), count(rejected.other_rows));
        put(
            page,
            &format!("<p class=\"note\">And {reasons} more reasons with {rows} records.</p>"),
        );
    }
}

fn lateness(page: &mut String, lateness: Option<&Lateness>) {
    put(page, "<h3>Lateness</h3>");
    let Some(lateness) = lateness else {
        return put(
            page,
            "<p class=\"note\">Not applicable: the event time is Kafka's own.</p>",
        );
    };
    let said = shown::lateness_line(lateness).map_or(String::new(), |said| format!(" {}.", escaped(&said)));
    put(
        page,
        &format!("<p class=\"note\">Kafka's timestamp minus the event time.{said}</p>"),
    );
    let bands = lateness.bands.iter().filter(|band| band.rows > 0).map(|band| {
        vec![
            shown::band(band.from_secs, band.to_secs),
            charts::share(band.rows, lateness.rows, 240),
            count(band.rows),
            escaped(&shown::share(band.rows, lateness.rows)),
        ]
    });
    rows(page, &["late", "", "#rows", "#share"], bands);
}

fn duplicates(page: &mut String, duplicates: Option<&Duplicates>) {
    put(page, "<h3>Duplicates</h3>");
    let Some(duplicates) = duplicates else {
        return put(page, "<p class=\"note\">No business key was given.</p>");
    };
    let key: Vec<String> = duplicates.key.iter().map(|name| code(name)).collect();
    put(
        page,
        &format!(
            "<p>By {}: {}.</p>",
            key.join(", "),
            shown::duplicates_line(duplicates)
        ),
    );
    if !duplicates.most.is_empty() {
        let repeated = duplicates.most.iter().map(|repeated| {
            let key: Vec<String> = repeated.key.iter().map(value).collect();
            vec![key.join(", "), count(repeated.rows)]
        });
        rows(page, &["key", "#rows"], repeated);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_an_element_or_leaves_an_attribute() {
        assert_eq!(
            escaped("<script>alert('x')</script>\" & \u{1b}\n"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; &amp; \\x1b\\n"
        );
    }
}
