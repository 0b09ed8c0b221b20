//! What a Markdown text hides from readers, and its check boxes.

/// Goes along a text, line by line.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    /// What ends the code block or comment that the line is in.
    until: Option<&'static str>,
}

impl Hidden {
    /// Whether this line, the next one of its text, is hidden or begins or ends what hides.
    pub(super) fn hides(&mut self, line: &str) -> bool {
        if let Some(end) = self.until {
            if line.contains(end) {
                self.until = None;
            }
            return true;
        }
        let text = line.trim_start();
        if let Some(fence) = ["```", "~~~"].into_iter().find(|fence| text.starts_with(fence)) {
            self.until = Some(fence);
        } else if text.starts_with("<!--") {
            self.until = (!text.contains("-->")).then_some("-->");
        } else {
            return false;
        }
        true
    }
}

/// The mark in the box that begins a list item, and the text after it. `[Title](link)` is no box.
pub(super) fn checkbox(item: &str) -> Option<(&str, &str)> {
    let rest = item.strip_prefix("- [").or_else(|| item.strip_prefix("* ["))?;
    let (mark, rest) = rest.split_once(']')?;
    (mark.chars().count() <= 2 && rest.starts_with(char::is_whitespace)).then(|| (mark, rest.trim()))
}
