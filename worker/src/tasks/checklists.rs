//! Checklists of a feature: how many points each has, and how many are checked.

use moorline_proto::v1::Checklist;

use super::markdown::{Hidden, checkbox};

/// Most checklists of a feature.
pub const CHECKLISTS: usize = 50;
/// Longest name of one, in characters.
const NAME: usize = 100;

/// The names of the checklists among a folder's files, in order; what can't be told to people is left out.
pub fn names(files: &[String]) -> Vec<&str> {
    let short = files.iter().filter_map(|file| file.strip_suffix(".md"));
    let mut names: Vec<&str> = short
        .filter(|name| (1..=NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control))
        .collect();
    names.sort_unstable();
    names.truncate(CHECKLISTS);
    names
}

/// Counts the points of one.
pub fn count(name: &str, content: &[u8]) -> Checklist {
    let text = String::from_utf8_lossy(content);
    let mut hidden = Hidden::default();
    let shown = text.lines().filter(|line| !hidden.hides(line));
    let marks: Vec<&str> = shown.filter_map(|line| checkbox(line.trim_start())).map(|(mark, _)| mark).collect();
    let number = |of: &[&str]| i32::try_from(marks.iter().filter(|mark| of.contains(mark)).count()).unwrap_or(i32::MAX);
    Checklist {
        name: name.to_owned(),
        total: number(&[" ", "x", "X"]),
        done: number(&["x", "X"]),
    }
}
