//! What a gRPC status means to the user: who is at fault, and what to do next.

use std::error::Error as _;

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{ErrorInfo, StatusExt};

use crate::{
    args::Global,
    error::report::{FieldViolation, Report},
    exit::Exit,
};

/// Whether the same call may work a moment later: the line was lost, or the server is going away.
pub fn is_transient(status: &Status) -> bool {
    // What the server itself answers has no source; what the transport makes up has one.
    let by_transport = status.source().is_some();
    by_transport
        || matches!(
            status.code(),
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Aborted | Code::DeadlineExceeded
        )
}

/// What to tell the user about a status.
pub fn report(status: &Status, global: &Global) -> Report {
    let (url, timeout) = (&global.server, humantime::format_duration(global.timeout));
    if has_cause::<TimeoutExpired>(status) || status.code() == Code::DeadlineExceeded {
        return Report::new(
            "timeout",
            format!("the server at {url} did not answer within {timeout}"),
            Exit::Unreachable,
        )
        .next("try again, or allow more time with --timeout");
    }
    if status.source().is_some() {
        return Report::new(
            "unreachable",
            format!("can't reach the server at {url}: {}", deepest_cause(status)),
            Exit::Unreachable,
        )
        .next("start a server on this machine with `moorline dev`, or name another with --server or MOORLINE_SERVER");
    }

    let info = status.get_details_error_info();
    let mut report = Report::new(&code_name(status.code()), status.message(), Exit::of_code(status.code()));
    if report.message.is_empty() {
        report.message = status.code().description().to_owned();
    }
    // A message that names a command has said what to do.
    if !status.message().contains("moorline ") {
        report.next = next(status.code(), info.as_ref());
    }
    let wrong = status
        .get_details_bad_request()
        .map(|request| request.field_violations)
        .unwrap_or_default();
    report.field_violations = wrong
        .into_iter()
        .map(|wrong| FieldViolation {
            field: wrong.field,
            description: wrong.description,
        })
        .collect();
    if let Some(info) = info {
        report.reason = Some(info.reason).filter(|reason| !reason.is_empty());
        report.metadata = info.metadata.into_iter().collect();
    }
    report
}

/// The commands that lead on; the server's own message says the rest.
fn next(code: Code, info: Option<&ErrorInfo>) -> Option<String> {
    let reason = info.map_or("", |info| info.reason.as_str());
    let run_id = info.and_then(|info| info.metadata.get("run_id")).map_or("RUN_ID", String::as_str);
    let next = match (reason, code) {
        ("RUN_ALREADY_OPEN", _) => format!("follow it with `moorline run watch {run_id}`, or end it with `moorline run cancel {run_id}`"),
        ("IDEMPOTENCY_KEY_REUSED", _) => "choose another --idempotency-key, or repeat the first request unchanged".to_owned(),
        ("RUN_ENDED", _) => format!("see how it ended with `moorline run get {run_id}`"),
        ("RUN_NOT_FAILED", _) => format!("see where it is with `moorline run get {run_id}`"),
        ("RUN_NOT_FOUND", _) => "list the runs with `moorline run list`".to_owned(),
        ("ARTIFACT_NOT_FOUND", _) => "list a run's artifacts with `moorline run artifacts RUN_ID`".to_owned(),
        ("SHARD_NOT_FOUND" | "UNKNOWN_QUEUE" | "SHARD_UNAVAILABLE", _) => "list the shards with `moorline shard list`".to_owned(),
        ("VOLUME_NOT_FOUND", _) => "list the volumes with `moorline volume list`".to_owned(),
        ("VOLUME_NOT_HELD", _) => "start the shard's worker; `moorline worker list` shows which are connected".to_owned(),
        ("VOLUME_IN_USE", _) => "try again when its job has ended: `moorline shard watch` shows when".to_owned(),
        ("RUN_IN_SUBMIT", _) => format!("see how far its agent is with `moorline run watch {run_id}`"),
        ("LOGIN_DENIED" | "LOGIN_EXPIRED" | "LOGIN_FAILED", _) => {
            "begin again with `moorline volume login VOLUME`; with --api-key-stdin it takes a key instead".to_owned()
        }
        ("WORKER_AWAY" | "WORKER_NOT_FOUND" | "WORKER_REFUSED" | "WORKER_SILENT", _) => {
            "list the workers with `moorline worker list`".to_owned()
        }
        // The message says itself what to leave out.
        ("UNSUPPORTED", _) => return None,
        ("SHUTTING_DOWN", _) => "call again".to_owned(),
        (_, Code::Unimplemented) => "use a server and a moorline of the same version".to_owned(),
        (_, Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::Cancelled) => "try again in a moment".to_owned(),
        (_, Code::Internal | Code::Unknown | Code::DataLoss) => "look at the server's log".to_owned(),
        _ => return None,
    };
    Some(next)
}

fn has_cause<E: std::error::Error + 'static>(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<E>())
}

/// The innermost cause says most, such as "Connection refused".
fn deepest_cause(status: &Status) -> String {
    causes(status)
        .last()
        .map(ToString::to_string)
        .unwrap_or_else(|| status.message().to_owned())
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(status.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source())
}

/// `AlreadyExists` becomes `already_exists`.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}
