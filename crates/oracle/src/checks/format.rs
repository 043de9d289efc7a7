//! The formats and dates: any text, held against the `jsonschema` crate and chrono.

use chrono::{DateTime, NaiveDate, Timelike};
use eventlake_core::schema::{Format, parse_date, parse_date_time};

use crate::decode::formats;

/// Input: which format, then the text.
pub fn check(input: &[u8]) {
    let Some((which, text)) = input.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let oracles = formats::all();
    let oracle = &oracles[usize::from(*which) % oracles.len()];
    let format = oracle.format();
    let ours = format.matches(text);
    if let Some(theirs) = oracle.judge(text) {
        assert_eq!(ours, theirs, "{} {text:?}: ours, the oracle's", format.as_str());
    }
    match format {
        Format::DateTime => check_date_time(text),
        Format::Date => check_date(text),
        _ => {}
    }
}

fn check_date_time(text: &str) {
    let Some(micros) = parse_date_time(text.as_bytes(), 0) else {
        return;
    };
    let upper = text.to_uppercase();
    let theirs = DateTime::parse_from_rfc3339(&upper)
        .or_else(|_| DateTime::parse_from_rfc3339(&format!("{upper}Z")))
        .unwrap_or_else(|error| panic!("{text:?} is read as {micros}, chrono says {error}"));
    // Of a leap second chrono makes a nanosecond beyond the second.
    assert_eq!(micros, theirs.timestamp_micros(), "{text:?}");
    if theirs.nanosecond() < 1_000_000_000 {
        for offset_secs in [-86_399, 3_600, 86_399] {
            let shifted = parse_date_time(text.as_bytes(), offset_secs);
            let shift = micros - shifted.expect("the offset does not matter to whether it is one");
            assert!(
                shift == 0 || shift == i64::from(offset_secs) * 1_000_000,
                "{text:?}"
            );
        }
    }
}

fn check_date(text: &str) {
    let theirs = text.parse::<NaiveDate>().ok();
    if let Some(days) = parse_date(text.as_bytes()) {
        let theirs = theirs.unwrap_or_else(|| panic!("{text:?} is read as {days}"));
        let expected = theirs.signed_duration_since(NaiveDate::default()).num_days();
        assert_eq!(i64::from(days), expected, "{text:?}");
    }
}
