//! Text that came from elsewhere, made safe to show: whatever a terminal or a reader could mistake is made visible.
//!
//! Control characters and escape codes would move the cursor, set the title or rewrite what stands above; marks of
//! writing direction would let a text read as another; line breaks would forge lines.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Text on one line: control characters and the like as `\n`, `\x1b` or `\u{202e}`. Any other character stays.
pub fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        push(&mut shown, character);
    }
    shown
}

/// Text of several lines: as [`line`], but for its line breaks.
pub fn text(text: &str) -> Cow<'_, str> {
    if !text
        .chars()
        .any(|character| character != '\n' && is_deceptive(character))
    {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split('\n').map(line).collect::<Vec<_>>().join("\n"))
}

/// Text whose first line stands as it is, and whose others are set in, so that none of them can pass for a line that begins
/// there.
pub fn set_in(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(line).collect();
    lines.join("\n    ")
}

/// Bytes on one line: as text where they are UTF-8, else as `\xff`.
pub fn bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut shown, character);
        }
        for byte in chunk.invalid() {
            write!(shown, "\\x{byte:02x}").expect("writing to a String never fails");
        }
    }
    shown
}

/// The start of some bytes on one line, in at most `chars_max` characters; `…` stands for what was left out.
pub fn preview(all: &[u8], chars_max: usize) -> String {
    // Each byte shown takes at least a quarter of a character, so this is enough to fill the line and to see that there is more.
    let shown = bytes(&all[..all.len().min(4 * chars_max + 4)]);
    cut(&shown, chars_max)
}

/// At most `chars_max` characters of a text; `…` stands for what was left out.
pub fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A document that keeps its lines: those of a JSON text indented by its nesting, else as they stand. Tokens are
/// shown as they came, so `1.0` stays `1.0` and a field that stands twice is shown twice.
pub fn document(document: &[u8]) -> String {
    let lines = match std::str::from_utf8(document) {
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => indented(text),
        _ => document
            .split(|byte| *byte == b'\n')
            .map(bytes)
            .collect::<Vec<_>>()
            .join("\n"),
    };
    lines.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// JSON (which a `"` cannot break) with the characters escaped that JSON itself lets through and a terminal does not.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && is_deceptive(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(shown, "\\u{unit:04x}").expect("writing to a String never fails");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

fn push(shown: &mut String, character: char) {
    let written = match character {
        '\n' => write!(shown, "\\n"),
        '\r' => write!(shown, "\\r"),
        '\t' => write!(shown, "\\t"),
        _ if !is_deceptive(character) => {
            shown.push(character);
            return;
        }
        _ if u32::from(character) < 0x100 => write!(shown, "\\x{:02x}", u32::from(character)),
        _ => write!(shown, "\\u{{{:x}}}", u32::from(character)),
    };
    written.expect("writing to a String never fails");
}

/// Control characters (C0, DEL, C1), marks of writing direction, invisible characters and exotic line breaks.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A valid JSON text with one member or item a line.
fn indented(text: &str) -> String {
    let mut out = String::with_capacity(2 * text.len());
    let mut depth = 0_usize;
    let mut characters = text.trim().chars().peekable();
    // A text may nest as deep as it is long; beyond this the indentation stops to grow, or it would be quadratic.
    let break_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(64)));
    };
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                out.push('"');
                while let Some(inner) = characters.next() {
                    out.push(inner);
                    match inner {
                        '\\' => out.extend(characters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if characters.peek().is_some_and(|next| !matches!(next, '}' | ']')) {
                    depth += 1;
                    break_line(&mut out, depth);
                } else {
                    out.extend(characters.next());
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Escape codes of ESC and of 8-bit CSI, a title, a cleared screen, a forged line, reversed and hidden text.
    const HOSTILE: &str =
        "\x1b[2J\u{9b}31m\x1b]0;owned\x07\r\nerror: all is well\u{202e}gpj.exe\u{200b}\u{2028}\x7f";

    fn is_harmless(text: &str) -> bool {
        text.chars().all(|character| !is_deceptive(character))
    }

    #[test]
    fn escape_codes_become_visible_and_stay_on_their_line() {
        assert!(!is_harmless(HOSTILE));
        let shown = line(HOSTILE);
        assert!(is_harmless(&shown), "{shown:?}");
        assert!(
            shown.starts_with("\\x1b[2J\\x9b31m\\x1b]0;owned\\x07\\r\\nerror: "),
            "{shown}"
        );
        assert!(
            shown.ends_with("\\u{202e}gpj.exe\\u{200b}\\u{2028}\\x7f"),
            "{shown}"
        );
        assert_eq!(line("déjà vu, 東京 \\ \"x\""), "déjà vu, 東京 \\ \"x\"");
        assert_eq!(bytes(b"a\xff\xc3\x28\x1b"), "a\\xff\\xc3(\\x1b");
    }

    #[test]
    fn documents_keep_their_lines_and_nothing_else_that_moves() {
        let text = "{\"a\":1.0,\"a\":[ ],\"b\":{} ,\"c\":[1,{\"x\":\"y, {z\\\"\"}]}\n";
        assert_eq!(
            document(text.as_bytes()),
            "{\n  \"a\": 1.0,\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"x\": \"y, {z\\\"\"\n    }\n  ]\n}"
        );
        for hostile in [
            HOSTILE.to_owned(),
            format!("\"{}\"", HOSTILE.replace('\x1b', "\u{9b}")),
        ] {
            let shown = document(hostile.as_bytes());
            assert!(shown.split('\n').all(is_harmless), "{shown:?}");
        }
        assert_eq!(document(b"one\ntwo\xff"), "one\ntwo\\xff");
    }

    #[test]
    fn json_stays_the_same_json_and_harmless() {
        let value = serde_json::Value::String(format!("{HOSTILE}\u{e0041}"));
        let text = json(&serde_json::to_string(&value).expect("json"));
        assert!(is_harmless(&text), "{text:?}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).expect("json"),
            value
        );
    }

    #[test]
    fn previews_are_as_long_as_asked_for() {
        assert_eq!(preview(b"abc", 3), "abc");
        assert_eq!(preview(b"abcd", 3), "ab…");
        assert_eq!(preview("😀".repeat(100).as_bytes(), 5), "😀😀😀😀…");
        assert!(is_harmless(&preview(HOSTILE.as_bytes(), 12)));
        assert!(preview(&[0x1b; 1 << 20], 40).chars().count() <= 40);
    }
}
