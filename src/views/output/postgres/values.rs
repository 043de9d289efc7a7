//! Arrow's columns as PostgreSQL's: which type each gets, and rows as the text that `COPY` reads.
//!
//! Whatever a column holds has a place, so that no single value stops a view: a NUL, which no text of PostgreSQL can hold, is
//! shown as U+FFFD; a time that PostgreSQL or the calendar has no number for is `infinity` or `-infinity`.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, DurationMicrosecondType, Field, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Timelike as _};
use eventlake_query::{Format, Writer};

/// Shown in the place of a NUL.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;
const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// PostgreSQL's type for a column of ours, as PostgreSQL itself spells it; none where it has no like.
pub fn type_of(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::UInt64 => "numeric(20,0)",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => return Some(format!("numeric({precision},{scale})")),
        // A column of nothing but nulls: any type would do.
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytea"
        }
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time without time zone",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Duration(_) => "interval",
        DataType::Dictionary(_, values) => return type_of(values),
        DataType::RunEndEncoded(_, values) => return type_of(values.data_type()),
        data_type if data_type.is_nested() => "jsonb",
        _ => return None,
    };
    Some(name.to_owned())
}

/// Rows as lines for `COPY`: columns with tabs between, `\N` for a null.
///
/// # Errors
/// When a column is of a type that has no like.
pub fn lines(rows: &RecordBatch) -> anyhow::Result<Vec<u8>> {
    let schema = rows.schema();
    let arrays: Vec<ArrayRef> = rows.columns().iter().map(plain).collect::<Result<_, _>>()?;
    let mut cells = Vec::with_capacity(arrays.len());
    for (field, array) in schema.fields().iter().zip(&arrays) {
        let column = cells_of(array).with_context(|| format!("column {:?} cannot be read", field.name()))?;
        cells.push((array.logical_nulls(), column));
    }
    let mut lines = Vec::new();
    let mut cell = String::new();
    for row in 0..rows.num_rows() {
        for (position, (nulls, write)) in cells.iter().enumerate() {
            if position > 0 {
                lines.push(b'\t');
            }
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                lines.extend_from_slice(b"\\N");
                continue;
            }
            cell.clear();
            write(row, &mut cell);
            escape(&cell, &mut lines);
        }
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A column without encodings that save room, in one of few types for each of PostgreSQL's.
fn plain(column: &ArrayRef) -> anyhow::Result<ArrayRef> {
    let wanted = match column.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::RunEndEncoded(_, values) => values.data_type().clone(),
        other => other.clone(),
    };
    let column = cast(column, &wanted)?;
    let wanted = match wanted {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        other => other,
    };
    Ok(cast(&column, &wanted)?)
}

/// Writes the value of a row, which is not null.
type Cells<'a> = Box<dyn Fn(usize, &mut String) + 'a>;

fn cells_of(column: &ArrayRef) -> anyhow::Result<Cells<'_>> {
    Ok(match column.data_type() {
        DataType::Utf8View => {
            let texts = column.as_string_view();
            Box::new(move |row, cell| cell.push_str(texts.value(row)))
        }
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>();
            Box::new(move |row, cell| push_date(days.value(row), cell))
        }
        DataType::Timestamp(_, zone) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>();
            let zone = if zone.is_some() { "+00" } else { "" };
            Box::new(move |row, cell| push_timestamp(micros.value(row), zone, cell))
        }
        DataType::Duration(_) => {
            let micros = column.as_primitive::<DurationMicrosecondType>();
            Box::new(move |row, cell| push(cell, format_args!("{} microseconds", micros.value(row))))
        }
        data_type if data_type.is_nested() => {
            let documents = documents(column)?;
            Box::new(move |row, cell| cell.push_str(&documents[row]))
        }
        data_type => {
            // Bytes are shown as hexadecimal digits.
            let prefix = if type_of(data_type).as_deref() == Some("bytea") {
                "\\x"
            } else {
                ""
            };
            let values = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?;
            Box::new(move |row, cell| push(cell, format_args!("{prefix}{}", values.value(row))))
        }
    })
}

fn push(cell: &mut String, text: std::fmt::Arguments<'_>) {
    cell.write_fmt(text)
        .expect("a value of a checked type can be shown");
}

fn push_date(days: i32, cell: &mut String) {
    let moment = DateTime::from_timestamp(i64::from(days) * SECONDS_A_DAY, 0);
    match moment.map(|moment| moment.date_naive()) {
        Some(date) if date >= first_day() => push_day(date, "", cell),
        other => cell.push_str(beyond(other.is_some() || days < 0)),
    }
    push_era(moment, cell);
}

fn push_timestamp(micros: i64, zone: &str, cell: &mut String) {
    let moment = DateTime::from_timestamp_micros(micros);
    match moment.map(|moment| moment.naive_utc()) {
        Some(moment) if moment.date() >= first_day() => {
            push_day(moment.date(), " ", cell);
            push_time(moment, zone, cell);
        }
        other => cell.push_str(beyond(other.is_some() || micros < 0)),
    }
    push_era(moment, cell);
}

/// The first day that PostgreSQL knows, the one that Julian days are counted from.
fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(-4713, 11, 24).expect("a day of the calendar")
}

fn beyond(before: bool) -> &'static str {
    if before { "-infinity" } else { "infinity" }
}

fn push_day(date: NaiveDate, after: &str, cell: &mut String) {
    // There is no year 0 for PostgreSQL: 1 BC is before 1 AD.
    let year = if date.year() > 0 {
        date.year()
    } else {
        1 - date.year()
    };
    push(
        cell,
        format_args!("{year:04}-{:02}-{:02}{after}", date.month(), date.day()),
    );
}

fn push_time(moment: NaiveDateTime, zone: &str, cell: &mut String) {
    let (hour, minute, second) = (moment.hour(), moment.minute(), moment.second());
    let micros = moment.nanosecond() / 1000;
    push(
        cell,
        format_args!("{hour:02}:{minute:02}:{second:02}.{micros:06}{zone}"),
    );
}

fn push_era(moment: Option<DateTime<chrono::Utc>>, cell: &mut String) {
    if let Some(moment) = moment
        && moment.year() <= 0
        && moment.date_naive() >= first_day()
    {
        cell.push_str(" BC");
    }
}

/// Lists and structs as JSON documents, one a row.
fn documents(column: &ArrayRef) -> anyhow::Result<Vec<String>> {
    const NAME: &str = "v";
    let schema = Arc::new(Schema::new(vec![Field::new(
        NAME,
        column.data_type().clone(),
        true,
    )]));
    let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(column)])?;
    let mut writer = Writer::new(Format::JsonLines, &schema)?;
    let mut bytes = writer.write(&rows)?;
    bytes.extend(writer.finish()?);
    let text = String::from_utf8(bytes)?;
    let prefix = format!("{{\"{NAME}\":");
    let document = |line: &str| {
        let document = line.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix('}'));
        without_nul(document.expect("an object of one field"))
    };
    Ok(text.lines().map(document).collect())
}

/// A JSON document with each escaped NUL replaced: `jsonb` refuses it.
fn without_nul(document: &str) -> String {
    let mut kept = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        kept.push_str(before);
        // An escaped backslash is stepped over whole, so that what follows it is no escape.
        if let Some(after) = escape.strip_prefix("\\u0000") {
            kept.push(REPLACEMENT);
            rest = after;
        } else {
            let (escaped, after) = escape.split_at(2);
            kept.push_str(escaped);
            rest = after;
        }
    }
    kept.push_str(rest);
    kept
}

/// One cell of a line: what would end it, or pass for an escape, is escaped.
fn escape(cell: &str, line: &mut Vec<u8>) {
    for byte in cell.bytes() {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            0 => line.extend_from_slice(REPLACEMENT.encode_utf8(&mut [0; 4]).as_bytes()),
            byte => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, ListArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn text_of(column: ArrayRef) -> String {
        let field = Field::new("c", column.data_type().clone(), true);
        let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("rows");
        String::from_utf8(lines(&rows).expect("lines")).expect("UTF-8")
    }

    #[test]
    fn text_is_escaped_and_a_nul_replaced() {
        let texts = StringArray::from(vec![
            Some("a\tb\nc\\d\r"),
            None,
            Some(""),
            Some("\\N"),
            Some("x\0y"),
        ]);
        assert_eq!(
            text_of(Arc::new(texts)),
            "a\\tb\\nc\\\\d\\r\n\\N\n\n\\\\N\nx\u{fffd}y\n"
        );
    }

    #[test]
    fn times_that_the_server_cannot_hold_are_infinite() {
        let times = TimestampMicrosecondArray::from(vec![0, -1, i64::MIN, i64::MAX, -62_135_596_800_000_001]);
        let expected = "1970-01-01 00:00:00.000000+00\n1969-12-31 23:59:59.999999+00\n-infinity\ninfinity\n\
                        0001-12-31 23:59:59.999999+00 BC\n";
        assert_eq!(text_of(Arc::new(times.with_timezone("UTC"))), expected);
        let days = Date32Array::from(vec![0, i32::MIN, i32::MAX, -719_163]);
        assert_eq!(
            text_of(Arc::new(days)),
            "1970-01-01\n-infinity\ninfinity\n0001-12-31 BC\n"
        );
    }

    #[test]
    fn lists_are_documents_and_null_lists_are_null() {
        let lists = vec![Some(vec![Some(1), None]), None, Some(vec![])];
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
        assert_eq!(text_of(Arc::new(lists)), "[1,null]\n\\N\n[]\n");
    }

    #[test]
    fn only_an_escaped_nul_of_a_document_is_replaced() {
        let document = r#"{"a":"\u0000\\u0000\n\u0001"}"#;
        assert_eq!(without_nul(document), "{\"a\":\"\u{fffd}\\\\u0000\\n\\u0001\"}");
    }
}
