//! Messages that are stored whole, as JSON documents.

use moorline_proto::v1;
use serde::{Deserialize, Serialize};

use super::{time, timestamp};
use crate::domain::volume::Seen;

/// [`v1::VolumeDiagnostics`] as stored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Diagnostics {
    volume: String,
    exists: bool,
    driver: String,
    owner: String,
    mode: String,
    credential_bytes: i64,
    other_bytes: i64,
    credential_mode: String,
    credential_modified_at: Option<chrono::DateTime<chrono::Utc>>,
    login_method: String,
    token_expires_at: Option<chrono::DateTime<chrono::Utc>>,
    session_bytes: i64,
    log_bytes: i64,
    free_bytes: i64,
    quota_bytes: i64,
    snapshot_at: Option<chrono::DateTime<chrono::Utc>>,
    account_fingerprint: String,
    login_fingerprint: String,
    mended: Vec<String>,
}

/// What a worker sees of a volume, as a document.
pub fn diagnostics(wire: v1::VolumeDiagnostics) -> serde_json::Value {
    let document = Diagnostics {
        credential_modified_at: time(wire.credential_modified_at.as_ref()),
        token_expires_at: time(wire.token_expires_at.as_ref()),
        snapshot_at: time(wire.snapshot_at.as_ref()),
        volume: wire.volume,
        exists: wire.exists,
        driver: wire.driver,
        owner: wire.owner,
        mode: wire.mode,
        credential_bytes: wire.credential_bytes,
        other_bytes: wire.other_bytes,
        credential_mode: wire.credential_mode,
        login_method: wire.login_method,
        session_bytes: wire.session_bytes,
        log_bytes: wire.log_bytes,
        free_bytes: wire.free_bytes,
        quota_bytes: wire.quota_bytes,
        account_fingerprint: wire.account_fingerprint,
        login_fingerprint: wire.login_fingerprint,
        mended: wire.mended,
    };
    // The document holds nothing that JSON can't: no map with other keys than text, no infinite number.
    serde_json::to_value(document).unwrap_or_default()
}

/// What a worker sees of its volume.
pub fn seen(wire: v1::VolumeDiagnostics, capacity: Option<i32>) -> Seen {
    Seen {
        login_fingerprint: wire.login_fingerprint.clone(),
        capacity: capacity.map(|capacity| capacity.max(1)),
        diagnostics: diagnostics(wire),
    }
}

/// The message that a document was made of.
pub fn diagnostics_message(document: serde_json::Value) -> v1::VolumeDiagnostics {
    let document: Diagnostics = serde_json::from_value(document).unwrap_or_default();
    v1::VolumeDiagnostics {
        credential_modified_at: document.credential_modified_at.map(timestamp),
        token_expires_at: document.token_expires_at.map(timestamp),
        snapshot_at: document.snapshot_at.map(timestamp),
        volume: document.volume,
        exists: document.exists,
        driver: document.driver,
        owner: document.owner,
        mode: document.mode,
        credential_bytes: document.credential_bytes,
        other_bytes: document.other_bytes,
        credential_mode: document.credential_mode,
        login_method: document.login_method,
        session_bytes: document.session_bytes,
        log_bytes: document.log_bytes,
        free_bytes: document.free_bytes,
        quota_bytes: document.quota_bytes,
        account_fingerprint: document.account_fingerprint,
        login_fingerprint: document.login_fingerprint,
        mended: document.mended,
    }
}

/// What a worker has checked at its start, as a document.
pub fn profile(wire: v1::StartupProfile) -> serde_json::Value {
    let checks: Vec<_> = wire
        .checks
        .into_iter()
        .map(|check| serde_json::json!({ "name": check.name, "ok": check.ok, "detail": check.detail }))
        .collect();
    serde_json::json!({ "checks": checks, "engine": wire.engine, "engine_version": wire.engine_version })
}
