//! What was known of a run's credentials.

use moorline_proto::v1;

use super::{
    names::{FromWire as _, number},
    timestamp,
};
use crate::{
    db::credential_audits::Row,
    domain::audit::{Audit, CodexStatus, GithubStatus},
};

/// An audit as a message, without its time.
pub fn message(audit: Audit) -> v1::CredentialAudit {
    v1::CredentialAudit {
        codex_status: number::<_, v1::CodexCredentialStatus>(audit.codex_status),
        github_status: number::<_, v1::GithubCredentialStatus>(audit.github_status),
        checked_at: None,
        notes: audit.notes,
    }
}

/// A stored audit as a message.
pub fn stored(row: Row) -> v1::CredentialAudit {
    let audit = Audit {
        codex_status: row.codex_status,
        github_status: row.github_status,
        notes: row.notes,
    };
    v1::CredentialAudit {
        checked_at: Some(timestamp(row.checked_at)),
        ..message(audit)
    }
}

/// An audit out of a message.
pub fn audit(wire: v1::CredentialAudit) -> Audit {
    Audit {
        codex_status: CodexStatus::from_wire(wire.codex_status()),
        github_status: GithubStatus::from_wire(wire.github_status()),
        notes: wire.notes,
    }
}
