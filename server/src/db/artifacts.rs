//! Table `artifacts`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::artifacts};

/// An artifact as stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = artifacts)]
pub struct Row {
    /// UUIDv7.
    pub id: Uuid,
    /// The run.
    pub run_id: Uuid,
    /// The job that made it.
    pub job_id: Uuid,
    /// Such as `codex_patch`.
    pub kind: String,
    /// Path below the artifact root.
    pub path: String,
    /// Media type.
    pub content_type: String,
    /// Bytes.
    pub size_bytes: i64,
    /// SHA-256 in lower-case hex.
    pub digest: String,
    /// Database time.
    pub created_at: DateTime<Utc>,
}

/// An artifact to insert.
#[derive(Debug, Insertable)]
#[diesel(table_name = artifacts)]
#[allow(missing_docs, reason = "the same columns as Row")]
pub struct New<'a> {
    pub id: Uuid,
    pub run_id: Uuid,
    pub job_id: Uuid,
    pub kind: &'a str,
    pub path: &'a str,
    pub content_type: &'a str,
    pub size_bytes: i64,
    pub digest: &'a str,
}

/// Inserts an artifact; one that this job has stored before is left as it is and returns `None`.
pub async fn insert(connection: &mut Connection, new: &New<'_>) -> QueryResult<Option<Row>> {
    diesel::insert_into(artifacts::table)
        .values(new)
        .on_conflict((artifacts::job_id, artifacts::kind, artifacts::digest))
        .do_nothing()
        .returning(Row::as_returning())
        .get_result(connection)
        .await
        .optional()
}

/// The artifact of a job with this type and content.
pub async fn same(connection: &mut Connection, job_id: Uuid, kind: &str, digest: &str) -> QueryResult<Option<Row>> {
    artifacts::table
        .filter(
            artifacts::job_id
                .eq(job_id)
                .and(artifacts::kind.eq(kind))
                .and(artifacts::digest.eq(digest)),
        )
        .select(Row::as_select())
        .first(connection)
        .await
        .optional()
}

/// Finds an artifact.
pub async fn find(connection: &mut Connection, id: Uuid) -> QueryResult<Option<Row>> {
    artifacts::table
        .find(id)
        .select(Row::as_select())
        .first(connection)
        .await
        .optional()
}

/// Artifacts of a run, oldest first.
pub async fn of_run(connection: &mut Connection, run_id: Uuid) -> QueryResult<Vec<Row>> {
    artifacts::table
        .filter(artifacts::run_id.eq(run_id))
        .order((artifacts::created_at, artifacts::id))
        .select(Row::as_select())
        .load(connection)
        .await
}
