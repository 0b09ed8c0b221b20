//! The events of `gemini -o stream-json`, one JSON object a line.

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
        "init" => {
            transcript.thread_id = one_line(text(&event, "session_id"), ID);
            transcript.turn = None;
        }
        "tool_use" => return Some(tool(&event, repo)),
        "tool_result" if text(&event, "status") == "error" => {
            let said = event.pointer("/error/message").and_then(Value::as_str);
            return Some(one_line(said.unwrap_or("a tool failed"), ERROR));
        }
        // Not the end by itself.
        "error" => {
            let message = one_line(text(&event, "message"), ERROR);
            transcript.last_error = Some(message.clone());
            return Some(message);
        }
        "result" => result(&event, transcript),
        _ => (),
    }
    None
}

fn result(event: &Value, transcript: &mut Transcript) {
    let tokens = |name: &str| event.pointer(&format!("/stats/{name}")).and_then(Value::as_i64).unwrap_or(0).max(0);
    transcript.input_tokens = transcript.input_tokens.saturating_add(tokens("input_tokens"));
    transcript.output_tokens = transcript.output_tokens.saturating_add(tokens("output_tokens"));
    transcript.turn = Some(match text(event, "status") {
        "success" => Turn::Completed,
        _ => {
            let message = event.pointer("/error/message").and_then(Value::as_str);
            let message = message.map(|message| one_line(message, ERROR)).or(transcript.last_error.take());
            let message = message.unwrap_or_else(|| "it gave no reason".to_owned());
            transcript.last_error = Some(message.clone());
            Turn::Failed(message)
        }
    });
}

/// What a tool is about to do, in words like those for other agents.
fn tool(event: &Value, repo: &Path) -> String {
    let parameter = |name: &str| {
        event
            .pointer(&format!("/parameters/{name}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let path = || {
        let path = Path::new(parameter("file_path"));
        path.strip_prefix(repo).unwrap_or(path).display().to_string()
    };
    match text(event, "tool_name") {
        "run_shell_command" => format!("$ {}", parameter("command")),
        "write_file" => format!("changed: write {}", path()),
        "replace" => format!("changed: update {}", path()),
        other => one_line(other, ID),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
