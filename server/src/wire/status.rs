//! The only maker of [`Status`]: which code and which details an error has on the wire.

use std::{collections::HashMap, error::Error as _};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::error;

use crate::{
    domain::{self, error::Kind},
    flow::Error,
};

/// Domain of every `google.rpc.ErrorInfo` of ours.
pub const DOMAIN: &str = "moorline";

/// What a caller is told. What went wrong inside is logged here, once, with its whole chain, and stays inside.
pub fn status(error: Error) -> Status {
    reported(&error)
}

fn reported(error: &Error) -> Status {
    let (code, reason) = match error {
        Error::Refused(refusal) => return refused(refusal),
        Error::NameTaken(rival) => return refused(&rival.refusal()),
        Error::Together(error) => return reported(error),
        Error::Unavailable(_) | Error::Busy => (Code::Unavailable, "DATABASE_UNAVAILABLE"),
        Error::Database(_) if error.is_passing() || error.took_too_long() => (Code::Unavailable, "DATABASE_UNAVAILABLE"),
        Error::Artifacts(_) => (Code::Internal, "ARTIFACT_STORE"),
        Error::Database(_) | Error::Document(_) => (Code::Internal, "INTERNAL"),
    };
    error!(error = chain(error), "request failed");
    let message = match code {
        Code::Unavailable => "the server has no connection to its database: try again in a moment",
        _ => "the server failed inside: its log says why; try again, and report it if it lasts",
    };
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new()))
}

/// What a caller is told about a refusal.
pub fn refused(refusal: &domain::Error) -> Status {
    let metadata: HashMap<String, String> = refusal
        .metadata
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let mut details = ErrorDetails::with_error_info(refusal.reason, DOMAIN, metadata);
    if let Some(delay) = refusal.retry_after {
        details.set_retry_info(Some(delay));
    }
    let code = match refusal.kind {
        Kind::Invalid(field) => {
            details.add_bad_request_violation(field, refusal.message.as_ref());
            Code::InvalidArgument
        }
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Fenced => Code::Aborted,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Leaving => Code::Unavailable,
        Kind::Unsupported => Code::Unimplemented,
    };
    Status::with_error_details(code, refusal.message.as_ref(), details)
}

/// What a stream ends with when this server shuts down before the stream's own end.
pub fn shutting_down() -> Status {
    let details = ErrorDetails::with_error_info("SHUTTING_DOWN", DOMAIN, HashMap::new());
    Status::with_error_details(
        Code::Unavailable,
        "this server is shutting down: call again, and go on after what you have",
        details,
    )
}

/// What ends the work for a client that has left; nobody reads it.
pub fn client_gone() -> Status {
    Status::cancelled("the client has left")
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
