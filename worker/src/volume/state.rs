//! What the worker notes of a login beside it: `.moorline/state.json`. No secret is in it.

use chrono::{DateTime, Utc};
use moorline_proto::v1::PreflightRung as Rung;
use serde::{Deserialize, Serialize};

/// What is known of a login from its use. Each note is about one credential, and is for nothing once that has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The issuer would have none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// A real call worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<Proven>,
}

/// A credential that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// SHA-256 of the credential file, hex.
    pub digest: String,
    /// The rung's name, such as `REVOKED`.
    pub rung: String,
    /// The agent's words, without secrets.
    pub words: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A credential that worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// SHA-256 of the credential file, hex.
    pub digest: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl State {
    /// Reads it; what can't be read counts as nothing noted.
    pub fn read(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// The refusal of this very credential.
    pub fn refusal(&self, digest: &str) -> Option<(Rung, &str)> {
        let refused = self.refused.as_ref().filter(|refused| refused.digest == digest)?;
        let rung = Rung::from_str_name(&format!("PREFLIGHT_RUNG_{}", refused.rung))?;
        matches!(rung, Rung::Revoked | Rung::Expired | Rung::NotLoggedIn).then_some((rung, refused.words.as_str()))
    }
}
