//! Table `runs`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::runs};
use crate::domain::{preflight, run, skill::Decision};

/// A run as stored.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = runs)]
#[allow(missing_docs, reason = "the columns are the fields of the proto message Run, documented there")]
pub struct Run {
    pub id: Uuid,
    pub repository: String,
    pub feature_key: String,
    pub affinity_key: String,
    pub status: run::Status,
    pub phase: run::Phase,
    pub branch_name: String,
    pub pr_url: Option<String>,
    pub base_ref: Option<String>,
    pub task_id: Option<String>,
    pub codex_task_id: Option<String>,
    pub codex_queue: Option<String>,
    pub codex_volume: Option<String>,
    pub codex_shard_index: Option<i32>,
    pub hash_modulo: Option<i32>,
    pub codex_preflight_status: Option<preflight::Status>,
    pub codex_preflight_message: Option<String>,
    pub codex_logs_path: Option<String>,
    pub codex_patch_path: Option<String>,
    pub artifacts_path: String,
    pub force_phase: Option<run::Phase>,
    pub agent: run::Agent,
    pub requested_by: String,
    pub notes: String,
    pub idempotency_key: Option<String>,
    pub options: serde_json::Value,
    pub last_event_sequence: i64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    pub stage_decisions: Option<serde_json::Value>,
}

impl Run {
    /// The client's choices. A document that can't be read, which only a newer server could have written, counts as all defaults.
    pub fn options(&self) -> run::Options {
        serde_json::from_value(self.options.clone()).unwrap_or_default()
    }

    /// What was decided for each of its stages; empty for a run from before there were skills.
    pub fn decisions(&self) -> Vec<Decision> {
        let stored = self.stage_decisions.clone();
        stored.and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_default()
    }
}

/// Finds a run.
pub async fn find(connection: &mut Connection, id: Uuid) -> QueryResult<Option<Run>> {
    runs::table.find(id).select(Run::as_select()).first(connection).await.optional()
}

/// The run that was made with an idempotency key.
pub async fn by_idempotency_key(connection: &mut Connection, key: &str) -> QueryResult<Option<Run>> {
    runs::table
        .filter(runs::idempotency_key.eq(key))
        .select(Run::as_select())
        .first(connection)
        .await
        .optional()
}

/// The open run of a feature.
pub async fn open_of_feature(connection: &mut Connection, repository: &str, feature_key: &str) -> QueryResult<Option<Run>> {
    runs::table
        .filter(runs::repository.eq(repository).and(runs::feature_key.eq(feature_key)))
        .filter(runs::status.eq_any([run::Status::Pending, run::Status::Running, run::Status::Retrying]))
        .select(Run::as_select())
        .first(connection)
        .await
        .optional()
}

/// Which runs to list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Any when empty.
    pub statuses: Vec<run::Status>,
    /// Only of this repository.
    pub repository: Option<String>,
    /// Only of this feature.
    pub feature_key: Option<String>,
    /// Only on this queue.
    pub codex_queue: Option<String>,
    /// Only created at or after this time.
    pub created_after: Option<DateTime<Utc>>,
}

/// Lists runs, newest first, after the one that `after` names by creation time and id.
pub async fn list(connection: &mut Connection, filter: Filter, after: Option<(DateTime<Utc>, Uuid)>, limit: i64) -> QueryResult<Vec<Run>> {
    let mut query = runs::table.select(Run::as_select()).into_boxed();
    if !filter.statuses.is_empty() {
        query = query.filter(runs::status.eq_any(filter.statuses));
    }
    if let Some(repository) = filter.repository {
        query = query.filter(runs::repository.eq(repository));
    }
    if let Some(feature_key) = filter.feature_key {
        query = query.filter(runs::feature_key.eq(feature_key));
    }
    if let Some(queue) = filter.codex_queue {
        query = query.filter(runs::codex_queue.eq(queue));
    }
    if let Some(created_after) = filter.created_after {
        query = query.filter(runs::created_at.ge(created_after));
    }
    if let Some((created_at, id)) = after {
        // As one comparison of rows, which the index answers at any depth; two comparisons with OR read every page before.
        let before = diesel::dsl::sql::<diesel::sql_types::Bool>("(created_at, id) < (")
            .bind::<diesel::sql_types::Timestamptz, _>(created_at)
            .sql(", ")
            .bind::<diesel::sql_types::Uuid, _>(id)
            .sql(")");
        query = query.filter(before);
    }
    query
        .order((runs::created_at.desc(), runs::id.desc()))
        .limit(limit)
        .load(connection)
        .await
}

/// The time of the database: the only clock that counts.
pub async fn now(connection: &mut Connection) -> QueryResult<DateTime<Utc>> {
    diesel::select(diesel::dsl::sql::<diesel::sql_types::Timestamptz>("clock_timestamp()"))
        .get_result(connection)
        .await
}
