//! The output item that answers a request: a call of the agent's shell tool, or a final message.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    mode::Mode,
    prompt::{self, Assignment},
    request::Request,
    shell,
};

/// Longest wait for a command in one call that Codex grants.
const LONGEST_WAIT_MS: u64 = 30_000;

/// What the model says next.
pub(super) fn next_item(mode: Mode, request: &Request) -> Value {
    if let Some(output) = request.tool_outputs.last() {
        return after(output);
    }
    let assignment = request
        .prompt
        .as_deref()
        .and_then(prompt::parse)
        .filter(|assignment| !assignment.tasks.is_empty());
    match (mode, assignment) {
        (Mode::Say, _) => message("There is nothing that I would change."),
        (_, None) => message("Nothing to do: the prompt names no task list with open tasks (specs/<feature>/tasks.md, T001)."),
        (mode, Some(assignment)) => shell_call(request, &command(mode, &assignment)),
    }
}

/// What follows the output of a tool: more waiting, or the end.
fn after(output: &str) -> Value {
    let session = number_after(output, "running with session ID ").and_then(|id| id.parse::<u64>().ok());
    if let Some(session) = session {
        return call(
            "write_stdin",
            json!({"session_id": session, "chars": "", "yield_time_ms": LONGEST_WAIT_MS}),
        );
    }
    if let Some(cell) = number_after(output, "running with cell ID ") {
        return in_code_mode(call("wait", json!({"cell_id": cell, "yield_time_ms": LONGEST_WAIT_MS})));
    }
    match number_after(output, "exited with code ").as_deref() {
        Some("0") => message("Done: the tasks are worked and ticked."),
        _ => message(&format!("The command failed:\n{output}")),
    }
}

pub(super) fn command(mode: Mode, assignment: &Assignment) -> String {
    match mode {
        Mode::Commit => shell::commit(assignment),
        Mode::Rework => shell::rework(assignment),
        Mode::Leak => shell::leak(assignment),
        Mode::Slow(delay) => shell::slow(assignment, delay),
        _ => shell::work(assignment),
    }
}

/// A call of whichever shell tool Codex offers for its model and version.
fn shell_call(request: &Request, command: &str) -> Value {
    if request.offers("exec_command") {
        call("exec_command", json!({"cmd": command, "yield_time_ms": LONGEST_WAIT_MS}))
    } else if request.offers("exec") {
        let id = Uuid::now_v7().simple();
        in_code_mode(json!({
            "type": "custom_tool_call", "id": format!("ctc_{id}"), "call_id": format!("call_{id}"),
            "name": "exec", "input": script(command), "status": "completed",
        }))
    } else if request.offers("shell_command") {
        call("shell_command", json!({"command": command}))
    } else if request.offers("shell") {
        call("shell", json!({"command": ["sh", "-c", command]}))
    } else {
        message(&format!("There is no shell tool among {:?}.", request.tools))
    }
}

/// The same call for models that drive their tools by JavaScript (Codex's code mode).
fn script(command: &str) -> String {
    format!(
        "let step = await tools.exec_command({{cmd: {}, yield_time_ms: {LONGEST_WAIT_MS}}});\n\
         let output = step.output;\n\
         while (step.exit_code === undefined && step.session_id !== undefined) {{\n\
         \x20 step = await tools.write_stdin({{session_id: step.session_id, chars: \"\", yield_time_ms: {LONGEST_WAIT_MS}}});\n\
         \x20 output += step.output;\n\
         }}\n\
         text(`Process exited with code ${{step.exit_code}}\\n${{output}}`);\n",
        Value::from(command)
    )
}

fn in_code_mode(mut item: Value) -> Value {
    item["namespace"] = "functions".into();
    item
}

/// The digits after some words.
fn number_after(text: &str, words: &str) -> Option<String> {
    let digits: String = text.split(words).nth(1)?.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

fn call(name: &str, arguments: Value) -> Value {
    let id = Uuid::now_v7().simple();
    json!({
        "type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"),
        "name": name, "arguments": arguments.to_string(), "status": "completed",
    })
}

fn message(text: &str) -> Value {
    json!({
        "type": "message", "id": format!("msg_{}", Uuid::now_v7().simple()), "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    })
}
