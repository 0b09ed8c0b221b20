//! Table `credential_audits`: what was known of a run's credentials when they were last looked at.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::credential_audits};
use crate::domain::audit::{Audit, CodexStatus, GithubStatus};

/// An audit as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = credential_audits)]
pub struct Row {
    /// The run.
    pub run_id: Uuid,
    /// The agent's login; `None` when it wasn't looked at.
    pub codex_status: Option<CodexStatus>,
    /// The forge's token; `None` when it wasn't looked at.
    pub github_status: Option<GithubStatus>,
    /// Database time.
    pub checked_at: DateTime<Utc>,
    /// For people; no secret.
    pub notes: String,
}

/// Stores an audit.
pub async fn insert(connection: &mut Connection, run_id: Uuid, audit: &Audit) -> QueryResult<usize> {
    diesel::insert_into(credential_audits::table)
        .values((
            credential_audits::id.eq(Uuid::now_v7()),
            credential_audits::run_id.eq(run_id),
            credential_audits::codex_status.eq(audit.codex_status),
            credential_audits::github_status.eq(audit.github_status),
            credential_audits::notes.eq(&audit.notes),
        ))
        .execute(connection)
        .await
}

/// The latest audit of a run.
pub async fn latest_of_run(connection: &mut Connection, run_id: Uuid) -> QueryResult<Option<Row>> {
    credential_audits::table
        .filter(credential_audits::run_id.eq(run_id))
        .order(credential_audits::checked_at.desc())
        .select(Row::as_select())
        .first(connection)
        .await
        .optional()
}
