//! What the tests share.

pub mod app;
pub mod artifact;
pub mod scripted_worker;

pub use app::TestApp;
pub use scripted_worker::ScriptedWorker;

use tonic::Status;
use tonic_types::StatusExt as _;

/// `code reason`, the two things that programs tell errors apart by, such as `NotFound RUN_NOT_FOUND`.
pub fn kind(status: &Status) -> String {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    format!("{:?} {reason}", status.code())
}

/// A fact from an error's metadata.
pub fn fact(status: &Status, name: &str) -> String {
    status
        .get_details_error_info()
        .and_then(|info| info.metadata.get(name).cloned())
        .unwrap_or_default()
}
