//! Whether a turn was done, and whose fault it is when it wasn't.

use moorline_proto::v1::FailureClass as Class;

use super::super::{
    Fault, Transcript, Turn,
    ending::{Program, code_to_judge, fault},
};
use crate::engine::Exit;

/// Judges by how the container ended, by the events, and last by standard error, which also holds warnings.
pub(super) fn of(program: &str, exit: Exit, transcript: &Transcript, stderr: &str) -> Result<(), Fault> {
    let reason = reason(transcript, stderr);
    let called = Program {
        name: program,
        variable: "MOORLINE_CODEX_PROGRAM",
    };
    let Some(code) = code_to_judge(called, exit, transcript, &reason)? else {
        return Ok(());
    };
    if transcript.events == 0 {
        let detail = format!("{program} printed no events and ended with exit code {code}: {reason}");
        return Err(fault("AGENT_NO_OUTPUT", Class::Job, detail));
    }
    let (name, class) = known(&reason).unwrap_or(("AGENT_FAILED", Class::Job));
    Err(fault(name, class, format!("{program} ended with exit code {code}: {reason}")))
}

/// The agent's own words for what went wrong.
fn reason(transcript: &Transcript, stderr: &str) -> String {
    let of_turn = match &transcript.turn {
        Some(Turn::Failed(message)) => Some(message.clone()),
        _ => transcript.last_error.clone(),
    };
    // Errors at the start come as one line before a stack trace.
    let error = || stderr.lines().find(|line| line.starts_with("Error")).map(str::to_owned);
    let last = || stderr.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned);
    of_turn
        .or_else(error)
        .or_else(last)
        .unwrap_or_else(|| "it gave no reason".to_owned())
}

/// Failures that are the account's and not the job's.
fn known(reason: &str) -> Option<(&'static str, Class)> {
    let reason = reason.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| reason.contains(sign));
    let refresh = has(&["refresh token", "refresh_token"]);
    match () {
        () if refresh && has(&["expired"]) => Some(("EXPIRED", Class::Login)),
        // A refresh that only got no answer says nothing of the login.
        () if refresh && has(&["already used", "reused", "revoked", "invalid", "log out", "sign in again"]) => {
            Some(("REVOKED", Class::Login))
        }
        () if has(&["not logged in", "missing bearer", "you didn't provide an api key"]) => Some(("NOT_LOGGED_IN", Class::Login)),
        () if has(&[
            "401 unauthorized",
            "log out and sign in again",
            "token_revoked",
            "token_invalidated",
        ]) =>
        {
            Some(("REVOKED", Class::Login))
        }
        () if has(&["429 too many requests", "rate limit", "usage limit", "quota exceeded"]) => Some(("RATE_LIMITED", Class::Login)),
        () => None,
    }
}

/// What standard error says of a refresh that the issuer refused: the CLI goes on with the old token, as long as that is good.
pub(super) fn refresh_fault(stderr: &str) -> Option<Fault> {
    // The last such line is the one for people. Before its words stand a time and the names of modules.
    stderr.lines().rev().find_map(|line| {
        let said = &line[line.find("Failed to refresh token")?..];
        let (code, class) = known(said).filter(|(code, _)| matches!(*code, "REVOKED" | "EXPIRED"))?;
        Some(Fault {
            code,
            class,
            detail: said.trim().to_owned(),
            retry_after: None,
        })
    })
}
