//! Table `jobs`: the queue. Its leases and its fence are in a file of their own.

mod lease;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Text},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

pub use lease::{
    Claimant, accept, claim, find_leased, lock_leased, lock_running, rehome, release_expired_offers, release_offers, running_of_instance,
    running_of_worker, running_without_lease,
};

use super::{Connection, schema::jobs};
use crate::domain::{
    job::{self, Failure, Payload},
    stage::{Outcome, Stage},
};

/// A job as stored.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable, Identifiable)]
#[diesel(table_name = jobs)]
#[allow(missing_docs, reason = "the columns are the fields of the proto message Job, documented there")]
pub struct Job {
    pub id: Uuid,
    pub run_id: Uuid,
    pub stage: Stage,
    pub attempt: i32,
    pub queue: String,
    pub status: job::Status,
    pub hold_reason: Option<job::HoldReason>,
    pub priority: i32,
    pub not_before: DateTime<Utc>,
    pub lease_instance_id: Option<Uuid>,
    pub lease_token: Option<i64>,
    pub lease_expires_at: Option<DateTime<Utc>>,
    pub worker_name: Option<String>,
    pub last_report_sequence: i64,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub cancel_reason: Option<String>,
    pub payload: serde_json::Value,
    pub result: Option<serde_json::Value>,
    pub failure: Option<serde_json::Value>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub fair_rank: i64,
    pub expires_at: Option<DateTime<Utc>>,
    pub avoid_worker: Option<String>,
}

impl Job {
    /// What the job works from.
    pub fn payload(&self) -> Payload {
        serde_json::from_value(self.payload.clone()).unwrap_or_default()
    }

    /// What it reported, when it succeeded.
    pub fn outcome(&self) -> Option<Outcome> {
        self.result.clone().and_then(|result| serde_json::from_value(result).ok())
    }

    /// Why it failed, when it did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.clone().and_then(|failure| serde_json::from_value(failure).ok())
    }
}

/// A job to insert.
#[derive(Debug, Insertable)]
#[diesel(table_name = jobs)]
#[allow(missing_docs, reason = "the same columns as Job")]
pub struct New<'a> {
    pub id: Uuid,
    pub run_id: Uuid,
    pub stage: Stage,
    pub attempt: i32,
    pub queue: &'a str,
    pub hold_reason: Option<job::HoldReason>,
    pub priority: i32,
    pub payload: serde_json::Value,
}

/// Inserts a job.
pub async fn insert(connection: &mut Connection, new: &New<'_>) -> QueryResult<Job> {
    diesel::insert_into(jobs::table)
        .values(new)
        .returning(Job::as_returning())
        .get_result(connection)
        .await
}

/// Finds a job.
pub async fn find(connection: &mut Connection, id: Uuid) -> QueryResult<Option<Job>> {
    jobs::table.find(id).select(Job::as_select()).first(connection).await.optional()
}

/// Jobs of a run, in the order of their making.
pub async fn of_run(connection: &mut Connection, run_id: Uuid) -> QueryResult<Vec<Job>> {
    jobs::table
        .filter(jobs::run_id.eq(run_id))
        .order((jobs::created_at, jobs::id))
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Failed jobs of some runs, in the order of their making.
pub async fn failed_of_runs(connection: &mut Connection, run_ids: &[Uuid]) -> QueryResult<Vec<Job>> {
    jobs::table
        .filter(jobs::run_id.eq_any(run_ids).and(jobs::status.eq(job::Status::Failed)))
        .order((jobs::created_at, jobs::id))
        .select(Job::as_select())
        .load(connection)
        .await
}

/// How many attempts of a stage were lost with their workers.
pub async fn lost_attempts(connection: &mut Connection, run_id: Uuid, stage: Stage) -> QueryResult<i64> {
    jobs::table
        .filter(
            jobs::run_id
                .eq(run_id)
                .and(jobs::stage.eq(stage))
                .and(jobs::status.eq(job::Status::Failed)),
        )
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("failure->>'class' = 'lost_worker'"))
        .count()
        .get_result(connection)
        .await
}

/// How a job ends.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = jobs)]
pub struct End {
    /// Its last status.
    pub status: job::Status,
    /// [`Outcome`] as JSON, when it succeeded.
    pub result: Option<serde_json::Value>,
    /// [`Failure`] as JSON, when it failed.
    pub failure: Option<serde_json::Value>,
    /// When.
    pub finished_at: DateTime<Utc>,
}

/// Ends a job that the caller has locked; a parked one is no longer held.
pub async fn end(connection: &mut Connection, id: Uuid, end: &End) -> QueryResult<Job> {
    diesel::update(jobs::table.find(id))
        .set((
            end,
            jobs::hold_reason.eq(None::<job::HoldReason>),
            jobs::lease_expires_at.eq(None::<DateTime<Utc>>),
        ))
        .returning(Job::as_returning())
        .get_result(connection)
        .await
}

/// Takes a report's number down; the caller has locked the job.
pub async fn set_report_sequence(connection: &mut Connection, id: Uuid, sequence: i64) -> QueryResult<usize> {
    diesel::update(jobs::table.find(id))
        .set(jobs::last_report_sequence.eq(sequence))
        .execute(connection)
        .await
}

/// Asks for a running job to be stopped; remembers the first time it was asked.
pub async fn request_cancel(connection: &mut Connection, id: Uuid, reason: &str) -> QueryResult<usize> {
    diesel::update(jobs::table.find(id))
        .filter(jobs::cancel_requested_at.is_null())
        .set((jobs::cancel_requested_at.eq(diesel::dsl::now), jobs::cancel_reason.eq(reason)))
        .execute(connection)
        .await
}

/// Running jobs of an instance that should stop.
pub async fn to_cancel(connection: &mut Connection, instance_id: Uuid) -> QueryResult<Vec<Job>> {
    jobs::table
        .filter(jobs::lease_instance_id.eq(instance_id).and(jobs::status.eq(job::Status::Running)))
        .filter(jobs::cancel_requested_at.is_not_null())
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Parks or frees what is queued on a queue.
pub async fn set_hold(connection: &mut Connection, queue: &str, hold: Option<job::HoldReason>) -> QueryResult<usize> {
    diesel::update(jobs::table)
        .filter(jobs::queue.eq(queue).and(jobs::status.eq(job::Status::Queued)))
        .filter(
            jobs::hold_reason
                .is_null()
                .or(jobs::hold_reason.eq_any([job::HoldReason::ShardOffline, job::HoldReason::ShardDraining])),
        )
        .set(jobs::hold_reason.eq(hold))
        .execute(connection)
        .await
}

/// How many jobs are queued and running on each of some queues.
pub async fn counts(connection: &mut Connection, queues: &[String]) -> QueryResult<Vec<Count>> {
    sql_query(
        "select queue, count(*) filter (where status = 'queued') as queued, count(*) filter (where status = 'running') as running
         from jobs where status in ('queued', 'running') and queue = any($1) group by queue",
    )
    .bind::<Array<Text>, _>(queues)
    .get_results(connection)
    .await
}

/// How busy a queue is.
#[derive(Debug, Clone, QueryableByName)]
pub struct Count {
    /// The queue.
    #[diesel(sql_type = Text)]
    pub queue: String,
    /// Jobs that wait.
    #[diesel(sql_type = BigInt)]
    pub queued: i64,
    /// Jobs that run.
    #[diesel(sql_type = BigInt)]
    pub running: i64,
}

/// The latest succeeded submit of a feature, for a run that is to publish its patch.
pub async fn latest_submit_of_feature(connection: &mut Connection, repository: &str, feature_key: &str) -> QueryResult<Option<Job>> {
    use crate::db::schema::runs;
    jobs::table
        .inner_join(runs::table.on(runs::id.eq(jobs::run_id)))
        .filter(runs::repository.eq(repository).and(runs::feature_key.eq(feature_key)))
        .filter(jobs::stage.eq(Stage::Submit).and(jobs::status.eq(job::Status::Succeeded)))
        .order((runs::created_at.desc(), jobs::created_at.desc()))
        .select(Job::as_select())
        .first(connection)
        .await
        .optional()
}
