//! Whether a turn was done, and whose fault it is when it wasn't.

use chrono::Utc;
use moorline_proto::v1::FailureClass as Class;

use super::super::{Fault, Transcript, Turn, hint};
use crate::engine::Exit;

/// Judges by how the container ended, by the events, and last by standard error, which also holds warnings.
pub(super) fn of(program: &str, exit: Exit, transcript: &Transcript, stderr: &str) -> Result<(), Fault> {
    let fault = |code, class, detail: String| {
        let retry_after = (code == "RATE_LIMITED").then(|| hint::retry_after(&detail, Utc::now())).flatten();
        Err(Fault {
            code,
            class,
            detail,
            retry_after,
        })
    };
    let reason = || reason(transcript, stderr);
    match exit {
        Exit::Code(0) if transcript.turn == Some(Turn::Completed) => Ok(()),
        Exit::TimedOut => fault(
            "AGENT_TIMED_OUT",
            Class::Job,
            "the agent did not finish within its time limit: give the run a longer agent_timeout, or the phase fewer tasks".to_owned(),
        ),
        Exit::OutOfMemory => fault(
            "AGENT_OUT_OF_MEMORY",
            Class::Job,
            "the agent took more memory than a job may: raise MOORLINE_JOB_MEMORY_MIB on the worker".to_owned(),
        ),
        Exit::Code(code @ (126 | 127)) if transcript.events == 0 => fault(
            "AGENT_CLI_MISSING",
            Class::Environment,
            format!(
                "{program} can't be run in the job image (exit code {code}, {}): put it into the image, or set SPEC_AUTOMATION_JOB_IMAGE or \
                 MOORLINE_CODEX_PROGRAM",
                reason()
            ),
        ),
        Exit::Signal(signal) => fault(
            "AGENT_KILLED",
            Class::Job,
            format!(
                "the agent was ended by signal {signal} before it had finished: see who stops processes or containers on the worker's machine"
            ),
        ),
        Exit::Code(code) if transcript.events == 0 => fault(
            "AGENT_NO_OUTPUT",
            Class::Job,
            format!("{program} printed no events and ended with exit code {code}: {}", reason()),
        ),
        Exit::Code(code) => {
            let reason = reason();
            let (code_name, class) = known(&reason).unwrap_or(("AGENT_FAILED", Class::Job));
            fault(code_name, class, format!("{program} ended with exit code {code}: {reason}"))
        }
    }
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
