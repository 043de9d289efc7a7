//! Broken records: what senders get wrong, in many kinds, each of which the topic's schema refuses.

use super::event::Kind;
use super::json;
use super::random::Stream;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A way to be broken. Its text names it in the delivery log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$name,)*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// No bytes at all; not the null payload, which Kafka calls a tombstone.
    Empty = "empty",
    NotJson = "not_json",
    Truncated = "truncated",
    TrailingBytes = "trailing_bytes",
    TrailingComma = "trailing_comma",
    SingleQuotes = "single_quotes",
    ByteOrderMark = "byte_order_mark",
    NotANumber = "not_a_number",
    ControlCharacter = "control_character",
    InvalidUtf8 = "invalid_utf8",
    LoneSurrogate = "lone_surrogate",
    TooDeep = "too_deep",
    NotAnObject = "not_an_object",
    DuplicateField = "duplicate_field",
    MissingField = "missing_field",
    NullField = "null_field",
    WrongType = "wrong_type",
    Fraction = "fraction",
    HugeInteger = "huge_integer",
    OutOfRange = "out_of_range",
    UnknownValue = "unknown_value",
    BadTime = "bad_time",
    FutureTime = "future_time",
}

/// Breaks a valid event of this kind, in place, in one way. `event_micros` is its time.
pub fn break_event(event: &mut Vec<u8>, kind: Kind, event_micros: i64, chance: &mut Stream) -> Fault {
    let fault = chance.pick(Fault::ALL);
    if !break_text(event, fault, kind, chance) {
        break_field(event, fault, kind, event_micros, chance);
    }
    fault
}

/// The faults of the text as a whole. False: not one of them.
fn break_text(event: &mut Vec<u8>, fault: Fault, kind: Kind, chance: &mut Stream) -> bool {
    match fault {
        Fault::Empty => event.clear(),
        Fault::NotJson => replace(event, chance.pick(NOT_JSON)),
        Fault::Truncated => {
            let left = chance.within(1, event.len() as u64 - 1);
            event.truncate(left as usize);
        }
        Fault::TrailingBytes => event.extend_from_slice(chance.pick(TRAILERS)),
        Fault::TrailingComma => insert_before_end(event, b","),
        Fault::SingleQuotes => {
            let quotes = event.iter_mut().filter(|byte| **byte == b'"');
            quotes.for_each(|byte| *byte = b'\'');
        }
        Fault::ByteOrderMark => {
            event.splice(0..0, *b"\xef\xbb\xbf");
        }
        Fault::NotANumber => set(event, kind.key_field(), chance.pick(NOT_NUMBERS)),
        Fault::ControlCharacter => insert_before_end(event, b",\"note\":\"a\x01b\""),
        Fault::InvalidUtf8 => insert_before_end(event, chance.pick(INVALID_UTF8)),
        Fault::LoneSurrogate => insert_before_end(event, b",\"note\":\"\\ud83d\""),
        Fault::TooDeep => {
            let mut deep = b",\"note\":".to_vec();
            deep.resize(deep.len() + 300, b'[');
            deep.resize(deep.len() + 300, b']');
            insert_before_end(event, &deep);
        }
        Fault::NotAnObject => {
            let text = chance.pick(NOT_OBJECTS);
            if text == b"[" {
                event.insert(0, b'[');
                event.push(b']');
            } else {
                replace(event, text);
            }
        }
        _ => return false,
    }
    true
}

/// The faults of one field of a well-formed object.
fn break_field(event: &mut Vec<u8>, fault: Fault, kind: Kind, event_micros: i64, chance: &mut Stream) {
    let key = kind.key_field();
    match fault {
        Fault::DuplicateField => {
            let value = event[value_at(event, key)].to_vec();
            insert_before_end(event, &[b",\"", key.as_bytes(), b"\":", &value].concat());
        }
        Fault::MissingField => remove(event, chance.pick(&[key, kind.time_field(), first_field(kind)])),
        Fault::NullField => set(event, chance.pick(&[key, kind.time_field()]), b"null"),
        Fault::WrongType => set(event, key, chance.pick(WRONG_TYPES)),
        Fault::Fraction => set(event, key, b"12.5"),
        Fault::HugeInteger => set(event, key, b"99999999999999999999"),
        Fault::OutOfRange => match kind {
            Kind::Clicks => set(event, "click_duration", b"-1.5"),
            Kind::Views => set(event, "view_duration", b"-20.0"),
            Kind::Ratings => set(event, "rating", chance.pick(&[&b"0"[..], b"6", b"-1", b"10"])),
            Kind::Tickets => set(event, key, b"0"),
        },
        Fault::UnknownValue => match kind {
            Kind::Clicks => set(event, "event_type", b"\"clic\""),
            Kind::Views => set(
                event,
                "device_type",
                chance.pick(&[&b"\"smartwatch\""[..], b"\"Mobile\"", b"\"\""]),
            ),
            Kind::Ratings => set(event, "event_type", b"\"review\""),
            Kind::Tickets => {
                let (field, value) = chance.pick(UNKNOWN_OF_TICKETS);
                set(event, field, value);
            }
        },
        Fault::BadTime => set(event, kind.time_field(), chance.pick(BAD_TIMES)),
        Fault::FutureTime => {
            let ahead_days = chance.within(2, 400).cast_signed();
            let mut time = Vec::new();
            json::time(
                &mut time,
                event_micros + ahead_days * 86_400_000_000,
                kind.precision(),
            );
            set(event, kind.time_field(), &time);
        }
        _ => unreachable!("the faults of the text as a whole were dealt with before"),
    }
}

const NOT_JSON: &[&[u8]] = &[
    b"hello",
    b"<click user=\"12\" item=\"7\"/>",
    b"user_id=12&item_id=7",
    b"12;7;2026-11-21 10:00:00;mobile",
    b"\x00\x00\x00\x00\x05\x02\x18\x0e",
    b"{user_id: 12}",
    b"%7B%22user_id%22%3A12%7D",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    b"undefined",
];
const TRAILERS: &[&[u8]] = &[b"}", b" x", b"{}", b",", b"\x00", b"null"];
const NOT_NUMBERS: &[&[u8]] = &[
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"0x1F",
    b"007",
    b"+5",
    b".5",
    b"1.",
];
const INVALID_UTF8: &[&[u8]] = &[
    b",\"note\":\"caf\xe9\"",
    b",\"note\":\"\xc3\"",
    b",\"note\":\"\xed\xa0\xbd\"",
    b",\"note\":\"\xc0\xaf\"",
];
const NOT_OBJECTS: &[&[u8]] = &[b"[", b"null", b"42", b"\"click\"", b"true", b"[]"];
const WRONG_TYPES: &[&[u8]] = &[b"\"17\"", b"true", b"[17]", b"{\"id\":17}", b"\"\""];
const BAD_TIMES: &[&[u8]] = &[
    b"\"hier\"",
    b"\"2026-13-01T00:00:00Z\"",
    b"\"2026-02-30T10:00:00Z\"",
    b"\"2026-11-21T25:61:00Z\"",
    b"\"21/11/2026 10:00\"",
    b"\"\"",
    b"1763686800",
    b"\"Sat Nov 21 10:00:00 CET 2026\"",
];
const UNKNOWN_OF_TICKETS: &[(&str, &[u8])] = &[
    ("type", b"\"autre\""),
    ("type", b"\"Support\""),
    ("priority", b"\"urgente\""),
    ("priority", b"\"high\""),
];

fn first_field(kind: Kind) -> &'static str {
    if kind == Kind::Tickets {
        "ticket_id"
    } else {
        "event_type"
    }
}

fn replace(event: &mut Vec<u8>, text: &[u8]) {
    event.clear();
    event.extend_from_slice(text);
}

fn insert_before_end(event: &mut Vec<u8>, text: &[u8]) {
    let end = event.len() - 1;
    event.splice(end..end, text.iter().copied());
}

fn set(event: &mut Vec<u8>, field: &str, value: &[u8]) {
    let at = value_at(event, field);
    event.splice(at, value.iter().copied());
}

fn remove(event: &mut Vec<u8>, field: &str) {
    let value = value_at(event, field);
    let name = value.start - field.len() - 3; // The quotes and the colon.
    if event[name - 1] == b'{' {
        event.drain(name..value.end + 1); // With the comma that follows.
    } else {
        event.drain(name - 1..value.end); // With the comma before.
    }
}

/// Where a field's value stands in an event as [`super::event`] writes it: no spaces, no nesting.
fn value_at(event: &[u8], field: &str) -> std::ops::Range<usize> {
    let name = [b"\"", field.as_bytes(), b"\":"].concat();
    let found = event.windows(name.len()).position(|window| window == name);
    let from = found.expect("every event has the fields that are broken here") + name.len();
    let mut to = from;
    if event[from] == b'"' {
        to += 1;
        while event[to] != b'"' {
            to += if event[to] == b'\\' { 2 } else { 1 };
        }
        to += 1;
    } else {
        while event[to] != b',' && event[to] != b'}' {
            to += 1;
        }
    }
    from..to
}
