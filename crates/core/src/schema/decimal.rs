//! Exact arithmetic on JSON numbers as texts: which are integers, which are multiples of another.

/// A positive decimal number, `digits * 10^exponent`, with no trailing zero in its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: u64,
    exponent: i32,
}

/// What a JSON number's text is as an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegerText {
    Integer(i64),
    /// An integer, but not one of 64 bits.
    Beyond,
    Fraction,
}

/// Significant digits of a `multipleOf`, and its decimal places: what the arithmetic below can hold.
const DIVISOR_DIGITS_MAX: usize = 18;
const DIVISOR_PLACES_MAX: i32 = 18;

impl Decimal {
    /// A JSON number's text as a positive decimal of at most 18 digits and 18 decimal places.
    #[must_use]
    pub fn parse(text: &str) -> Option<Decimal> {
        let parts = Parts::split(text.as_bytes());
        if parts.negative || parts.significant == 0 || parts.significant > DIVISOR_DIGITS_MAX {
            return None;
        }
        let digits = parts
            .digits()
            .fold(0_u64, |value, digit| value * 10 + u64::from(digit));
        let exponent = i32::try_from(parts.exponent).ok()?;
        (-DIVISOR_PLACES_MAX..=DIVISOR_PLACES_MAX)
            .contains(&exponent)
            .then_some(Decimal { digits, exponent })
    }

    /// The number as a 64-bit integer, where it is one.
    #[must_use]
    pub fn whole(self) -> Option<i64> {
        let scale = 10_i64.checked_pow(u32::try_from(self.exponent).ok()?)?;
        i64::try_from(self.digits).ok()?.checked_mul(scale)
    }

    /// Whether `value` is a whole multiple.
    #[must_use]
    pub fn divides_integer(self, value: i64) -> bool {
        match u32::try_from(-self.exponent) {
            // At most 2^63 * 10^18, which 128 bits hold.
            Ok(places) => i128::from(value) * 10_i128.pow(places) % i128::from(self.digits) == 0,
            Err(_) => value == 0 || self.whole().is_some_and(|divisor| value % divisor == 0),
        }
    }

    /// Whether the number that a JSON text writes is a whole multiple.
    #[must_use]
    pub fn divides_text(self, text: &[u8]) -> bool {
        let parts = Parts::split(text);
        if parts.significant == 0 {
            return true;
        }
        let power = parts.exponent - i64::from(self.exponent);
        if power < 0 {
            // The quotient could be whole only if the text's digits held the factor ten, and they end in no zero.
            return false;
        }
        let modulus = u128::from(self.digits);
        let rest = parts
            .digits()
            .fold(0_u128, |rest, digit| (rest * 10 + u128::from(digit)) % modulus);
        (rest * power_modulo(10, power.unsigned_abs(), modulus)).is_multiple_of(modulus)
    }
}

/// What a JSON number's text is as an integer: `1.0` and `1e2` are integers, `1.5` is not.
#[must_use]
pub fn integer_of_text(text: &[u8]) -> IntegerText {
    const DIGITS_MAX: i64 = 19;
    let parts = Parts::split(text);
    if parts.significant == 0 {
        return IntegerText::Integer(0);
    }
    if parts.exponent < 0 {
        return IntegerText::Fraction;
    }
    let length = i64::try_from(parts.significant).unwrap_or(i64::MAX);
    if length.saturating_add(parts.exponent) > DIGITS_MAX {
        return IntegerText::Beyond;
    }
    let digits = parts
        .digits()
        .fold(0_i128, |value, digit| value * 10 + i128::from(digit));
    let scale = 10_i128.pow(u32::try_from(parts.exponent).expect("at most 19 digits"));
    let value = if parts.negative {
        -digits * scale
    } else {
        digits * scale
    };
    i64::try_from(value).map_or(IntegerText::Beyond, IntegerText::Integer)
}

fn power_modulo(base: u128, mut exponent: u64, modulus: u128) -> u128 {
    let (mut result, mut square) = (1 % modulus, base % modulus);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * square % modulus;
        }
        square = square * square % modulus;
        exponent >>= 1;
    }
    result
}

/// A JSON number's text taken apart: its significant digits (no leading, no trailing zero) and the power of
/// ten that its last one stands for.
struct Parts<'t> {
    negative: bool,
    /// The digits before the exponent, with perhaps one `.` among them.
    mantissa: &'t [u8],
    /// Significant digits, and how many digits of the mantissa come before them.
    significant: usize,
    skipped: usize,
    exponent: i64,
}

impl<'t> Parts<'t> {
    fn split(text: &'t [u8]) -> Parts<'t> {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mantissa_end = text
            .iter()
            .position(|byte| matches!(byte, b'e' | b'E'))
            .unwrap_or(text.len());
        let (mantissa, written) = text.split_at(mantissa_end);
        let places = mantissa
            .iter()
            .position(|byte| *byte == b'.')
            .map_or(0, |dot| mantissa.len() - dot - 1);
        let all = mantissa.iter().filter(|byte| byte.is_ascii_digit()).count();
        let skipped = mantissa
            .iter()
            .filter(|byte| **byte != b'.')
            .take_while(|byte| **byte == b'0')
            .count();
        let zeros = mantissa
            .iter()
            .rev()
            .filter(|byte| **byte != b'.')
            .take_while(|byte| **byte == b'0')
            .count();
        let significant = if skipped == all { 0 } else { all - skipped - zeros };
        let shift = i64::try_from(zeros).unwrap_or(i64::MAX) - i64::try_from(places).unwrap_or(i64::MAX);
        Parts {
            negative,
            mantissa,
            significant,
            skipped,
            exponent: exponent_of(written).saturating_add(shift),
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.mantissa
            .iter()
            .filter(|byte| **byte != b'.')
            .skip(self.skipped)
            .take(self.significant)
            .map(|byte| byte - b'0')
    }
}

/// The value of `e+12`; saturates where no text can be long enough to matter.
fn exponent_of(written: &[u8]) -> i64 {
    const SATURATED: i64 = 1 << 40;
    let Some((_, written)) = written.split_first() else {
        return 0;
    };
    let (sign, digits) = match written {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let value = digits.iter().fold(0_i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(SATURATED)
    });
    sign * value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_may_be_written_with_a_point_or_an_exponent() {
        for (text, expected) in [
            ("1.0", IntegerText::Integer(1)),
            ("1e2", IntegerText::Integer(100)),
            ("1.50E+1", IntegerText::Integer(15)),
            ("-0.0", IntegerText::Integer(0)),
            ("0e99999999999999999999", IntegerText::Integer(0)),
            ("120e-1", IntegerText::Integer(12)),
            ("9223372036854775807", IntegerText::Integer(i64::MAX)),
            ("-9223372036854775808.000", IntegerText::Integer(i64::MIN)),
            ("9223372036854775808", IntegerText::Beyond),
            ("1e19", IntegerText::Beyond),
            ("1e99999999999999999999", IntegerText::Beyond),
            ("1e-99999999999999999999", IntegerText::Fraction),
            ("1.5", IntegerText::Fraction),
            ("121e-1", IntegerText::Fraction),
        ] {
            assert_eq!(integer_of_text(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn multiples_are_decided_in_decimal() {
        let divides = |divisor: &str, text: &str| {
            Decimal::parse(divisor)
                .expect("a divisor")
                .divides_text(text.as_bytes())
        };
        for (divisor, text) in [
            ("0.1", "0.3"),
            ("0.01", "4.02"),
            ("2.5", "1e1"),
            ("3", "3.0e0"),
            ("7", "0"),
            ("1e2", "300"),
            ("0.5", "-1.5"),
        ] {
            assert!(divides(divisor, text), "{text} is a multiple of {divisor}");
        }
        for (divisor, text) in [
            ("0.1", "0.35"),
            ("2", "3"),
            ("1e2", "350"),
            ("10", "1.0"),
            ("3", "1e300"),
        ] {
            assert!(!divides(divisor, text), "{text} is no multiple of {divisor}");
        }
        let half = Decimal::parse("2.5").expect("a divisor");
        assert!(
            half.divides_integer(5)
                && !half.divides_integer(6)
                && half.divides_integer(i64::MIN) == (i64::MIN % 5 == 0)
        );
        assert_eq!(Decimal::parse("0"), None);
        assert_eq!(Decimal::parse("-1"), None);
        assert_eq!(Decimal::parse("1234567890123456789"), None);
    }

    #[test]
    fn hundredths_divide_as_integers_do() {
        let text = |hundredths: i64| {
            format!(
                "{}{}.{:02}",
                if hundredths < 0 { "-" } else { "" },
                hundredths.abs() / 100,
                hundredths.abs() % 100
            )
        };
        for divisor in 1..150 {
            let decimal = Decimal::parse(&text(divisor)).expect("a divisor");
            for value in -400..400 {
                let divides = decimal.divides_text(text(value).as_bytes());
                assert_eq!(
                    divides,
                    value % divisor == 0,
                    "{} by {}",
                    text(value),
                    text(divisor)
                );
                assert_eq!(
                    decimal.divides_integer(value),
                    value * 100 % divisor == 0,
                    "{value} by {}",
                    text(divisor)
                );
            }
        }
    }
}
