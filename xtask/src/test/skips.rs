//! Skipped tests, and the list of those that may be skipped.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// The reasons that `tests/skips-allowed.txt` lists, one a line; `#` begins a comment.
pub fn allowed(root: &Path) -> Result<Vec<String>> {
    let path = root.join("tests/skips-allowed.txt");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(parse(&text))
}

/// Those skips that aren't listed.
pub fn unexpected<'a>(skipped: &'a [String], allowed: &[String]) -> Vec<&'a str> {
    skipped.iter().filter(|why| !allowed.contains(why)).map(String::as_str).collect()
}

fn parse(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_expected_only_when_it_is_listed_word_for_word() {
        let allowed = parse("# why\n\n  no Docker engine \n");
        let skipped = ["no Docker engine".to_owned(), "no Docker engine today".to_owned()];
        assert_eq!(unexpected(&skipped, &allowed), ["no Docker engine today"]);
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert_eq!(unexpected(&["x".to_owned()], &parse("# nothing\n")), ["x"]);
    }
}
