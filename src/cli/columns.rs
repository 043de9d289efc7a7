//! How wide a text is on a terminal, and texts cut to a width.

use unicode_width::UnicodeWidthStr as _;

/// The columns of a terminal that a text takes: one for most characters, two for those of East Asia and emoji.
pub fn of(text: &str) -> usize {
    text.width()
}

/// At most `columns_max` columns of a text; `…` stands for what was left out.
pub fn fit(text: &str, columns_max: usize) -> String {
    if of(text) <= columns_max {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if of(&kept) >= columns_max {
            kept.pop();
            break;
        }
    }
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(["", "aé", "東京"].map(of), [0, 2, 4]);
        assert_eq!(fit("東京", 4), "東京");
        assert_eq!(fit("東京都", 4), "東…");
        assert_eq!(fit("abcde", 4), "abc…");
        assert_eq!(fit("東", 1), "…");
    }
}
