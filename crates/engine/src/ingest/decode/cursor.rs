//! Reading JSON's tokens from a record's bytes, exactly as RFC 8259 has them, never past the end.

use eventlake_core::violation::Code;

use super::faults::{Fault, fault, shortened};
use super::scan::plain_run;

/// Containers within containers that a record may have.
pub(super) const DEPTH_MAX: usize = 256;

/// A place in a record's bytes.
pub(super) struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    /// Where the first byte that is not UTF-8 stands; `usize::MAX` where all is well.
    invalid_at: usize,
    /// Containers that are open.
    depth: usize,
}

/// A string's text between its quotes, as the sender wrote it.
#[derive(Clone, Copy)]
pub(super) struct StringToken<'a> {
    pub raw: &'a [u8],
    pub escaped: bool,
}

/// A number's text, and its value where reading its digits gave it.
pub(super) struct NumberToken<'a> {
    pub raw: &'a [u8],
    /// Of digits alone that fit.
    pub integer: Option<i64>,
    /// Of a few digits with a point and no exponent.
    pub decimal: Option<f64>,
}

/// So many digits always fit 63 bits.
const INTEGER_DIGITS_MAX: usize = 18;
/// So many digits, and the power of ten for each of their places, are both exact doubles.
const DECIMAL_DIGITS_MAX: usize = 15;
const POWERS_OF_TEN: [f64; DECIMAL_DIGITS_MAX + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        let invalid_at = match simdutf8::basic::from_utf8(bytes) {
            Ok(_) => usize::MAX,
            Err(_) => first_invalid(bytes),
        };
        Cursor {
            bytes,
            at: 0,
            invalid_at,
            depth: 0,
        }
    }

    /// The next byte; 0 at the end, which stands nowhere in JSON.
    #[inline(always)]
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    #[inline(always)]
    pub(super) fn skip_space(&mut self) {
        if self.peek() <= b' ' {
            self.skip_spaces();
        }
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// What stands here is not JSON, or not UTF-8.
    #[cold]
    #[inline(never)]
    pub(super) fn malformed(&self, expected: &str) -> Fault {
        const SHOWN_BYTES: usize = 20;
        let at = self.at.min(self.bytes.len());
        if self.invalid_at <= at {
            return self.not_utf8();
        }
        let rest = &self.bytes[at..];
        let found = match rest {
            [] if at == 0 => "nothing".to_owned(),
            [] => format!("the end of the record, at byte {at}"),
            [0xEF, 0xBB, 0xBF, ..] => format!("a byte order mark, at byte {at}"),
            // The cut may fall into a character, of which then nothing is shown.
            _ => {
                let shown = shortened(&rest[..rest.len().min(SHOWN_BYTES)]);
                format!(
                    "{}, at byte {at}",
                    shown.trim_end_matches(char::REPLACEMENT_CHARACTER)
                )
            }
        };
        fault(Code::MalformedJson, expected, found)
    }

    #[cold]
    #[inline(never)]
    fn not_utf8(&self) -> Fault {
        let byte = self.bytes[self.invalid_at];
        fault(
            Code::InvalidUnicode,
            "UTF-8",
            format!("byte 0x{byte:02X}, at byte {}", self.invalid_at),
        )
    }

    #[cold]
    #[inline(never)]
    fn lone_surrogate(&self, at: usize) -> Fault {
        let end = self.bytes.len().min(at + 6);
        let found = format!("{}, at byte {at}", shortened(&self.bytes[at..end]));
        fault(Code::InvalidUnicode, "a pair of surrogates, or none", found)
    }

    /// Steps into the container whose bracket stands here.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let found = format!("a deeper one, at byte {}", self.at);
            return Err(fault(
                Code::TooDeep,
                format!("at most {DEPTH_MAX} nested objects and arrays"),
                found,
            ));
        }
        self.at += 1;
        Ok(())
    }

    /// Steps out of the container whose closing bracket stands here.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// The string whose opening quote stands here.
    #[inline]
    pub(super) fn string(&mut self) -> Result<StringToken<'a>, Fault> {
        let from = self.at + 1;
        let mut at = from;
        let mut escaped = false;
        loop {
            at += plain_run(&self.bytes[at..]);
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    if self.invalid_at < at {
                        return Err(self.not_utf8());
                    }
                    return Ok(StringToken {
                        raw: &self.bytes[from..at],
                        escaped,
                    });
                }
                Some(b'\\') => {
                    escaped = true;
                    at = self.escape(at)?;
                }
                Some(_) => {
                    self.at = at;
                    return Err(self.malformed("no control character within a string"));
                }
                None => {
                    self.at = at;
                    return Err(self.malformed("the string's closing quote"));
                }
            }
        }
    }

    /// The place behind the escape whose backslash stands at `at`.
    #[inline(never)]
    fn escape(&mut self, at: usize) -> Result<usize, Fault> {
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                let Some(unit) = hex_unit(self.bytes, at + 2) else {
                    return Err(self.bad_escape(at));
                };
                match unit {
                    0xDC00..0xE000 => Err(self.escape_fault(at)),
                    0xD800..0xDC00 => self.second_surrogate(at),
                    _ => Ok(at + 6),
                }
            }
            _ => Err(self.bad_escape(at)),
        }
    }

    /// The place behind a pair of surrogates, the first of which stands at `at`.
    fn second_surrogate(&mut self, at: usize) -> Result<usize, Fault> {
        const SECOND: usize = 6;
        let second = at + SECOND;
        match (self.bytes.get(second), self.bytes.get(second + 1)) {
            (None, _) | (Some(b'\\'), None) => {
                self.at = self.bytes.len();
                Err(self.malformed("the string's closing quote"))
            }
            (Some(b'\\'), Some(b'u')) => match hex_unit(self.bytes, second + 2) {
                None => Err(self.bad_escape(second)),
                Some(0xDC00..0xE000) => Ok(second + SECOND),
                Some(_) => Err(self.escape_fault(at)),
            },
            _ => Err(self.escape_fault(at)),
        }
    }

    /// A lone surrogate at `at`, unless a byte before it was not UTF-8.
    #[cold]
    fn escape_fault(&self, at: usize) -> Fault {
        if self.invalid_at < at {
            self.not_utf8()
        } else {
            self.lone_surrogate(at)
        }
    }

    #[cold]
    fn bad_escape(&mut self, at: usize) -> Fault {
        self.at = at;
        self.malformed("an escape that JSON has")
    }

    /// The number that begins here, with a digit or a minus.
    #[inline]
    pub(super) fn number(&mut self) -> Result<NumberToken<'a>, Fault> {
        let from = self.at;
        let negative = self.peek() == b'-';
        let first = from + usize::from(negative);
        let (value, mut end) = self.digits_from(0, first);
        let digits = end - first;
        if digits == 0 || (digits > 1 && self.bytes[first] == b'0') {
            self.at = from;
            return Err(self.malformed("a number"));
        }
        let next = self.bytes.get(end).copied().unwrap_or(0);
        if !matches!(next, b'.' | b'e' | b'E') {
            self.at = end;
            let integer = (digits <= INTEGER_DIGITS_MAX).then(|| {
                let value = value as i64;
                if negative { -value } else { value }
            });
            return Ok(NumberToken {
                raw: &self.bytes[from..end],
                integer,
                decimal: None,
            });
        }
        let mut decimal = None;
        if next == b'.' {
            let (value, after) = self.digits_from(value, end + 1);
            let places = after - end - 1;
            if places == 0 {
                self.at = after;
                return Err(self.malformed("a digit"));
            }
            if digits + places <= DECIMAL_DIGITS_MAX {
                // One division of exact doubles rounds as the standard asks (Clinger, "How to read floating point
                // numbers accurately").
                let value = value as f64 / POWERS_OF_TEN[places];
                decimal = Some(if negative { -value } else { value });
            }
            end = after;
        }
        self.at = end;
        if matches!(self.peek(), b'e' | b'E') {
            self.exponent()?;
            decimal = None;
        }
        Ok(NumberToken {
            raw: &self.bytes[from..self.at],
            integer: None,
            decimal,
        })
    }

    /// The digits from a place on, appended to a value, and where they end. The value of many digits is nonsense.
    #[inline(always)]
    fn digits_from(&self, mut value: u64, mut at: usize) -> (u64, usize) {
        while let Some(byte) = self.bytes.get(at) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        (value, at)
    }

    fn exponent(&mut self) -> Result<(), Fault> {
        self.at += 1;
        if matches!(self.peek(), b'+' | b'-') {
            self.at += 1;
        }
        let (_, end) = self.digits_from(0, self.at);
        if end == self.at {
            return Err(self.malformed("a digit"));
        }
        self.at = end;
        Ok(())
    }

    /// The literal `true`, `false` or `null`, if it stands here.
    #[inline]
    pub(super) fn literal(&mut self, literal: &'static str) -> Result<(), Fault> {
        if self.rest().starts_with(literal.as_bytes()) {
            self.at += literal.len();
            Ok(())
        } else {
            Err(self.malformed("a JSON value"))
        }
    }

    /// Passes over one value of any kind, checking all of it. Never recursive: the sender chooses the depth.
    pub(super) fn skip_value(&mut self) -> Result<(), Fault> {
        let mut open = OpenContainers::default();
        loop {
            self.skip_space();
            match self.peek() {
                b'"' => {
                    self.string()?;
                }
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                b'{' => {
                    self.enter()?;
                    open.push(Container::Object);
                    self.skip_space();
                    if self.peek() != b'}' {
                        self.skip_key()?;
                        continue;
                    }
                    open.pop();
                    self.leave();
                }
                b'[' => {
                    self.enter()?;
                    open.push(Container::Array);
                    self.skip_space();
                    if self.peek() != b']' {
                        continue;
                    }
                    open.pop();
                    self.leave();
                }
                _ => return Err(self.malformed("a JSON value")),
            }
            // The value is complete, and with it perhaps some that hold it.
            loop {
                let Some(container) = open.innermost() else {
                    return Ok(());
                };
                self.skip_space();
                match (self.peek(), container) {
                    (b',', Container::Array) => {
                        self.at += 1;
                        break;
                    }
                    (b',', Container::Object) => {
                        self.at += 1;
                        self.skip_space();
                        self.skip_key()?;
                        break;
                    }
                    (b'}', Container::Object) | (b']', Container::Array) => {
                        open.pop();
                        self.leave();
                    }
                    (_, Container::Object) => return Err(self.malformed("',' or '}'")),
                    (_, Container::Array) => return Err(self.malformed("',' or ']'")),
                }
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), Fault> {
        if self.peek() != b'"' {
            return Err(self.malformed("a name in quotes"));
        }
        self.string()?;
        self.colon()
    }

    /// Passes over the colon behind a name.
    #[inline]
    pub(super) fn colon(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.peek() != b':' {
            return Err(self.malformed("':'"));
        }
        self.at += 1;
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

/// Which of the open containers are objects: one bit each.
#[derive(Default)]
struct OpenContainers {
    objects: [u64; DEPTH_MAX / 64],
    count: usize,
}

impl OpenContainers {
    #[inline]
    fn push(&mut self, container: Container) {
        let bit = 1_u64 << (self.count % 64);
        match container {
            Container::Object => self.objects[self.count / 64] |= bit,
            Container::Array => self.objects[self.count / 64] &= !bit,
        }
        self.count += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.count -= 1;
    }

    #[inline]
    fn innermost(&self) -> Option<Container> {
        let last = self.count.checked_sub(1)?;
        let is_object = self.objects[last / 64] >> (last % 64) & 1 == 1;
        Some(if is_object {
            Container::Object
        } else {
            Container::Array
        })
    }
}

#[cold]
#[inline(never)]
fn first_invalid(bytes: &[u8]) -> usize {
    let checked = std::str::from_utf8(bytes);
    checked.err().map_or(usize::MAX, |error| error.valid_up_to())
}

fn hex_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0_u16, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | digit as u16)
    })
}

/// Appends the text that a string's raw bytes stand for. The cursor has already checked every escape.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let (text, length) = match rest[at + 1] {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{C}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => escaped_char(&rest[at..]),
            itself => (char::from(itself), 2),
        };
        out.extend_from_slice(text.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
}

/// The character of `\u1234`, or of a pair of them, and how many bytes wrote it.
fn escaped_char(escape: &[u8]) -> (char, usize) {
    const CHECKED: &str = "the cursor has checked every escape";
    let first = hex_unit(escape, 2).expect(CHECKED);
    match char::from_u32(u32::from(first)) {
        Some(char) => (char, 6),
        None => {
            let second = hex_unit(escape, 8).expect(CHECKED);
            let pair = char::decode_utf16([first, second]).next();
            (pair.and_then(Result::ok).expect(CHECKED), 12)
        }
    }
}
