//! Whether a turn was done, and whose fault it is when it wasn't.
//!
//! Exit codes are the CLI's own from 41 on (41: no login, 42: no prompt, 52: its settings, 53: too many turns, 54: a tool, 55: a folder that is not
//! trusted), or the API's status by 256: 145 is 401, 173 is 429.

use moorline_proto::v1::FailureClass as Class;

use super::super::{
    Fault, Transcript, Turn,
    ending::{Program, code_to_judge, fault},
};
use crate::engine::Exit;

/// No login that the CLI could use.
const NO_LOGIN: i32 = 41;

/// Judges by how the container ended, by the events, and last by standard error, which also holds warnings.
pub(super) fn of(program: &str, exit: Exit, transcript: &Transcript, stderr: &str) -> Result<(), Fault> {
    let reason = reason(transcript, stderr);
    let called = Program {
        name: program,
        variable: "MOORLINE_GEMINI_PROGRAM",
    };
    let Some(code) = code_to_judge(called, exit, transcript, &reason)? else {
        return Ok(());
    };
    let silent = if transcript.events == 0 {
        "AGENT_NO_OUTPUT"
    } else {
        "AGENT_FAILED"
    };
    let (name, class) = known(code, &reason).unwrap_or((silent, Class::Job));
    Err(fault(name, class, format!("{program} ended with exit code {code}: {reason}")))
}

/// The agent's own words for what went wrong.
fn reason(transcript: &Transcript, stderr: &str) -> String {
    let of_turn = match &transcript.turn {
        Some(Turn::Failed(message)) => Some(message.clone()),
        _ => transcript.last_error.clone(),
    };
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty() && !is_chatter(line));
    // Errors come as one line before a stack trace.
    let error = || lines().find(|line| line.contains("rror")).map(str::to_owned);
    let last = || lines().next_back().map(str::to_owned);
    of_turn
        .or_else(error)
        .or_else(last)
        .unwrap_or_else(|| "it gave no reason".to_owned())
}

/// What it prints at every start, and the lines of its stack traces.
fn is_chatter(line: &str) -> bool {
    let starts = [
        "Warning:",
        "YOLO mode",
        "Ripgrep is not",
        "Security Warning:",
        "at ",
        "Attempt ",
        "status:",
        "}",
    ];
    starts.iter().any(|start| line.starts_with(start))
}

/// Failures that are the account's and not the job's.
fn known(code: i32, reason: &str) -> Option<(&'static str, Class)> {
    let words = reason.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    // The API's answer is in the message as it came, or not at all.
    let status = |status: u16| code == i32::from(status) % 256 || words.contains(&format!("\"code\":{status},"));
    match () {
        () if has(&["api key expired", "api_key_expired"]) => Some(("EXPIRED", Class::Login)),
        () if has(&["api_key_invalid", "api key not valid", "invalid_grant"]) => Some(("REVOKED", Class::Login)),
        () if code == NO_LOGIN => Some(("NOT_LOGGED_IN", Class::Login)),
        () if status(429) || has(&["resource_exhausted", "exhausted your", "exceeded your current quota"]) => {
            Some(("RATE_LIMITED", Class::Login))
        }
        () if status(401) || status(403) => Some(("REVOKED", Class::Login)),
        () => None,
    }
}
