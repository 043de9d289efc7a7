//! Violations put together: cold code, so that refusing costs the accept path nothing.

use eventlake_core::violation::{Code, Violation};

/// Characters of a sender's text that a violation keeps.
const FOUND_CHARS_MAX: usize = 80;
/// Bytes that surely hold so many characters.
const FOUND_BYTES_MAX: usize = 4 * (FOUND_CHARS_MAX + 1);

/// A violation on its way up to the root, gathering its path.
pub(super) type Fault = Box<Violation>;

#[cold]
#[inline(never)]
pub(super) fn fault(code: Code, expected: impl Into<String>, found: impl Into<String>) -> Fault {
    Box::new(Violation {
        code,
        field: String::new(),
        expected: expected.into(),
        found: found.into(),
    })
}

/// The fault of a value, seen from the object that holds it.
#[cold]
#[inline(never)]
pub(super) fn in_field(mut fault: Fault, name: &str) -> Fault {
    let name = match name.as_bytes() {
        // In quotes, for it would read as no field or as an item.
        [] | [b'[', ..] => format!("\"{}\"", shortened(name.as_bytes())),
        plain => shortened(plain),
    };
    fault.field = match fault.field.as_bytes() {
        [] => name,
        [b'[', ..] => format!("{name}{}", fault.field),
        _ => format!("{name}.{}", fault.field),
    };
    fault
}

/// The fault of an item, seen from the array that holds it.
#[cold]
#[inline(never)]
pub(super) fn in_item(mut fault: Fault, index: usize) -> Fault {
    fault.field = match fault.field.as_bytes() {
        [] | [b'[', ..] => format!("[{index}]{}", fault.field),
        _ => format!("[{index}].{}", fault.field),
    };
    fault
}

/// Bytes of the sender as text of at most 80 characters; what is not UTF-8 is replaced.
#[cold]
#[inline(never)]
pub(super) fn shortened(bytes: &[u8]) -> String {
    let kept = &bytes[..bytes.len().min(FOUND_BYTES_MAX)];
    let text = String::from_utf8_lossy(kept);
    match text.char_indices().nth(FOUND_CHARS_MAX) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
