//! Login checks and what is known of volumes.

use moorline_proto::v1;
use serde::Serialize;

use crate::{names, time, view::set};

/// A login check.
#[derive(Debug, Serialize)]
pub struct Preflight {
    /// `passed`, `failed` or `skipped`.
    pub status: Option<String>,
    /// What exactly was found, such as `NOT_LOGGED_IN`.
    pub rung: Option<String>,
    /// One line; on failure with the remedy.
    pub message: Option<String>,
    /// Exit code of the CLI.
    pub exit_code: Option<i32>,
    /// When it ended.
    pub checked_at: Option<String>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// The volume.
    pub volume: Option<String>,
    /// The shard's queue.
    pub queue: Option<String>,
    /// The worker that checked.
    pub worker_name: Option<String>,
}

impl From<v1::Preflight> for Preflight {
    fn from(check: v1::Preflight) -> Self {
        Self {
            status: names::of::<v1::PreflightStatus>(check.status),
            rung: names::of::<v1::PreflightRung>(check.rung),
            message: set(check.message),
            exit_code: check.exit_code,
            checked_at: time::rfc3339(check.checked_at.as_ref()),
            duration_seconds: check.duration.as_ref().map(time::seconds),
            volume: set(check.volume),
            queue: set(check.queue),
            worker_name: set(check.worker_name),
        }
    }
}

/// What a worker sees of a volume from outside.
#[derive(Debug, Serialize)]
pub struct Diagnostics {
    /// Whether it exists.
    pub exists: bool,
    /// The engine's volume driver.
    pub driver: Option<String>,
    /// Owner of its root, `uid:gid`.
    pub owner: Option<String>,
    /// Permissions of its root, octal.
    pub mode: Option<String>,
    /// Bytes of credential files.
    pub credential_bytes: i64,
    /// Bytes of everything else.
    pub other_bytes: i64,
    /// Permissions of the credential file, octal.
    pub credential_mode: Option<String>,
    /// When the credential was last rewritten.
    pub credential_modified_at: Option<String>,
    /// How the login was made.
    pub login_method: Option<String>,
    /// When the stored token expires.
    pub token_expires_at: Option<String>,
}

impl From<v1::VolumeDiagnostics> for Diagnostics {
    fn from(seen: v1::VolumeDiagnostics) -> Self {
        Self {
            exists: seen.exists,
            driver: set(seen.driver),
            owner: set(seen.owner),
            mode: set(seen.mode),
            credential_bytes: seen.credential_bytes,
            other_bytes: seen.other_bytes,
            credential_mode: set(seen.credential_mode),
            credential_modified_at: time::rfc3339(seen.credential_modified_at.as_ref()),
            login_method: set(seen.login_method),
            token_expires_at: time::rfc3339(seen.token_expires_at.as_ref()),
        }
    }
}
