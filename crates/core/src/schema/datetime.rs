//! RFC 3339 dates and times read by fixed positions, as microseconds and days since 1970.

/// Microseconds in a day.
pub const DAY_MICROS: i64 = 86_400_000_000;
/// The first event time there can be: the start of the year 0000.
pub const EVENT_TIME_MICROS_MIN: i64 = -62_167_219_200_000_000;
/// The last event time there can be: the last microsecond of the year 9999.
pub const EVENT_TIME_MICROS_MAX: i64 = 253_402_300_799_999_999;

/// A `date-time` in microseconds since 1970, UTC.
///
/// RFC 3339, section 5.6, upper or lower case, with one liberty: the offset may be missing, and then is
/// `offset_secs`. Digits beyond microseconds are cut off. A leap second (`23:59:60` in UTC, and only there)
/// is the first second of the day that follows, as in POSIX time.
#[must_use]
#[inline]
pub fn parse_date_time(text: &[u8], offset_secs: i32) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let days = days_of(head.first_chunk::<10>().expect("10 of 19 bytes"))?;
    if head[10] | 0x20 != b't' {
        return None;
    }
    let clock = Clock::parse(head.last_chunk::<8>().expect("8 of 19 bytes"), rest)?;
    let offset_secs = clock.offset_secs.unwrap_or(offset_secs);
    clock.leap_second_fits(offset_secs).then(|| {
        i64::from(days) * DAY_MICROS
            + i64::from(clock.second_of_day - offset_secs) * 1_000_000
            + i64::from(clock.micros)
    })
}

/// A `date` in days since 1970.
#[must_use]
#[inline]
pub fn parse_date(text: &[u8]) -> Option<i32> {
    days_of(text.try_into().ok()?)
}

/// Whether a text is a `time` of RFC 3339, which does not leave out the offset.
pub(super) fn is_time(text: &[u8]) -> bool {
    let Some((head, rest)) = text.split_first_chunk::<8>() else {
        return false;
    };
    Clock::parse(head, rest).is_some_and(|clock| {
        clock
            .offset_secs
            .is_some_and(|offset_secs| clock.leap_second_fits(offset_secs))
    })
}

/// A time of day with its offset.
struct Clock {
    /// Local seconds since midnight; 86,400 for a leap second at midnight.
    second_of_day: i32,
    leap_second: bool,
    micros: u32,
    offset_secs: Option<i32>,
}

impl Clock {
    #[inline]
    fn parse(head: &[u8; 8], rest: &[u8]) -> Option<Clock> {
        let [hour, _, _, minute, _, _, second, _] = digit_pairs(*head, *b"00:00:00")?;
        let [hour, minute, second] = [hour, minute, second].map(i32::from);
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (micros, rest) = match rest {
            [b'.', digits @ ..] => fraction(digits)?,
            rest => (0, rest),
        };
        Some(Clock {
            second_of_day: hour * 3600 + minute * 60 + second,
            leap_second: second == 60,
            micros,
            offset_secs: offset(rest)?,
        })
    }

    fn leap_second_fits(&self, offset_secs: i32) -> bool {
        const DAY_SECS: i32 = 86_400;
        !self.leap_second || (self.second_of_day - offset_secs).rem_euclid(DAY_SECS) == 0
    }
}

/// The digits after the point, cut to microseconds, and what follows them.
#[inline]
fn fraction(digits: &[u8]) -> Option<(u32, &[u8])> {
    const MICRO_DIGITS: usize = 6;
    let length = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    if length == 0 {
        return None;
    }
    let (written, rest) = digits.split_at(length);
    let kept = &written[..length.min(MICRO_DIGITS)];
    let value = kept
        .iter()
        .fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    const SCALES: [u32; MICRO_DIGITS + 1] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    Some((value * SCALES[kept.len()], rest))
}

/// `Z`, `+01:00` or nothing.
#[inline]
#[expect(
    clippy::option_option,
    reason = "the outer one is the verdict, the inner one what is written"
)]
fn offset(text: &[u8]) -> Option<Option<i32>> {
    match *text {
        [b'Z' | b'z'] => Some(Some(0)),
        [] => Some(None),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hour, minute) = (two_digits(h0, h1)?, two_digits(m0, m1)?);
            if hour > 23 || minute > 59 {
                return None;
            }
            let secs = hour * 3600 + minute * 60;
            Some(Some(if sign == b'-' { -secs } else { secs }))
        }
        _ => None,
    }
}

/// The number that each byte of a text makes with the one behind it, all read at once. None where the text has no digit in
/// place of a 0 of the form, or another byte in place of another one.
#[inline(always)]
fn digit_pairs(text: [u8; 8], form: [u8; 8]) -> Option<[u8; 8]> {
    const HIGHS: u64 = u64::MAX / 0xFF * 0x80;
    // What a byte may be at most without its sum with this reaching the high bit: 9 for a digit, 0 for any other.
    let limits = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0x76 } else { 0x7F }));
    let values = u64::from_le_bytes(text) ^ u64::from_le_bytes(form);
    // A byte that has the high bit itself is refused by it, whatever it carries over.
    if (values.wrapping_add(limits) | values) & HIGHS != 0 {
        return None;
    }
    // At most 9 * 10 + 9 in a byte: nothing is carried.
    Some((values * 10 + (values >> 8)).to_le_bytes())
}

#[inline]
fn two_digits(tens: u8, ones: u8) -> Option<i32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| i32::from(tens) * 10 + i32::from(ones))
}

/// Days since 1970 of `YYYY-MM-DD` in the proleptic Gregorian calendar, as RFC 3339 has it.
#[inline]
fn days_of(text: &[u8; 10]) -> Option<i32> {
    let [head @ .., d0, d1] = *text;
    let [century, _, year, _, _, month, _, _] = digit_pairs(head, *b"0000-00-")?;
    let year = i32::from(century) * 100 + i32::from(year);
    let (month, day) = (i32::from(month), two_digits(d0, d1)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    // Years begin in March here, so that a leap day is the last of its year (Howard Hinnant,
    // "chrono-compatible low-level date algorithms", days_from_civil). 719,468 days lie before 1970.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[inline]
fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<i64> {
        parse_date_time(text.as_bytes(), 3600)
    }

    #[test]
    fn every_form_of_rfc_3339_is_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:00z", 0),
            ("1970-01-01T00:00:00.5Z", 500_000),
            ("1970-01-01T00:00:00.123456789Z", 123_456),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("2026-11-21T01:02:03+00:00", 1_795_222_923_000_000),
            (
                "2026-11-21T01:02:03.000+01:30",
                1_795_222_923_000_000 - 5_400_000_000,
            ),
            ("2026-11-21T01:02:03-01:00", 1_795_222_923_000_000 + 3_600_000_000),
            // No offset: the one given, an hour east.
            ("1970-01-01T01:00:00", 0),
            ("1970-01-01T01:00:00.25", 250_000),
            ("0000-01-01T00:00:00Z", EVENT_TIME_MICROS_MIN),
            ("9999-12-31T23:59:59.999999Z", EVENT_TIME_MICROS_MAX),
            ("2000-02-29T00:00:00Z", 951_782_400_000_000),
            // Leap seconds.
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("2017-01-01T00:59:60.5+01:00", 1_483_228_800_500_000),
            ("2017-01-01T00:59:60", 1_483_228_800_000_000),
        ] {
            assert_eq!(micros(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_time_is_refused() {
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00Z",
            "1970-01-01 00:00:00Z",
            "1970-1-01T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-00-01T00:00:00Z",
            "1970-01-00T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "1970-04-31T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:61Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T23:59:60+01:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00,5Z",
            "1970-01-01T00:00:00+1:00",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00+24:00",
            "1970-01-01T00:00:00+00:60",
            "1970-01-01T00:00:00ZZ",
            " 1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z ",
            "+1970-01-01T00:00:00Z",
            "19700101T000000Z",
            "1970-01-01T00:00:00\u{0665}Z",
            "1970_01_01T00:00:00Z",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    #[test]
    fn days_agree_with_chrono_over_four_centuries() {
        use chrono::Datelike;
        let mut day = chrono::NaiveDate::from_ymd_opt(1899, 12, 31).expect("a date");
        for _ in 0..(365 * 410) {
            let text = day.format("%Y-%m-%d").to_string();
            assert_eq!(
                parse_date(text.as_bytes()),
                Some(day.num_days_from_ce() - 719_163),
                "{text}"
            );
            day = day.succ_opt().expect("a date");
        }
    }

    #[test]
    fn a_time_needs_its_offset() {
        assert!(
            is_time(b"10:00:00Z")
                && is_time(b"10:00:00.5-08:00")
                && is_time(b"23:59:60Z")
                && is_time(b"15:59:60-08:00")
        );
        assert!(
            !is_time(b"10:00:00") && !is_time(b"22:59:60Z") && !is_time(b"10:00Z") && !is_time(b"1:00:00Z")
        );
    }
}
