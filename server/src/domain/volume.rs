//! An auth volume: a persistent login, held by one worker at a time.

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::preflight::{self, Rung};

/// Where in its life an auth volume is. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Status {
    /// Nobody has logged in, or a renewal has begun.
    NeedsAuth,
    /// Its login passed a check within the freshness window.
    Ready,
    /// Its login failed a check.
    Error,
}

impl Status {
    /// What a login check makes of it. A login that is gone is nobody's: it needs somebody to log in, as on the first day.
    #[must_use]
    pub fn after_check(self, check: preflight::Status, rung: Option<Rung>) -> Self {
        match (self, check) {
            (_, preflight::Status::Passed) => Self::Ready,
            (_, preflight::Status::Failed) if rung == Some(Rung::NotLoggedIn) => Self::NeedsAuth,
            (Self::Ready, preflight::Status::Failed) => Self::Error,
            (same, preflight::Status::Failed | preflight::Status::Skipped) => same,
        }
    }
}

/// A volume as its worker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The proto message VolumeDiagnostics as a document.
    pub diagnostics: serde_json::Value,
    /// Keyed fingerprint of the stored login; empty when there is none that could be had twice.
    pub login_fingerprint: String,
    /// Jobs that may use the login at once, from 1, where the worker said so.
    pub capacity: Option<i32>,
}

/// Which agent a login is for. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Provider {
    /// Codex.
    Codex,
    /// Gemini.
    Gemini,
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn a_check_moves_a_volume_as_its_life_allows() {
        let mut lines = Vec::new();
        for status in Status::VARIANTS {
            for check in preflight::Status::VARIANTS {
                lines.push(format!("{status} + {check} → {}", status.after_check(*check, None)));
            }
            let gone = status.after_check(preflight::Status::Failed, Some(Rung::NotLoggedIn));
            lines.push(format!("{status} + not logged in → {gone}"));
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        needs_auth + passed → ready
        needs_auth + failed → needs_auth
        needs_auth + skipped → needs_auth
        needs_auth + not logged in → needs_auth
        ready + passed → ready
        ready + failed → error
        ready + skipped → ready
        ready + not logged in → needs_auth
        error + passed → ready
        error + failed → error
        error + skipped → error
        error + not logged in → needs_auth
        ");
    }
}
