//! What the server is told of a volume.

use chrono::{DateTime, Utc};
use moorline_proto::v1::VolumeDiagnostics;
use prost_types::Timestamp;

use super::{Place, Probe};
use crate::{agent::Login, config::Config};

impl Place {
    /// What the engine alone knows.
    pub fn diagnostics(&self) -> VolumeDiagnostics {
        VolumeDiagnostics {
            volume: self.volume.clone(),
            exists: true,
            driver: self.facts.driver.clone(),
            ..VolumeDiagnostics::default()
        }
    }
}

impl Probe {
    /// Adds what was seen inside. No part of a credential is in it.
    pub fn describe(&self, login: &Login, config: &Config, mut diagnostics: VolumeDiagnostics) -> VolumeDiagnostics {
        diagnostics.owner = self.owner.clone().unwrap_or_default();
        diagnostics.mode = self.mode.clone().unwrap_or_default();
        if let Some(credential) = &self.credential {
            diagnostics.credential_bytes = credential.bytes;
            diagnostics.credential_mode = credential.mode.clone();
            diagnostics.credential_modified_at = credential.modified_at.map(timestamp);
        }
        diagnostics.session_bytes = self.sessions;
        diagnostics.log_bytes = self.logs;
        let classed = diagnostics.credential_bytes + self.sessions + self.logs + self.own;
        diagnostics.other_bytes = self.bytes.unwrap_or(0).saturating_sub(classed).max(0);
        diagnostics.free_bytes = self.free.unwrap_or(0);
        diagnostics.quota_bytes = i64::try_from(config.volume_quota_bytes).unwrap_or(i64::MAX);
        diagnostics.snapshot_at = self.snapshot.as_ref().and_then(|(at, _)| at.map(timestamp));
        diagnostics.mended.extend(self.mended.iter().cloned());
        diagnostics.login_method = login.method.to_owned();
        diagnostics.token_expires_at = login.expires_at.map(timestamp);
        diagnostics
    }
}

/// A time in the protocol's form.
pub(crate) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0),
    }
}
