//! Table `preflights`: every login check that was ever made.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::preflights};
use crate::domain::preflight::{self, Preflight};

/// A check as stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = preflights)]
#[allow(
    missing_docs,
    reason = "the columns are the fields of the proto message Preflight, documented there"
)]
pub struct Row {
    pub id: Uuid,
    pub volume_name: String,
    pub queue: String,
    pub worker_name: String,
    pub run_id: Option<Uuid>,
    pub status: preflight::Status,
    pub rung: Option<preflight::Rung>,
    pub message: String,
    pub exit_code: Option<i32>,
    pub duration_ms: i64,
    pub checked_at: DateTime<Utc>,
}

/// Stores a check, made for a run or by the worker itself.
pub async fn insert(connection: &mut Connection, check: &Preflight, run_id: Option<Uuid>, checked_at: DateTime<Utc>) -> QueryResult<usize> {
    let row = Row {
        id: Uuid::now_v7(),
        volume_name: check.volume.clone(),
        queue: check.queue.clone(),
        worker_name: check.worker_name.clone(),
        run_id,
        status: check.status,
        rung: check.rung,
        message: check.message.clone(),
        exit_code: check.exit_code,
        duration_ms: check.duration_ms,
        checked_at,
    };
    diesel::insert_into(preflights::table).values(row).execute(connection).await
}

/// Stores a check that a worker has made by itself, unless it is stored already. Returns whether it was new.
pub async fn insert_new(connection: &mut Connection, check: &Preflight, checked_at: DateTime<Utc>) -> QueryResult<bool> {
    let same = preflights::table
        .filter(
            preflights::volume_name
                .eq(&check.volume)
                .and(preflights::worker_name.eq(&check.worker_name)),
        )
        .filter(preflights::checked_at.eq(checked_at));
    if diesel::select(diesel::dsl::exists(same)).get_result(connection).await? {
        return Ok(false);
    }
    insert(connection, check, None, checked_at).await.map(|_| true)
}

/// The latest check that was made for a run.
pub async fn latest_of_run(connection: &mut Connection, run_id: Uuid) -> QueryResult<Option<Row>> {
    preflights::table
        .filter(preflights::run_id.eq(run_id))
        .order(preflights::checked_at.desc())
        .select(Row::as_select())
        .first(connection)
        .await
        .optional()
}

/// The latest check of a volume.
pub async fn latest_of_volume(connection: &mut Connection, volume: &str) -> QueryResult<Option<Row>> {
    preflights::table
        .filter(preflights::volume_name.eq(volume))
        .order(preflights::checked_at.desc())
        .select(Row::as_select())
        .first(connection)
        .await
        .optional()
}
