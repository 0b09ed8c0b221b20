//! What a status of the server means for the line.

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{Error, session::End};

/// Reasons that no waiting mends: each asks for other settings, or another program.
const FOR_GOOD: [&str; 3] = ["UNKNOWN_QUEUE", "PROTOCOL_VERSION", "VOLUME_MISMATCH"];

/// Reasons that pass when another worker goes.
const HELD: [&str; 2] = ["WORKER_NAME_TAKEN", "VOLUME_HELD"];

/// The machine-readable reason of a status; empty when it has none.
pub(super) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The end of a session that was welcomed. The worker as it is was good enough then: a frame that the server can't read, or a fault of its
/// own, must not cost the jobs at work.
pub(super) fn after_welcome(status: &Status) -> End {
    let reason = reason(status);
    if status.code() == Code::InvalidArgument && !FOR_GOOD.contains(&reason.as_str()) {
        tracing::error!(%reason, message = %status.message(),
            "the server does not understand something that this worker sent: see whether both have the same version, and report this with the logs of both");
        return End::Lost {
            reason: format!("{:?}: {}", status.code(), status.message()),
            hint: status
                .get_details_retry_info()
                .and_then(|info| info.retry_delay)
                .filter(|hint| !hint.is_zero()),
        };
    }
    end(status)
}

/// The end of a session by a status. A name or a volume that another worker holds may become free, so those are tried again.
pub(super) fn end(status: &Status) -> End {
    let reason = reason(status);
    if FOR_GOOD.contains(&reason.as_str()) || status.code() == Code::InvalidArgument {
        let reason = if reason.is_empty() { "INVALID_ARGUMENT".to_owned() } else { reason };
        return End::Refused(Error::Refused {
            reason,
            message: status.message().to_owned(),
        });
    }
    // A server that hints at no wait at all is asked as often as one that hints at nothing.
    let hint = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let hint = hint.filter(|hint| !hint.is_zero());
    let held = HELD.contains(&reason.as_str());
    let name = if reason.is_empty() {
        format!("{:?}", status.code())
    } else {
        reason
    };
    let reason = format!("{name}: {}", status.message());
    match held {
        true => End::Held { reason, hint },
        false => End::Lost { reason, hint },
    }
}
