//! A login that came to nothing, as the server is told.

use moorline_proto::v1::{Failure, FailureClass as Class};

use super::Error;
use crate::{engine, redact::chain, stage::failure};

impl Error {
    /// The answer to the command.
    pub(crate) fn failure(&self) -> Failure {
        let (code, class) = match self {
            Self::NoDevice { .. } => ("UNSUPPORTED", Class::Login),
            Self::Denied { .. } => ("LOGIN_DENIED", Class::Login),
            Self::Expired { .. } => ("LOGIN_EXPIRED", Class::Login),
            Self::Stopped { .. } => ("LOGIN_STOPPED", Class::Login),
            Self::Empty | Self::Sealed(_) | Self::Refused { .. } => ("LOGIN_FAILED", Class::Login),
            Self::Folder { .. } | Self::StillRunning { .. } => ("LOGIN_FAILED", Class::Environment),
            Self::NotForgotten { .. } => ("LOGOUT_FAILED", Class::Environment),
            Self::Engine(error) => (code(error).unwrap_or("LOGIN_FAILED"), Class::Environment),
        };
        failure(code, class, chain(self))
    }
}

/// What a command about a volume fails with where the volume is not to be had, whatever the command.
pub(crate) fn code(error: &engine::Error) -> Option<&'static str> {
    match error {
        engine::Error::VolumeInUse { .. } => Some("VOLUME_IN_USE"),
        engine::Error::Fenced { .. } => Some("FENCED"),
        engine::Error::VolumeMissing { .. } => Some("VOLUME_MISSING"),
        _ => None,
    }
}
