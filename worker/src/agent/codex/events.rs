//! The events of `codex exec --json`, one JSON object a line.

use std::path::Path;

use serde_json::Value;

use super::super::{Transcript, Turn};
use crate::redact::one_line;

/// Longest id, in characters: a real one has 36.
const ID: usize = 128;
/// Longest text of an error that is kept, in characters. People see less of it.
const ERROR: usize = 8000;

/// Takes a line in. What isn't JSON, or isn't known, is passed over: newer versions say more. The agent may print what it likes: what is
/// kept has no control characters and a bounded length.
pub(super) fn read(line: &str, repo: &Path, transcript: &mut Transcript) -> Option<String> {
    let event: Value = serde_json::from_str(line.trim()).ok()?;
    let kind = event.get("type")?.as_str()?;
    transcript.events += 1;
    match kind {
        "thread.started" => transcript.thread_id = one_line(text(&event, "thread_id"), ID),
        "turn.started" => transcript.turn = None,
        "turn.completed" => {
            let tokens = |name: &str| event.pointer(&format!("/usage/{name}")).and_then(Value::as_i64).unwrap_or(0).max(0);
            transcript.input_tokens = transcript.input_tokens.saturating_add(tokens("input_tokens"));
            transcript.output_tokens = transcript.output_tokens.saturating_add(tokens("output_tokens"));
            transcript.turn = Some(Turn::Completed);
        }
        "turn.failed" => {
            let message = event.pointer("/error/message").and_then(Value::as_str);
            let message = one_line(message.unwrap_or("it gave no reason"), ERROR);
            transcript.turn = Some(Turn::Failed(message.clone()));
            transcript.last_error = Some(message);
        }
        "error" => {
            let message = one_line(text(&event, "message"), ERROR);
            transcript.last_error = Some(message.clone());
            return Some(message);
        }
        "item.started" | "item.completed" => return item(event.get("item")?, kind == "item.completed", repo),
        _ => (),
    }
    None
}

fn item(item: &Value, completed: bool, repo: &Path) -> Option<String> {
    match (text(item, "type"), completed) {
        ("command_execution", false) => Some(format!("$ {}", bare_command(text(item, "command")))),
        ("command_execution", true) => match item.get("exit_code").and_then(Value::as_i64) {
            Some(0) => None,
            Some(code) => Some(format!("exit code {code} from {}", bare_command(text(item, "command")))),
            None => None,
        },
        ("file_change", true) => changes(item, repo),
        // Its only use is to tell of what isn't an error: a fall-back, an unknown model.
        ("error", true) => Some(text(item, "message").to_owned()),
        _ => None,
    }
}

/// The command without the shell that Codex wraps it in.
fn bare_command(command: &str) -> &str {
    let inner = command.split_once(" -lc ").map_or(command, |(_, inner)| inner);
    let quoted = |quote| inner.strip_prefix(quote).and_then(|inner| inner.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(inner)
}

fn changes(item: &Value, repo: &Path) -> Option<String> {
    let verb = match text(item, "status") {
        "failed" => "could not change",
        _ => "changed",
    };
    let changes = item.get("changes")?.as_array()?.iter().map(|change| {
        let path = Path::new(text(change, "path"));
        let path = path.strip_prefix(repo).unwrap_or(path);
        format!("{} {}", text(change, "kind"), path.display())
    });
    let changes: Vec<String> = changes.collect();
    Some(format!("{verb}: {}", changes.join(", ")))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
