//! Table `preflights`: every login check that was ever made.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use sha2::{Digest as _, Sha256};
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

impl Row {
    /// The check, without what only its worker knew.
    pub fn check(&self) -> Preflight {
        Preflight {
            status: self.status,
            rung: self.rung,
            message: self.message.clone(),
            exit_code: self.exit_code,
            duration_ms: self.duration_ms,
            checked_at: None,
            retry_after_ms: None,
            volume: self.volume_name.clone(),
            queue: self.queue.clone(),
            worker_name: self.worker_name.clone(),
        }
    }
}

/// Stores a check, unless it is stored already, and returns whether it was new. Its worker's own word for when it was made tells it apart from
/// others of that worker, and says nothing about time, since clocks of workers are wrong.
pub async fn insert(connection: &mut Connection, check: &Preflight, run_id: Option<Uuid>, now: DateTime<Utc>) -> QueryResult<bool> {
    let id = check.checked_at.map_or_else(Uuid::now_v7, |said| {
        let digest = Sha256::digest(format!("{}|{}|{}", check.volume, check.worker_name, said.timestamp_micros()));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    });
    let new = Row {
        id,
        volume_name: check.volume.clone(),
        queue: check.queue.clone(),
        worker_name: check.worker_name.clone(),
        run_id,
        status: check.status,
        rung: check.rung,
        message: check.message.clone(),
        exit_code: check.exit_code,
        duration_ms: check.duration_ms,
        checked_at: now,
    };
    let inserted = diesel::insert_into(preflights::table)
        .values(&new)
        .on_conflict(preflights::id)
        .do_nothing()
        .execute(connection)
        .await?;
    if inserted == 0 && run_id.is_some() {
        let known = preflights::table.find(id).filter(preflights::run_id.is_null());
        diesel::update(known).set(preflights::run_id.eq(run_id)).execute(connection).await?;
    }
    Ok(inserted == 1)
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

/// The latest check of a volume that was made by then.
pub async fn of_volume_until(connection: &mut Connection, volume: &str, until: DateTime<Utc>) -> QueryResult<Option<Row>> {
    preflights::table
        .filter(preflights::volume_name.eq(volume).and(preflights::checked_at.le(until)))
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

/// Which checks to list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Only of this volume.
    pub volume: Option<String>,
    /// Only of this run.
    pub run_id: Option<Uuid>,
    /// Only with this result.
    pub status: Option<preflight::Status>,
}

/// Lists checks, newest first, after the one that `after` names by its time and id.
pub async fn list(connection: &mut Connection, filter: &Filter, after: Option<(DateTime<Utc>, Uuid)>, limit: i64) -> QueryResult<Vec<Row>> {
    let mut query = preflights::table.select(Row::as_select()).into_boxed();
    if let Some(volume) = &filter.volume {
        query = query.filter(preflights::volume_name.eq(volume));
    }
    if let Some(run_id) = filter.run_id {
        query = query.filter(preflights::run_id.eq(run_id));
    }
    if let Some(status) = filter.status {
        query = query.filter(preflights::status.eq(status));
    }
    if let Some((checked_at, id)) = after {
        let before = diesel::dsl::sql::<diesel::sql_types::Bool>("(checked_at, id) < (")
            .bind::<diesel::sql_types::Timestamptz, _>(checked_at)
            .sql(", ")
            .bind::<diesel::sql_types::Uuid, _>(id)
            .sql(")");
        query = query.filter(before);
    }
    query
        .order((preflights::checked_at.desc(), preflights::id.desc()))
        .limit(limit)
        .load(connection)
        .await
}
