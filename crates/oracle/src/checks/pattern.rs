//! Patterns: what is found must be what an engine of ECMA-262 finds.

use eventlake_core::schema::Pattern;

const PATTERN_BYTES_MAX: usize = 64;
/// The other engine goes back and forth, and would for ever: short texts and few repetitions bound its ways.
const TEXT_BYTES_MAX: usize = 14;
const REPETITIONS_MAX: usize = 3;
const ALTERNATIVES_MAX: usize = 4;
const COUNT_MAX: u32 = 5;

/// Input: the pattern, a line break, the text.
pub fn check(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let (source, text) = input.split_once('\n').unwrap_or((input, ""));
    let Ok(pattern) = Pattern::compile(source) else {
        return;
    };
    let ours = pattern.regex.is_match(text);
    if text.len() > TEXT_BYTES_MAX || is_long_to_try(source) || is_otherwise_elsewhere(source) {
        return;
    }
    let flags = regress::Flags {
        unicode: true,
        ..regress::Flags::default()
    };
    match regress::Regex::with_flags(source, flags) {
        Ok(theirs) => assert_eq!(
            ours,
            theirs.find(text).is_some(),
            "{source:?} in {text:?}: ours, theirs"
        ),
        Err(error) => panic!("{source:?} is no pattern of ECMA-262: {error}"),
    }
}

fn is_long_to_try(source: &str) -> bool {
    let count = |wanted: &[char]| source.chars().filter(|char| wanted.contains(char)).count();
    let digits = source.split(|char: char| !char.is_ascii_digit());
    source.len() > PATTERN_BYTES_MAX
        || count(&['*', '+', '?', '{']) > REPETITIONS_MAX
        || count(&['|']) > ALTERNATIVES_MAX
        || digits
            .filter(|digits| !digits.is_empty())
            .any(|digits| digits.parse::<u32>().map_or(true, |number| number > COUNT_MAX))
}

/// Which Unicode properties there are, and of which version, is each engine's own.
fn is_otherwise_elsewhere(source: &str) -> bool {
    source.contains("\\p") || source.contains("\\P")
}
