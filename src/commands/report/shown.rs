//! Figures as people read them, the same in every format for people: numbers, shares, times, values, and which columns tell.

use super::figures::{Column, Duplicates, Kind, Lateness, Moment, TableReport, Unit, Value};
use crate::cli::output::count;
use crate::cli::{columns, time, visible};

/// Blocks from nothing to full, in eighths.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Values of a column that are few enough to list each.
const FEW_VALUES: u64 = 20;
/// From this share on a value is frequent.
const FREQUENT_PERCENT: u64 = 5;

/// A share of a whole: `0 %`, `<0.1 %`, `9.1 %`, `>99.9 %`, `100 %`. Only nothing is 0 %, and only all of it 100 %.
pub fn share(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    if part >= whole {
        return "100 %".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if percent < 0.1 {
        "<0.1 %".to_owned()
    } else if percent > 99.9 {
        ">99.9 %".to_owned()
    } else {
        format!("{percent:.1} %")
    }
}

/// A whole number with its digits in groups.
pub fn integer(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", count(number.unsigned_abs()))
}

/// A number in full where it is short, else to five digits.
pub fn number(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() {
        return number.to_string();
    }
    if number == number.trunc() && size < 1e12 {
        return integer(number as i64);
    }
    if !(1e-4..1e9).contains(&size) {
        return trimmed(&format!("{number:.3e}"));
    }
    let digits_before = size.log10().floor().max(0.0) as usize + 1;
    let decimals = 5_usize
        .saturating_sub(digits_before)
        .max(usize::from(size < 1.0) * 6);
    let text = format!("{size:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = count(whole.parse().unwrap_or(0));
    let fraction = fraction.trim_end_matches('0');
    let sign = if number < 0.0 { "-" } else { "" };
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// A number in at most seven characters, as `1.235M`.
pub fn short(value: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let size = value.abs();
    if size < 99_999.5 {
        let text = number(if size >= 1_000.0 {
            value.round()
        } else {
            // To four digits.
            let scale = 10_f64.powf(3.0 - size.max(1e-300).log10().floor());
            (value * scale).round() / scale
        });
        if text.chars().count() <= 7 {
            return text;
        }
    }
    for (unit, name) in UNITS {
        if (unit..unit * 1e3).contains(&size) {
            let scaled = value / unit;
            let decimals = if scaled.abs() >= 100.0 { 1 } else { 2 };
            return format!("{scaled:.decimals$}{name}");
        }
    }
    trimmed(&format!("{value:.1e}"))
}

/// A number with an exponent, without zeros that say nothing.
fn trimmed(text: &str) -> String {
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{exponent}")
        }
        _ => text.to_owned(),
    }
}

/// A value on one line, harmless to a terminal; in at most so many columns of it.
pub fn value(value: &Value, columns_max: usize) -> String {
    let text = match value {
        Value::Integer(value) => integer(*value),
        Value::Number(value) => number(*value),
        Value::Boolean(value) => value.to_string(),
        Value::Text(text) if text.is_empty() => "\"\"".to_owned(),
        // Spaces at an end would not be seen.
        Value::Text(text) if text.trim() != text => format!("\"{}\"", visible::line(text)),
        Value::Text(text) => visible::line(text),
        Value::Time(Moment(micros)) => return moment(*micros, columns_max),
        Value::Date(days) => time::date(*days),
    };
    columns::fit(&text, columns_max)
}

/// A time as finely as there is room for: no digit of it is cut off in the middle.
fn moment(micros: i64, columns_max: usize) -> String {
    let text = time::moment(micros);
    let lengths = [
        text.len(),
        "2026-11-21 05:00:00".len(),
        "2026-11-21 05:00".len(),
        "2026-11-21".len(),
    ];
    let fitting = lengths.into_iter().filter(|length| *length <= columns_max);
    let coarser = fitting.filter_map(|length| text.get(..length)).next();
    coarser.map_or_else(|| columns::fit(&text, columns_max), str::to_owned)
}

/// Where a step of time begins: `2026-11-21 05:00`, `2026-11-21`, `2026-11`, `2026`.
pub fn step(unit: Unit, at: Moment) -> String {
    let moment = time::moment(at.0);
    let length = match unit {
        Unit::Hour => "2026-11-21 05:00".len(),
        Unit::Day => "2026-11-21".len(),
        Unit::Month => "2026-11".len(),
        Unit::Year => "2026".len(),
    };
    moment.get(..length).unwrap_or(&moment).to_owned()
}

/// A stretch of time in its largest units: `12.3 s`, `4.1 min`, `-2.5 h`.
pub fn secs(secs: f64) -> String {
    let size = secs.abs();
    let (value, unit) = match size {
        _ if size == 0.0 => return "0 s".to_owned(),
        _ if size < 1.0 => (secs * 1e3, "ms"),
        _ if size < 120.0 => (secs, "s"),
        _ if size < 7_200.0 => (secs / 60.0, "min"),
        _ if size < 172_800.0 => (secs / 3_600.0, "h"),
        _ => (secs / 86_400.0, "d"),
    };
    format!("{} {unit}", short(value))
}

/// The name of a band of lateness.
pub fn band(from_secs: Option<u64>, to_secs: Option<u64>) -> String {
    let edge = |secs: u64| match secs {
        86_400.. => format!("{} d", secs / 86_400),
        3_600.. => format!("{} h", secs / 3_600),
        60.. => format!("{} min", secs / 60),
        _ => format!("{secs} s"),
    };
    match (from_secs, to_secs) {
        (None, _) => "before it happened".to_owned(),
        (Some(0), Some(to)) => format!("up to {}", edge(to)),
        (Some(from), Some(to)) => format!("{} to {}", edge(from), edge(to)),
        (Some(from), None) => format!("{} and more", edge(from)),
    }
}

/// The period that a table's rows are of, and how many they are.
pub fn span(table: &TableReport) -> String {
    match (table.first, table.last) {
        (Some(first), Some(last)) => {
            format!("{} to {} UTC", time::moment(first.0), time::moment(last.0))
        }
        _ => "no rows".to_owned(),
    }
}

/// What the table is, in one line.
pub fn headline(table: &TableReport) -> String {
    let rejected = match table.rejected.rows {
        0 => "none rejected".to_owned(),
        rows => format!("{} rejected ({})", count(rows), share(rows, rows + table.rows)),
    };
    let rows = if table.rows == 1 { "row" } else { "rows" };
    let as_of = match table.commit.0 {
        0 => "nothing has landed yet".to_owned(),
        commit => format!("as of commit {commit}"),
    };
    format!("{} {rows}, {rejected}, {as_of}", count(table.rows))
}

/// How many different values there are.
pub fn distinct(column: &Column) -> String {
    match column.distinct {
        None => "-".to_owned(),
        Some(distinct) if column.estimated && distinct > 0 => format!("~{}", count(distinct)),
        Some(distinct) => count(distinct),
    }
}

/// Whether a column's most frequent values say something: there are few, or some are frequent; and not each is in one row alone.
pub fn is_telling(column: &Column, rows: u64) -> bool {
    let values = rows.saturating_sub(column.nulls);
    let Some(most) = column.top.as_ref().and_then(|top| top.first()) else {
        return false;
    };
    let is_few = column.distinct.is_some_and(|distinct| distinct <= FEW_VALUES);
    let is_frequent = most.rows * 100 >= values * FREQUENT_PERCENT;
    let shows_itself = matches!(column.kind, Kind::Text | Kind::Boolean);
    most.rows > 1 && (is_few || is_frequent || shows_itself)
}

/// What the estimates are, where there are some.
pub fn estimates(table: &TableReport) -> &'static str {
    let is_estimated =
        |column: &Column| column.estimated && column.distinct.is_some_and(|distinct| distinct > 0);
    if table.columns.iter().any(is_estimated) {
        "~ is about: there are too many values to count each"
    } else {
        ""
    }
}

/// Lateness in one line. None where no row has both times.
pub fn lateness_line(lateness: &Lateness) -> Option<String> {
    let in_units = |value: Option<f64>| value.map(secs);
    Some(format!(
        "min {}, mean {}, about half within {}, 95 % within {}, 99 % within {}, max {}",
        in_units(lateness.min_secs)?,
        in_units(lateness.mean_secs)?,
        in_units(lateness.p50_secs)?,
        in_units(lateness.p95_secs)?,
        in_units(lateness.p99_secs)?,
        in_units(lateness.max_secs)?
    ))
}

/// Duplicates in one line.
pub fn duplicates_line(duplicates: &Duplicates) -> String {
    match duplicates.repeated_keys {
        0 => format!("none: {} keys, each in one row", count(duplicates.keys)),
        repeated => format!(
            "{} of {} keys are in more than one row: {} rows too many",
            count(repeated),
            count(duplicates.keys),
            count(duplicates.surplus_rows)
        ),
    }
}

/// A bar of full and partial blocks, as long as its share of the width.
pub fn bar(part: u64, whole: u64, width: usize) -> String {
    const PARTIAL: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if part == 0 || whole == 0 {
        return String::new();
    }
    let eighths = (part as f64 / whole as f64 * width as f64 * 8.0).round() as usize;
    // What is there is seen.
    let eighths = eighths.clamp(1, width * 8);
    format!("{}{}", "█".repeat(eighths / 8), PARTIAL[eighths % 8])
}

/// One block a number, as high as its share of the greatest; what is nothing is a dot.
pub fn blocks(numbers: impl IntoIterator<Item = u64>, greatest: u64) -> String {
    let block = |number: u64| match number {
        0 => '·',
        number => {
            let level = (number as f64 * 8.0 / greatest.max(1) as f64).ceil() as usize;
            BLOCKS[level.clamp(1, 8) - 1]
        }
    };
    numbers.into_iter().map(block).collect()
}

/// A column's histogram in at most so many blocks.
pub fn histogram(column: &Column, width: usize) -> String {
    let bins = &column.histogram;
    let together = bins.len().div_ceil(width.max(1)).max(1);
    let rows: Vec<u64> = bins
        .chunks(together)
        .map(|bins| bins.iter().map(|bin| bin.rows).sum())
        .collect();
    let greatest = rows.iter().copied().max().unwrap_or(0);
    blocks(rows, greatest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_only_whole_where_they_are() {
        let shown = [(0, 9), (1, 9_999), (1, 11), (9_999, 10_000), (9, 9), (0, 0)]
            .map(|(part, whole)| share(part, whole));
        assert_eq!(shown, ["0 %", "<0.1 %", "9.1 %", ">99.9 %", "100 %", "0 %"]);
    }

    #[test]
    fn numbers_are_short_and_keep_their_size() {
        let all = [
            0.0,
            -1234.0,
            24.75,
            0.000123,
            1.0 / 3.0,
            1e12,
            123_456.789,
            12_345_678.9,
            f64::MIN,
        ];
        assert_eq!(
            all.map(number),
            [
                "0",
                "-1,234",
                "24.75",
                "0.000123",
                "0.333333",
                "1e12",
                "123,457",
                "12,345,679",
                "-1.798e308"
            ]
        );
        assert_eq!(
            all.map(short),
            [
                "0", "-1,234", "24.75", "1.2e-4", "0.3333", "1.00T", "123.5k", "12.35M", "-1.8e308"
            ]
        );
        assert_eq!(
            [0.0, 0.25, 90.0, 600.0, -9_000.0, 1e6].map(secs),
            ["0 s", "250 ms", "90 s", "10 min", "-2.5 h", "11.57 d"]
        );
        assert_eq!(integer(i64::MIN), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn bars_show_what_is_there() {
        assert_eq!(
            [0, 1, 500, 1_000].map(|part| bar(part, 1_000, 4)),
            ["", "▏", "██", "████"]
        );
        assert_eq!(blocks([0, 1, 50, 100], 100), "·▁▄█");
    }

    #[test]
    fn texts_that_would_not_be_seen_are_quoted() {
        let text = |text: &str| value(&Value::Text(text.to_owned()), 10);
        assert_eq!(text(""), "\"\"");
        assert_eq!(text(" a"), "\" a\"");
        assert_eq!(text("\u{1b}[31m"), "\\x1b[31m");
        assert_eq!(text("0123456789a"), "012345678…");
        assert_eq!(text("東京都渋谷区"), "東京都渋…");
    }

    #[test]
    fn times_lose_their_finest_parts_and_no_half_of_one() {
        let time = Value::Time(Moment(1_795_212_000_123_456));
        assert_eq!(
            [30, 19, 18, 12].map(|columns| value(&time, columns)),
            [
                "2026-11-20 22:00:00.123",
                "2026-11-20 22:00:00",
                "2026-11-20 22:00",
                "2026-11-20"
            ]
        );
    }
}
