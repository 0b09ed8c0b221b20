//! Words of others, on one short line.

/// The text on one line of at most so many characters, without control characters: it goes into logs, tables and the database.
pub fn short(text: &str, most: usize) -> String {
    let mut line = String::new();
    // Not all of it is looked at, however long it is.
    let looked_at = text.chars().take(most.saturating_mul(4));
    let words: String = looked_at.map(|c| if c.is_control() { ' ' } else { c }).collect();
    for word in words.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_short_line() {
        assert_eq!(short("  two\n\twords\0 ", 99), "two words");
        assert_eq!(short("äöü", 2), "äö");
        assert_eq!(short(&"x ".repeat(1_000_000), 3), "x x");
        assert_eq!(short("\u{1b}[31mred", 99), "[31mred");
    }
}
