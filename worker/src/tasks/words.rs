//! Text cut into words and the few signs that matter between them.

/// What ends a sentence.
pub(super) const SENTENCE: &str = ".";
/// What stands between a statement and a remark on it: a dash with spaces around it.
pub(super) const SEPARATOR: &str = "|";

/// Lower-case words of ASCII letters, digits and inner dots; `+`, `-` and `,`; [`SENTENCE`] and [`SEPARATOR`].
pub(super) fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut before: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let inner_dot = c == '.' && !word.is_empty() && next.is_some_and(|next| next.is_ascii_alphanumeric());
        if c.is_ascii_alphanumeric() || inner_dot {
            word.push(c.to_ascii_lowercase());
        } else {
            if !word.is_empty() {
                found.push(std::mem::take(&mut word));
            }
            let spaced = [before, next].iter().all(|side| matches!(side, None | Some(' ' | '\t')));
            let sign = match c {
                '.' | ';' => SENTENCE,
                '-' | '–' | '—' if spaced => SEPARATOR,
                '-' | '–' | '—' => "-",
                '+' => "+",
                ',' | '/' | '&' => ",",
                _ => "",
            };
            if !sign.is_empty() {
                found.push(sign.to_owned());
            }
        }
        before = Some(c);
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

/// Whether a lower-case word is a task's id, such as `t001`.
pub(super) fn is_task_id(word: &str) -> bool {
    word.len() > 3
        && word
            .strip_prefix('t')
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}
