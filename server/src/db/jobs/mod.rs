//! Table `jobs`: the queue. Its leases and its fence are in a file of their own.

mod lease;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

pub use lease::{
    Offered, Slot, claim, find_leased, instances_to_cancel, rehome, release_expired_offers, release_offers, running_of_instance,
    running_of_worker, running_without_lease,
};

use super::{Connection, schema::jobs};
use crate::domain::{
    job::{self, Failure, Payload},
    skill::{Decision, Execution},
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
    /// Skill that a worker must have to be offered it; `None` where none is needed.
    pub skill: Option<String>,
    pub decision: Option<serde_json::Value>,
    pub execution: Option<serde_json::Value>,
}

impl Job {
    /// What the job works from.
    pub fn payload(&self) -> Payload {
        serde_json::from_value(self.payload.clone()).unwrap_or_default()
    }

    /// The run's place in its client's trace; empty where it has none.
    pub fn traceparent(&self) -> &str {
        self.payload
            .get("traceparent")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    }

    /// Whether it is open under this lease, accepted or just offered: an upload may overtake the Accept, which goes another way.
    pub fn is_leased(&self, lease_token: i64) -> bool {
        self.finished_at.is_none() && self.lease_instance_id.is_some() && self.lease_token == Some(lease_token)
    }

    /// What it reported, when it succeeded.
    pub fn outcome(&self) -> Option<Outcome> {
        self.result.clone().and_then(|result| serde_json::from_value(result).ok())
    }

    /// The way that it is to go; `None` for a job from before there were skills.
    pub fn decision(&self) -> Option<Decision> {
        self.decision.clone().and_then(|decision| serde_json::from_value(decision).ok())
    }

    /// The way that it went, once it has ended.
    pub fn execution(&self) -> Option<Execution> {
        self.execution.clone().and_then(|execution| serde_json::from_value(execution).ok())
    }

    /// The way that it went or, before its end, is to go.
    pub fn way(&self) -> Way<'_> {
        let went = |name| self.execution.as_ref()?.get(name);
        let decided = |name| self.decision.as_ref()?.get(name);
        let either = |name| went(name).or_else(|| decided(name))?.as_str();
        let requested = || decided("shadow_mode")?.as_bool()?.then_some("requested");
        Way {
            skill: either("selected_skill"),
            execution_path: either("execution_path"),
            used_fallback: went("used_fallback").and_then(serde_json::Value::as_bool),
            shadow: went("shadow").and_then(|shadow| shadow.get("status")?.as_str()).or_else(requested),
        }
    }

    /// Why it failed, when it did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.clone().and_then(|failure| serde_json::from_value(failure).ok())
    }
}

/// What logs, traces and metrics say of the way of a job; nothing for one from before there were skills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way<'a> {
    /// The skill that was chosen for its stage.
    pub skill: Option<&'a str>,
    /// `skill`, `direct_fallback` or `direct_only`.
    pub execution_path: Option<&'a str>,
    /// Whether the built-in code took over; none before the end.
    pub used_fallback: Option<bool>,
    /// `requested`, and then what came of the comparison.
    pub shadow: Option<&'a str>,
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

/// Running jobs of an instance that should stop.
pub async fn to_cancel(connection: &mut Connection, instance_id: Uuid) -> QueryResult<Vec<Job>> {
    jobs::table
        .filter(jobs::lease_instance_id.eq(instance_id).and(jobs::finished_at.is_null()))
        .filter(jobs::status.eq(job::Status::Running).and(jobs::cancel_requested_at.is_not_null()))
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Jobs that nobody has taken, though their time in the queue is over.
pub async fn overdue(connection: &mut Connection, limit: i64) -> QueryResult<Vec<Job>> {
    jobs::table
        .filter(jobs::finished_at.is_null().and(jobs::expires_at.lt(diesel::dsl::now)))
        .filter(jobs::lease_instance_id.is_null())
        .limit(limit)
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Jobs that wait in a queue under another reason than this one, or none.
pub async fn held_otherwise(connection: &mut Connection, queue: &str, hold: Option<job::HoldReason>, limit: i64) -> QueryResult<Vec<Uuid>> {
    // Each part has an index of its own, so that a long queue that waits as it should costs nothing.
    let rows: Vec<JobId> = sql_query(
        "(select id from jobs where $2 is not null and queue = $1 and finished_at is null and lease_instance_id is null and hold_reason is null
            limit $3)
         union all
         (select id from jobs where queue = $1 and finished_at is null and lease_instance_id is null and hold_reason is not null
            and hold_reason is distinct from $2 limit $3)",
    )
    .bind::<Text, _>(queue)
    .bind::<Nullable<Text>, _>(hold)
    .bind::<BigInt, _>(limit)
    .load(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

#[derive(QueryableByName)]
struct JobId {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// How many jobs are queued and running on each of some queues.
pub async fn counts(connection: &mut Connection, queues: &[String]) -> QueryResult<Vec<Count>> {
    sql_query(
        "select queue, count(*) filter (where status = 'queued') as queued, count(*) filter (where status = 'running') as running
         from jobs where finished_at is null and queue = any($1) group by queue",
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
