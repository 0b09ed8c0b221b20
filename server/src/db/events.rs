//! Table `run_events`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::run_events};

/// An event as stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = run_events)]
pub struct Row {
    /// The run.
    pub run_id: Uuid,
    /// From 1, without gaps.
    pub sequence: i64,
    /// [`crate::domain::event::Event`] as JSON.
    pub body: serde_json::Value,
    /// Database time.
    pub created_at: DateTime<Utc>,
}

/// An event to insert. Its number comes from the run, whose row the caller has locked.
#[derive(Debug)]
pub struct New {
    /// The run.
    pub run_id: Uuid,
    /// The run's last number plus one.
    pub sequence: i64,
    /// The event's name.
    pub kind: &'static str,
    /// The event.
    pub body: serde_json::Value,
}

/// Events of a run after a number, in order.
pub async fn after(connection: &mut Connection, run_id: Uuid, sequence: i64, limit: i64) -> QueryResult<Vec<Row>> {
    run_events::table
        .filter(run_events::run_id.eq(run_id).and(run_events::sequence.gt(sequence)))
        .order(run_events::sequence)
        .limit(limit)
        .select(Row::as_select())
        .load(connection)
        .await
}
