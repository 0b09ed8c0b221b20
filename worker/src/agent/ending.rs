//! How an agent's container ended, where that alone says whose fault it is: the same for every CLI.

use chrono::Utc;
use moorline_proto::v1::FailureClass as Class;

use super::{Fault, Transcript, Turn, hint};
use crate::engine::Exit;

/// A CLI as its messages name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program<'a> {
    /// As it is called.
    pub(super) name: &'a str,
    /// The setting that says so.
    pub(super) variable: &'static str,
}

/// The exit code that is left for the CLI's own rules to judge; `None` where the turn was done.
pub(super) fn code_to_judge(program: Program<'_>, exit: Exit, transcript: &Transcript, reason: &str) -> Result<Option<i32>, Fault> {
    let Program { name, variable } = program;
    match exit {
        Exit::Code(0) if transcript.turn == Some(Turn::Completed) => Ok(None),
        Exit::TimedOut => Err(fault(
            "AGENT_TIMED_OUT",
            Class::Job,
            "the agent did not finish within its time limit: give the run a longer agent_timeout, or the phase fewer tasks".to_owned(),
        )),
        Exit::OutOfMemory => Err(fault(
            "AGENT_OUT_OF_MEMORY",
            Class::Job,
            "the agent took more memory than a job may: raise MOORLINE_JOB_MEMORY_MIB on the worker".to_owned(),
        )),
        Exit::Code(code @ (126 | 127)) if transcript.events == 0 => Err(fault(
            "AGENT_CLI_MISSING",
            Class::Environment,
            format!(
                "{name} can't be run in the job image (exit code {code}, {reason}): put it into the image, or set SPEC_AUTOMATION_JOB_IMAGE or \
                 {variable}"
            ),
        )),
        Exit::Signal(signal) => Err(fault(
            "AGENT_KILLED",
            Class::Job,
            format!(
                "the agent was ended by signal {signal} before it had finished: see who stops processes or containers on the worker's machine"
            ),
        )),
        Exit::Code(code) => Ok(Some(code)),
    }
}

/// A fault; for a rate limit, with how long the account is to be left alone, where its words say so.
pub(super) fn fault(code: &'static str, class: Class, detail: String) -> Fault {
    let retry_after = (code == "RATE_LIMITED").then(|| hint::retry_after(&detail, Utc::now())).flatten();
    Fault {
        code,
        class,
        detail,
        retry_after,
    }
}
