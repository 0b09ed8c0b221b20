//! What the engine's answers mean.

use bollard::errors::Error as Docker;

use crate::engine::Error;

/// Tells an engine that doesn't answer from one that refuses.
pub(super) fn of(endpoint: &str, doing: &str, source: Docker) -> Error {
    match source {
        Docker::SocketNotFoundError(_)
        | Docker::HyperLegacyError { .. }
        | Docker::HyperResponseError { .. }
        | Docker::IOError { .. }
        | Docker::RequestTimeoutError => Error::Unreachable {
            endpoint: endpoint.to_owned(),
            source: Box::new(source),
        },
        source => other(doing, source),
    }
}

/// A failure that has no case of its own.
pub(super) fn other(doing: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Other {
        doing: doing.to_owned(),
        source: source.into(),
    }
}

/// The HTTP status that the engine answered with.
pub(super) fn status(error: &Docker) -> Option<u16> {
    match error {
        Docker::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Takes answers with these statuses as done: what was asked for is so already.
pub(super) fn unless(result: Result<(), Docker>, fine: &[u16]) -> Result<(), Docker> {
    match result {
        Err(error) if status(&error).is_some_and(|status| fine.contains(&status)) => Ok(()),
        result => result,
    }
}
