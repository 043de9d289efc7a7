//! Exact arithmetic on numbers as texts, held against integers of any size.

use eventlake_core::schema::{Decimal, IntegerText, integer_of_text};
use num_bigint::BigInt;

/// Exponents beyond this would make integers too large to be looked at.
const EXPONENT_MAX: u64 = 400;

/// Input: two JSON numbers with a blank between them; the second is the divisor.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (number, divisor) = text.split_once(' ').unwrap_or((text, "1"));
    if !is_json_number(number) {
        return;
    }
    let ours = integer_of_text(number.as_bytes());
    let exact = Exact::of(number);
    if let Some(exact) = &exact {
        assert_eq!(ours, exact.integer(), "{number}");
    }
    if !is_json_number(divisor) {
        return;
    }
    let Some(decimal) = Decimal::parse(divisor) else {
        return;
    };
    let by = Exact::of(divisor).expect("its exponent is small");
    if let Some(exact) = &exact {
        assert_eq!(
            decimal.divides_text(number.as_bytes()),
            exact.is_multiple_of(&by),
            "{number} by {divisor}"
        );
    }
    if let IntegerText::Integer(value) = ours {
        let value = value.to_string();
        let exact = Exact::of(&value).expect("an integer has no exponent");
        let divides = decimal.divides_integer(value.parse().expect("it was one"));
        assert_eq!(divides, exact.is_multiple_of(&by), "{value} by {divisor}");
    }
}

fn is_json_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.len() < 1_000
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok_and(|raw| raw.get() == text)
}

/// `digits * 10^exponent`.
struct Exact {
    digits: BigInt,
    exponent: i64,
}

impl Exact {
    /// None where the exponent is too large to be looked at.
    fn of(text: &str) -> Option<Exact> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        (exponent.unsigned_abs() <= EXPONENT_MAX).then(|| Exact {
            digits: format!("{whole}{fraction}").parse().expect("digits"),
            exponent: exponent - fraction.len() as i64,
        })
    }

    /// The digits of the number times `10^-lowest`.
    fn scaled(&self, lowest: i64) -> BigInt {
        let power = u32::try_from(self.exponent - lowest).expect("the lowest is not above");
        &self.digits * BigInt::from(10).pow(power)
    }

    fn integer(&self) -> IntegerText {
        let lowest = self.exponent.min(0);
        let one = BigInt::from(10).pow(u32::try_from(-lowest).expect("not above 0"));
        let scaled = self.scaled(lowest);
        let zero = BigInt::from(0);
        if &scaled % &one != zero {
            return IntegerText::Fraction;
        }
        i64::try_from(&scaled / &one).map_or(IntegerText::Beyond, IntegerText::Integer)
    }

    fn is_multiple_of(&self, divisor: &Exact) -> bool {
        let lowest = self.exponent.min(divisor.exponent);
        self.scaled(lowest) % divisor.scaled(lowest) == BigInt::from(0)
    }
}
