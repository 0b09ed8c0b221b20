//! What the tests share.

pub mod app;
pub mod artifact;
pub mod fleet;
pub mod scripted_worker;

pub use app::TestApp;
pub use fleet::Fleet;
pub use scripted_worker::ScriptedWorker;

use tonic::Status;
use tonic_types::StatusExt as _;

/// A program that a test needs: the one that a variable names, else the one on `PATH`. `cargo xtask test` installs it and sets the variable.
pub fn program(variable: &str, default: &str) -> String {
    std::env::var(variable)
        .ok()
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| default.to_owned())
}

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
