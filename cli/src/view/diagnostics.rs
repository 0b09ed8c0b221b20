//! What a worker sees of a volume from outside.

use indicatif::HumanBytes;
use moorline_proto::v1;
use serde::Serialize;

use crate::{
    time,
    view::{set, shown},
};

/// See the module.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `VolumeDiagnostics`, described there")]
pub struct Diagnostics {
    pub exists: bool,
    pub driver: Option<String>,
    pub owner: Option<String>,
    pub mode: Option<String>,
    pub free_bytes: i64,
    pub quota_bytes: i64,
    pub credential_bytes: i64,
    pub session_bytes: i64,
    pub log_bytes: i64,
    pub other_bytes: i64,
    pub credential_mode: Option<String>,
    pub credential_modified_at: Option<String>,
    pub login_method: Option<String>,
    pub token_expires_at: Option<String>,
    pub snapshot_at: Option<String>,
    pub account_fingerprint: Option<String>,
    pub login_fingerprint: Option<String>,
    pub mended: Vec<String>,
}

impl From<v1::VolumeDiagnostics> for Diagnostics {
    fn from(seen: v1::VolumeDiagnostics) -> Self {
        Self {
            exists: seen.exists,
            driver: set(seen.driver),
            owner: set(seen.owner),
            mode: set(seen.mode),
            free_bytes: seen.free_bytes,
            quota_bytes: seen.quota_bytes,
            credential_bytes: seen.credential_bytes,
            session_bytes: seen.session_bytes,
            log_bytes: seen.log_bytes,
            other_bytes: seen.other_bytes,
            credential_mode: set(seen.credential_mode),
            credential_modified_at: time::rfc3339(seen.credential_modified_at.as_ref()),
            login_method: set(seen.login_method),
            token_expires_at: time::rfc3339(seen.token_expires_at.as_ref()),
            snapshot_at: time::rfc3339(seen.snapshot_at.as_ref()),
            account_fingerprint: set(seen.account_fingerprint),
            login_fingerprint: set(seen.login_fingerprint),
            mended: seen.mended,
        }
    }
}

impl Diagnostics {
    /// Names and values for a card.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        if !self.exists {
            return vec![("on disk", "missing".to_owned())];
        }
        let place = [&self.driver, &self.owner, &self.mode].map(|text| shown(text.as_ref()));
        let quota = (self.quota_bytes > 0).then(|| format!(", cleaned up above {}", bytes(self.quota_bytes)));
        vec![
            (
                "on disk",
                listed(place.into_iter().chain([format!("{} free", bytes(self.free_bytes))])),
            ),
            ("login made by", shown(self.login_method.as_ref())),
            ("credential", self.credential()),
            ("token expires", time::plain(self.token_expires_at.as_deref())),
            ("snapshot of", time::plain(self.snapshot_at.as_deref())),
            (
                "beside it",
                format!(
                    "{} sessions, {} logs, {} other{}",
                    bytes(self.session_bytes),
                    bytes(self.log_bytes),
                    bytes(self.other_bytes),
                    shown(quota)
                ),
            ),
            ("account fingerprint", shown(self.account_fingerprint.as_ref())),
            ("login fingerprint", shown(self.login_fingerprint.as_ref())),
            ("mended", self.mended.join(", ")),
        ]
    }

    fn credential(&self) -> String {
        if self.credential_bytes == 0 && self.credential_modified_at.is_none() {
            return "none".to_owned();
        }
        let written = self.credential_modified_at.as_deref();
        let written = written.map(|time| format!("written {}", time::plain(Some(time))));
        listed([bytes(self.credential_bytes), shown(self.credential_mode.as_ref()), shown(written)])
    }
}

fn listed(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// A number of bytes for people.
pub fn bytes(count: i64) -> String {
    HumanBytes(u64::try_from(count).unwrap_or_default()).to_string()
}
