//! `pattern` in ECMA-262's dialect (with its `u` flag, as JSON Schema says), translated to the regex crate's.
//!
//! What the two write alike but mean differently (`\d`, `\w`, `\s`, `\b`, `.`, `[]`, nested brackets) is
//! rewritten; every other construct is translated one by one, and what the regex crate cannot do in linear
//! time (lookaround, backreferences) or ECMA-262 does not have is refused by name.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use super::model::Pattern;

const DIGIT: &str = "0-9";
const WORD: &str = "A-Za-z0-9_";
/// `WhiteSpace` and `LineTerminator` of ECMA-262.
const SPACE: &str =
    r"\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
const ANYTHING: &str = "(?s:.)";
const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

impl Pattern {
    /// # Errors
    /// Why the text is no pattern, or which of its constructs is not supported, with a hint.
    pub fn compile(source: &str) -> Result<Pattern, String> {
        let mut translation = Translation {
            chars: source.chars().peekable(),
            out: String::new(),
            groups: 0,
            group_names: Vec::new(),
        };
        translation.run()?;
        let regex = Regex::new(&translation.out).map_err(|error| match error {
            regex::Error::CompiledTooBig(bytes) => {
                format!("it compiles to more than {bytes} bytes; hint: use smaller counts in its {{n,m}}")
            }
            error => {
                let text = error.to_string();
                text.lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned()
            }
        })?;
        Ok(Pattern {
            source: source.to_owned(),
            regex,
        })
    }
}

/// Whether what was just written may be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Repeatable,
    NotRepeatable,
}

/// One member of a class: a single character can begin a range, a set cannot.
enum Member {
    One(char),
    Set(String),
}

struct Translation<'s> {
    chars: Peekable<Chars<'s>>,
    out: String,
    groups: usize,
    group_names: Vec<String>,
}

impl Translation<'_> {
    fn run(&mut self) -> Result<(), String> {
        let mut last = Last::NotRepeatable;
        while let Some(char) = self.chars.next() {
            last = match char {
                '^' | '$' => self.write(&char.to_string(), Last::NotRepeatable),
                '|' => self.write("|", Last::NotRepeatable),
                '.' => self.write(r"[^\n\r\x{2028}\x{2029}]", Last::Repeatable),
                '(' => self.open_group()?,
                ')' => self.close_group()?,
                '[' => self.class()?,
                '*' | '+' | '?' | '{' => self.quantifier(char, last)?,
                ']' | '}' => return Err(format!("a lone {char:?}; hint: write \\{char} for the character")),
                '\\' => self.escape()?,
                char => {
                    self.literal(char);
                    Last::Repeatable
                }
            };
        }
        if self.groups > 0 {
            return Err("a group is not closed".to_owned());
        }
        Ok(())
    }

    fn write(&mut self, text: &str, last: Last) -> Last {
        self.out.push_str(text);
        last
    }

    /// Writes a character so that it means itself, in and out of a class.
    fn literal(&mut self, char: char) {
        push_literal(&mut self.out, char);
    }

    fn open_group(&mut self) -> Result<Last, String> {
        self.groups += 1;
        if self.chars.next_if_eq(&'?').is_none() {
            return Ok(self.write("(?:", Last::NotRepeatable));
        }
        match self.chars.next() {
            Some(':') => {}
            Some('=' | '!') => return Err("lookahead is not supported".to_owned()),
            Some('<') => {
                if matches!(self.chars.peek(), Some('=' | '!')) {
                    return Err("lookbehind is not supported".to_owned());
                }
                let name = self.until('>').ok_or("the name of a group is not closed")?;
                let is_name = name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'));
                if name.is_empty() || !is_name || name.starts_with(|first: char| first.is_ascii_digit()) {
                    return Err(format!("{name:?} is no name of a group; hint: use ASCII letters"));
                }
                if self.group_names.contains(&name) {
                    return Err(format!("the group {name:?} stands twice"));
                }
                self.group_names.push(name);
            }
            Some(char) => return Err(format!("the group (?{char} is not supported")),
            None => return Err("a group is not closed".to_owned()),
        }
        Ok(self.write("(?:", Last::NotRepeatable))
    }

    /// What stands before a closing bracket, which is consumed; none where it is missing.
    fn until(&mut self, closing: char) -> Option<String> {
        let mut inner = String::new();
        for char in self.chars.by_ref() {
            if char == closing {
                return Some(inner);
            }
            inner.push(char);
        }
        None
    }

    fn close_group(&mut self) -> Result<Last, String> {
        let Some(groups) = self.groups.checked_sub(1) else {
            return Err("a lone ')'; hint: write \\) for the character".to_owned());
        };
        self.groups = groups;
        Ok(self.write(")", Last::Repeatable))
    }

    fn quantifier(&mut self, char: char, last: Last) -> Result<Last, String> {
        let written = match char {
            '{' => self.counts()?,
            char => char.to_string(),
        };
        if last == Last::NotRepeatable {
            return Err(format!(
                "{written:?} has nothing to repeat; hint: write \\{char} for the character"
            ));
        }
        self.out.push_str(&written);
        if self.chars.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        Ok(Last::NotRepeatable)
    }

    /// `{n}`, `{n,}` or `{n,m}`, from behind its bracket.
    fn counts(&mut self) -> Result<String, String> {
        let inner = self.until('}').unwrap_or_default();
        let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = match inner.split_once(',') {
            None => is_count(&inner),
            Some((least, most)) => is_count(least) && (most.is_empty() || is_count(most)),
        };
        if fits {
            Ok(format!("{{{inner}}}"))
        } else {
            Err("a lone '{'; hint: write \\{ for the character".to_owned())
        }
    }

    fn escape(&mut self) -> Result<Last, String> {
        match self.chars.peek().copied() {
            Some('b') => {
                self.chars.next();
                Ok(self.write(r"(?-u:\b)", Last::NotRepeatable))
            }
            Some('B') => {
                self.chars.next();
                Ok(self.write(r"(?-u:\B)", Last::NotRepeatable))
            }
            Some('1'..='9') => Err("backreferences are not supported".to_owned()),
            Some('k') => Err("backreferences are not supported".to_owned()),
            _ => {
                match self.escaped()? {
                    Member::One(char) => self.literal(char),
                    Member::Set(set) => self.out.push_str(&set),
                }
                Ok(Last::Repeatable)
            }
        }
    }

    /// What stands behind a backslash, in and out of a class.
    fn escaped(&mut self) -> Result<Member, String> {
        let Some(char) = self.chars.next() else {
            return Err("a lone '\\' at the end; hint: write \\\\ for the character".to_owned());
        };
        Ok(match char {
            'd' => Member::Set(format!("[{DIGIT}]")),
            'D' => Member::Set(format!("[^{DIGIT}]")),
            'w' => Member::Set(format!("[{WORD}]")),
            'W' => Member::Set(format!("[^{WORD}]")),
            's' => Member::Set(format!("[{SPACE}]")),
            'S' => Member::Set(format!("[^{SPACE}]")),
            'p' | 'P' => Member::Set(self.property(char)?),
            't' => Member::One('\t'),
            'n' => Member::One('\n'),
            'v' => Member::One('\u{B}'),
            'f' => Member::One('\u{C}'),
            'r' => Member::One('\r'),
            '0' if !matches!(self.chars.peek(), Some('0'..='9')) => Member::One('\0'),
            'c' => match self.chars.next() {
                Some(letter) if letter.is_ascii_alphabetic() => Member::One(char::from(letter as u8 % 32)),
                _ => return Err("\\c needs a letter behind it".to_owned()),
            },
            'x' => Member::One(self.hex_char(2)?),
            'u' => Member::One(self.unicode_char()?),
            '^' | '$' | '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '/' => {
                Member::One(char)
            }
            char => {
                return Err(format!(
                    "the escape \\{char} is not one of ECMA-262's; hint: write {char} by itself"
                ));
            }
        })
    }

    /// `\p{Letter}`, from behind its letter. Which names there are is the regex crate's to say.
    fn property(&mut self, letter: char) -> Result<String, String> {
        if self.chars.next_if_eq(&'{').is_none() {
            return Err(format!(
                "\\{letter} needs a property in braces, such as \\{letter}{{Letter}}"
            ));
        }
        let name = self.until('}').unwrap_or_default();
        if name.is_empty()
            || !name
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '='))
        {
            return Err(format!("{name:?} is no Unicode property"));
        }
        Ok(format!("\\{letter}{{{name}}}"))
    }

    fn hex(&mut self, digits: usize) -> Result<u32, String> {
        let mut value = 0;
        for _ in 0..digits {
            let digit = self.chars.next().and_then(|char| char.to_digit(16));
            value =
                value * 16 + digit.ok_or_else(|| format!("an escape needs {digits} hexadecimal digits"))?;
        }
        Ok(value)
    }

    fn hex_char(&mut self, digits: usize) -> Result<char, String> {
        let value = self.hex(digits)?;
        char::from_u32(value).ok_or_else(|| "an escaped lone surrogate matches no text".to_owned())
    }

    /// `\u1234`, a surrogate pair of them, or `\u{12345}`, from behind the `u`.
    fn unicode_char(&mut self) -> Result<char, String> {
        if self.chars.next_if_eq(&'{').is_some() {
            let digits = self.until('}').unwrap_or_default();
            let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            return u32::from_str_radix(&digits, 16)
                .ok()
                .filter(|_| is_hex)
                .and_then(char::from_u32)
                .ok_or_else(|| format!("{digits:?} is no code point"));
        }
        let first = self.hex(4)?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first)
                .ok_or_else(|| "an escaped lone surrogate matches no text".to_owned());
        }
        let second = match (self.chars.next(), self.chars.next()) {
            (Some('\\'), Some('u')) => self.hex(4)?,
            _ => 0,
        };
        char::decode_utf16([first as u16, second as u16])
            .next()
            .and_then(Result::ok)
            .ok_or_else(|| "an escaped lone surrogate matches no text".to_owned())
    }

    fn class(&mut self) -> Result<Last, String> {
        let negated = self.chars.next_if_eq(&'^').is_some();
        let mut members = String::new();
        while let Some(first) = self.class_member()? {
            if self.chars.peek() != Some(&'-') {
                push_member(&mut members, &first);
                continue;
            }
            self.chars.next();
            match (first, self.class_member()?) {
                (first, None) => {
                    push_member(&mut members, &first);
                    push_literal(&mut members, '-');
                    self.out_class(negated, &members);
                    return Ok(Last::Repeatable);
                }
                (Member::One(from), Some(Member::One(to))) if from <= to => {
                    push_literal(&mut members, from);
                    members.push('-');
                    push_literal(&mut members, to);
                }
                (Member::One(from), Some(Member::One(to))) => {
                    return Err(format!("the range {from}-{to} runs backwards"));
                }
                _ => {
                    return Err(
                        "a range cannot begin or end in a set such as \\d; hint: write \\x2D for a hyphen"
                            .to_owned(),
                    );
                }
            }
        }
        self.out_class(negated, &members);
        Ok(Last::Repeatable)
    }

    fn out_class(&mut self, negated: bool, members: &str) {
        match (members.is_empty(), negated) {
            (true, true) => self.out.push_str(ANYTHING),
            (true, false) => self.out.push_str(NOTHING),
            (false, true) => self.out.push_str(&format!("[^{members}]")),
            (false, false) => self.out.push_str(&format!("[{members}]")),
        }
    }

    /// The next member of a class; none at its closing bracket, which is consumed.
    fn class_member(&mut self) -> Result<Option<Member>, String> {
        match self.chars.next() {
            None => Err("a class is not closed; hint: write \\[ for the character".to_owned()),
            Some(']') => Ok(None),
            Some('\\') => match self.chars.peek() {
                Some('b') => {
                    self.chars.next();
                    Ok(Some(Member::One('\u{8}')))
                }
                Some('-') => {
                    self.chars.next();
                    Ok(Some(Member::One('-')))
                }
                _ => self.escaped().map(Some),
            },
            Some(char) => Ok(Some(Member::One(char))),
        }
    }
}

fn push_member(out: &mut String, member: &Member) {
    match member {
        Member::One(char) => push_literal(out, *char),
        Member::Set(set) => out.push_str(set),
    }
}

fn push_literal(out: &mut String, char: char) {
    if char.is_ascii_alphanumeric() || char == '_' {
        out.push(char);
    } else {
        out.push_str(&format!("\\x{{{:X}}}", u32::from(char)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_ecma_262_says() {
        // Pattern, texts it is found in, texts it is not.
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("a", &["a", "cat"], &["", "b"]),
            ("^a$", &["a"], &["aa", "a\n", "\na"]),
            (r"^\d+$", &["0129"], &["٣", "a"]),
            (r"^\D$", &["٣", "a"], &["1"]),
            (r"^\w+$", &["aZ_9"], &["é", "a-"]),
            (r"^[\w-]+$", &["aZ_9-"], &["é"]),
            (r"^\W$", &["é", "-"], &["a"]),
            (r"^\s+$", &["\t\u{FEFF}\u{A0}\u{2028} "], &["\u{85}", "a"]),
            (r"^\S$", &["\u{85}"], &["\u{FEFF}"]),
            (r"^.$", &["é", "😀", "\u{85}"], &["\n", "\r", "\u{2028}", "ab"]),
            (r"\bab\b", &["ab", "éab!"], &["cab"]),
            (r"a\Bb", &["ab"], &["a b"]),
            (r"^[^]$", &["\n", "x"], &["", "xy"]),
            (r"[]", &[], &["", "a", "]"]),
            (r"^[a&&b]+$", &["a&b"], &["c"]),
            (r"^[[a]+$", &["[a"], &["]"]),
            (r"^[a~~b+--]+$", &["~-a,+"], &["c"]),
            (r"^[\]\-\b\d]+$", &["]-\u{8}5"], &["b"]),
            (r"^[a-]$", &["a", "-"], &["b"]),
            (r"^[^a-c]$", &["d"], &["b"]),
            (
                r"^\/\.\x41\u0042\u{43}\ud83d\ude00\cA\0$",
                &["/.ABC😀\u{1}\0"],
                &["/xABC😀\u{1}\0"],
            ),
            (r"^(?:ab|c){2,3}?(?<name>d)(e)?$", &["abcd", "cccde"], &["cd"]),
            (r"^\p{Lu}\P{Lu}[\p{Script=Greek}]$", &["Aaα"], &["aAα"]),
            (r"^(a|)$", &["", "a"], &["b"]),
            (r"^x{2}y{1,}$", &["xxy"], &["xy"]),
            ("^é #$", &["é #"], &["é#"]),
        ];
        for (source, found, missed) in cases {
            let pattern = Pattern::compile(source).expect(source);
            for text in *found {
                assert!(pattern.regex.is_match(text), "{source} is found in {text:?}");
            }
            for text in *missed {
                assert!(!pattern.regex.is_match(text), "{source} is not found in {text:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_translated_is_refused_by_name() {
        for (source, said) in [
            ("(?=a)", "lookahead"),
            ("(?!a)", "lookahead"),
            ("(?<=a)", "lookbehind"),
            ("(?<!a)", "lookbehind"),
            (r"(a)\1", "backreferences"),
            (r"(?<n>a)\k<n>", "backreferences"),
            ("(?i)a", "(?i"),
            ("(?P<n>a)", "(?P"),
            ("a**", "nothing to repeat"),
            ("a++", "nothing to repeat"),
            ("*a", "nothing to repeat"),
            ("^*", "nothing to repeat"),
            ("a{,3}", "lone '{'"),
            ("{a}", "lone '{'"),
            ("a}", "lone '}'"),
            ("a]", "lone ']'"),
            ("(a", "not closed"),
            ("a)", "lone ')'"),
            ("[a", "not closed"),
            ("[b-a]", "backwards"),
            (r"[\d-x]", "range"),
            (r"\A", "not one of"),
            (r"\z", "not one of"),
            (r"\Qa\E", "not one of"),
            (r"\pL", "braces"),
            (r"\p{Nonsense}", "property"),
            (r"\x4", "hexadecimal"),
            (r"\ud800", "surrogate"),
            ("a\\", "lone '\\'"),
            ("a{3,2}", ""),
            ("a{22", "lone '{'"),
            (r"\u{41", "code point"),
            (r"\u{+41}", "code point"),
            (r"\p{Lu", "property"),
            ("(?<n", "not closed"),
            ("(?<é>a)", "no name"),
            ("(?<n>a)|(?<n>b)", "stands twice"),
            ("(?:.{1000}){1000}", "smaller counts"),
        ] {
            let error = Pattern::compile(source)
                .map(|pattern| pattern.regex)
                .expect_err(source);
            assert!(error.contains(said), "{source}: {error}");
        }
    }
}
