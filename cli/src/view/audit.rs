//! What was known of a run's credentials before they were needed.

use moorline_proto::v1;
use serde::Serialize;

use crate::{names, table::one_line, time, view::set};

/// See the module.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `CredentialAudit`, described there")]
pub struct CredentialAudit {
    pub codex_status: Option<String>,
    pub github_status: Option<String>,
    pub checked_at: Option<String>,
    pub notes: Option<String>,
}

impl From<v1::CredentialAudit> for CredentialAudit {
    fn from(audit: v1::CredentialAudit) -> Self {
        Self {
            codex_status: names::of::<v1::CodexCredentialStatus>(audit.codex_status),
            github_status: names::of::<v1::GithubCredentialStatus>(audit.github_status),
            checked_at: time::rfc3339(audit.checked_at.as_ref()),
            notes: set(audit.notes),
        }
    }
}

impl CredentialAudit {
    /// One line for people.
    pub fn line(&self) -> String {
        let told = |status: &Option<String>| status.clone().unwrap_or_else(|| "not looked at".to_owned());
        let notes = self.notes.as_ref().map(|notes| format!(": {notes}")).unwrap_or_default();
        one_line(&format!(
            "codex {}, github {}{notes}",
            told(&self.codex_status),
            told(&self.github_status)
        ))
    }
}
