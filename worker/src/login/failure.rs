//! A login that came to nothing, as the server is told.

use moorline_proto::v1::{Failure, FailureClass as Class};

use super::Error;
use crate::{engine, redact::chain, stage::failure};

impl Error {
    /// The answer to the command.
    pub(crate) fn failure(&self) -> Failure {
        let (code, class) = match self {
            Self::Denied { .. } => ("LOGIN_DENIED", Class::Login),
            Self::Expired { .. } => ("LOGIN_EXPIRED", Class::Login),
            Self::Stopped { .. } => ("LOGIN_STOPPED", Class::Login),
            Self::Empty | Self::Sealed(_) | Self::Refused { .. } => ("LOGIN_FAILED", Class::Login),
            Self::Folder { .. } | Self::StillRunning { .. } => ("LOGIN_FAILED", Class::Environment),
            Self::NotForgotten { .. } => ("LOGOUT_FAILED", Class::Environment),
            Self::Engine(error) => (code(error), Class::Environment),
        };
        failure(code, class, chain(self))
    }
}

/// What a command about a volume fails with where the engine or the volume's lock stops it.
pub(crate) fn code(error: &engine::Error) -> &'static str {
    match error {
        engine::Error::VolumeInUse { .. } => "VOLUME_IN_USE",
        engine::Error::Fenced { .. } => "FENCED",
        engine::Error::VolumeMissing { .. } => "VOLUME_MISSING",
        _ => "LOGIN_FAILED",
    }
}
