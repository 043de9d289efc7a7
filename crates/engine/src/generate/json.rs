//! Writing JSON straight into bytes: numbers, texts and ISO 8601 times, with nothing allocated on the way.

/// A number, in decimal.
pub fn integer(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Milliseconds as seconds with three decimals.
pub fn seconds(out: &mut Vec<u8>, millis: u64) {
    integer(out, millis / 1_000);
    out.push(b'.');
    padded(out, millis % 1_000, 3);
}

/// A text, quoted and escaped as RFC 8259 asks, otherwise as UTF-8.
pub fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => unit_escape(out, u16::from(byte)),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain_from..]);
    out.push(b'"');
}

/// A text as some senders write it: everything beyond ASCII escaped, surrogate pairs and all.
pub fn ascii_text(out: &mut Vec<u8>, value: &str) {
    if value.is_ascii() {
        return text(out, value);
    }
    out.push(b'"');
    for character in value.chars() {
        if character.is_ascii() && character >= ' ' && character != '"' && character != '\\' {
            out.push(character as u8);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                unit_escape(out, *unit);
            }
        }
    }
    out.push(b'"');
}

/// How many digits of a second a sender writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    Millis,
    Micros,
}

/// A time as `"2026-11-21T01:02:03.456Z"`, quoted, for years 0 to 9999.
pub fn time(out: &mut Vec<u8>, micros: i64, precision: Precision) {
    const DAY: i64 = 86_400_000_000;
    let (year, month, day) = civil_from_days(micros.div_euclid(DAY));
    let of_day = micros.rem_euclid(DAY).cast_unsigned();
    let (of_second, seconds) = (of_day % 1_000_000, of_day / 1_000_000);
    out.push(b'"');
    padded(out, year.cast_unsigned(), 4);
    for (separator, number) in [
        (b'-', month),
        (b'-', day),
        (b'T', seconds / 3_600),
        (b':', seconds / 60 % 60),
        (b':', seconds % 60),
    ] {
        out.push(separator);
        padded(out, number, 2);
    }
    out.push(b'.');
    match precision {
        Precision::Millis => padded(out, of_second / 1_000, 3),
        Precision::Micros => padded(out, of_second, 6),
    }
    out.extend_from_slice(b"Z\"");
}

/// The low `digits` digits of a number, with leading zeros.
pub fn padded(out: &mut Vec<u8>, number: u64, digits: usize) {
    let from = out.len();
    out.resize(from + digits, b'0');
    let mut left = number;
    for at in (from..from + digits).rev() {
        out[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
}

fn unit_escape(out: &mut Vec<u8>, unit: u16) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(b"0123456789abcdef"[usize::from(unit >> shift & 0xf)]);
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month.cast_unsigned(), day.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn times_agree_with_chrono() {
        for micros in [
            0,
            951_782_399_999_999,
            951_782_400_000_000,
            1_767_225_600_123_456,
            4_107_542_399_000_001,
            -1,
            -62_000_000_000_000_000,
        ] {
            let expected = chrono::DateTime::from_timestamp_micros(micros).expect("in range");
            let micros_text = expected.format("\"%Y-%m-%dT%H:%M:%S%.6fZ\"").to_string();
            let millis_text = expected.format("\"%Y-%m-%dT%H:%M:%S%.3fZ\"").to_string();
            assert_eq!(written(|out| time(out, micros, Precision::Micros)), micros_text);
            assert_eq!(written(|out| time(out, micros, Precision::Millis)), millis_text);
        }
    }

    #[test]
    fn texts_come_back_from_a_parser_as_they_went_in() {
        for value in ["", "plain", "a \"b\" \\ c\nd\te\u{1}", "déjà vu 👍🏽 日本語"] {
            for write in [text, ascii_text] {
                let json = written(|out| write(out, value));
                assert_eq!(
                    serde_json::from_str::<String>(&json).expect("JSON"),
                    value,
                    "{json}"
                );
            }
        }
        assert!(written(|out| ascii_text(out, "é👍")).is_ascii());
    }

    #[test]
    fn numbers_are_plain_decimals() {
        for number in [0, 7, 10, 12_345, u64::MAX] {
            assert_eq!(written(|out| integer(out, number)), number.to_string());
        }
        assert_eq!(written(|out| seconds(out, 12_034)), "12.034");
        assert_eq!(written(|out| seconds(out, 350)), "0.350");
    }
}
