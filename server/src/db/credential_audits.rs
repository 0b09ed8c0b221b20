//! Table `credential_audits`: what was known of a run's credentials when they were last looked at.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::credential_audits};
use crate::domain::audit::{CodexStatus, GithubStatus};

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

/// An audit to insert.
#[derive(Debug, Insertable)]
#[diesel(table_name = credential_audits)]
#[allow(missing_docs, reason = "the same columns as Row")]
pub struct New<'a> {
    pub id: Uuid,
    pub run_id: Uuid,
    pub codex_status: Option<CodexStatus>,
    pub github_status: Option<GithubStatus>,
    pub notes: &'a str,
}

/// Stores an audit.
pub async fn insert(connection: &mut Connection, new: &New<'_>) -> QueryResult<usize> {
    diesel::insert_into(credential_audits::table).values(new).execute(connection).await
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
