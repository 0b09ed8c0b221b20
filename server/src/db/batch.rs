//! Many runs at once: locked with their jobs in one statement each, and written with their jobs and events in one.
//!
//! What goes through here is hot. Rows travel as arrays, one per column, so that the text of a statement never changes.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection, events,
    jobs::Job,
    runs::Run,
    schema::{jobs, runs},
    statement::Statement,
};

/// Runs that are locked, in the order of their ids, with all their jobs, in the order of theirs, and database time.
#[derive(Debug)]
pub struct Locked {
    /// Database time of the lock.
    pub now: DateTime<Utc>,
    /// The runs.
    pub runs: Vec<Run>,
    /// Their jobs.
    pub jobs: Vec<Job>,
}

/// Locks some runs, and then their jobs. Everybody locks in this order, and rows of one table in the order of their ids.
pub async fn lock(connection: &mut Connection, run_ids: &[Uuid]) -> QueryResult<Locked> {
    take(connection, runs::id.eq_any(run_ids)).await
}

/// The same for the runs of some jobs.
pub async fn lock_of_jobs(connection: &mut Connection, job_ids: &[Uuid]) -> QueryResult<Locked> {
    take(
        connection,
        runs::id.eq_any(jobs::table.filter(jobs::id.eq_any(job_ids)).select(jobs::run_id)),
    )
    .await
}

async fn take<F>(connection: &mut Connection, of: F) -> QueryResult<Locked>
where
    F: diesel::expression::NonAggregate + diesel::expression::AppearsOnTable<runs::table> + Expression<SqlType = diesel::sql_types::Bool>,
    F: diesel::query_builder::QueryFragment<Pg> + diesel::query_builder::QueryId + Send,
{
    let now = diesel::dsl::sql::<Timestamptz>("clock_timestamp()");
    let found: Vec<(Run, DateTime<Utc>)> = runs::table
        .filter(of)
        .order(runs::id)
        .select((Run::as_select(), now))
        .for_update()
        .load(connection)
        .await?;
    let now = found.iter().map(|(_, now)| *now).max().unwrap_or_default();
    let runs: Vec<Run> = found.into_iter().map(|(run, _)| run).collect();
    let run_ids: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
    let jobs = jobs::table
        .filter(jobs::run_id.eq_any(&run_ids))
        .order(jobs::id)
        .select(Job::as_select())
        .for_update()
        .load(connection)
        .await?;
    Ok(Locked { now, runs, jobs })
}

/// What is written of some runs.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// Runs as they are from now on.
    pub runs: Vec<&'a Run>,
    /// Jobs that have changed, as they are from now on.
    pub jobs: Vec<&'a Job>,
    /// Jobs that are new, each with its run's repository. Their fair rank is given here.
    pub new_jobs: Vec<(&'a Job, &'a str)>,
    /// Events that are new.
    pub events: Vec<events::New>,
}

/// One column of some rows.
macro_rules! column {
    ($rows:expr, |$row:ident| $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// New jobs get their place in the order of their queue: behind what their repository has waiting there, and never before the queue's clock.
/// One that is skipped at once takes no place.
/// `$joined` may leave some out.
macro_rules! insert_jobs {
    ($joined:literal) => {
        concat!(
            "queued as (
    select job.*, count(*) filter (where job.finished_at is null) over (partition by job.queue, job.priority, job.repository order by job.id)
        as nth
    from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) as job (id, run_id, stage, attempt, queue, status, hold_reason, priority,
        not_before, expires_at, avoid_worker, skill, decision, execution, payload, created_at, finished_at, repository) ",
            $joined,
            "), based as (
    select wanted.queue, wanted.priority, wanted.repository, wanted.jobs, greatest(own.rank, clock.rank, 0) as rank
    from (select queue, priority, repository, max(nth) as jobs from queued group by queue, priority, repository) as wanted
    left join queue_ranks as own on (own.queue, own.priority, own.repository) = (wanted.queue, wanted.priority, wanted.repository)
    left join queue_ranks as clock on (clock.queue, clock.priority, clock.repository) = (wanted.queue, wanted.priority, '')
), ranked as (
    insert into queue_ranks as ranks (queue, priority, repository, rank)
    select queue, priority, repository, rank + jobs from based where jobs > 0 order by queue, priority, repository
    on conflict (queue, priority, repository) do update set rank = greatest(ranks.rank, excluded.rank)
), inserted as (
    insert into jobs (id, run_id, stage, attempt, queue, status, hold_reason, priority, not_before, expires_at, avoid_worker, skill, decision,
        execution, payload, created_at, finished_at, fair_rank)
    select job.id, job.run_id, job.stage, job.attempt, job.queue, job.status, job.hold_reason, job.priority, job.not_before, job.expires_at,
        job.avoid_worker, job.skill, job.decision, job.execution, job.payload, job.created_at, job.finished_at, based.rank + job.nth
    from queued as job join based using (queue, priority, repository)
)"
        )
    };
}

const START: &str = concat!(
    "with new_run as (
    insert into runs (id, repository, feature_key, affinity_key, phase, branch_name, base_ref, task_id, codex_queue, codex_volume,
        codex_shard_index, hash_modulo, artifacts_path, force_phase, agent, requested_by, notes, idempotency_key, options,
        last_event_sequence, created_at, updated_at, stage_decisions)
    select * from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict do nothing
    returning id
), ",
    insert_jobs!("join new_run on new_run.id = job.run_id"),
    ", recorded as (
    insert into run_events (run_id, sequence, kind, body)
    select event.* from unnest(?, ?, ?, ?) as event (run_id, sequence, kind, body) join new_run on new_run.id = event.run_id
)
select id from new_run"
);

/// Inserts new runs with their jobs and events. Returns the ids of those that are in; a run that an index refuses is left out, with all that
/// is its own.
pub async fn start(connection: &mut Connection, batch: &Batch<'_>) -> QueryResult<Vec<Uuid>> {
    let runs = &batch.runs;
    let statement = Statement::<SqlUuid>::new(START)
        .bind::<Array<SqlUuid>, _>(column!(runs, |run| run.id))
        .bind::<Array<Text>, _>(column!(runs, |run| run.repository.as_str()))
        .bind::<Array<Text>, _>(column!(runs, |run| run.feature_key.as_str()))
        .bind::<Array<Text>, _>(column!(runs, |run| run.affinity_key.as_str()))
        .bind::<Array<Text>, _>(column!(runs, |run| run.phase))
        .bind::<Array<Text>, _>(column!(runs, |run| run.branch_name.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.base_ref.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.task_id.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.codex_queue.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.codex_volume.as_deref()))
        .bind::<Array<Nullable<Integer>>, _>(column!(runs, |run| run.codex_shard_index))
        .bind::<Array<Nullable<Integer>>, _>(column!(runs, |run| run.hash_modulo))
        .bind::<Array<Text>, _>(column!(runs, |run| run.artifacts_path.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.force_phase))
        .bind::<Array<Text>, _>(column!(runs, |run| run.agent))
        .bind::<Array<Text>, _>(column!(runs, |run| run.requested_by.as_str()))
        .bind::<Array<Text>, _>(column!(runs, |run| run.notes.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.idempotency_key.as_deref()))
        .bind::<Array<Jsonb>, _>(column!(runs, |run| &run.options))
        .bind::<Array<BigInt>, _>(column!(runs, |run| run.last_event_sequence))
        .bind::<Array<Timestamptz>, _>(column!(runs, |run| run.created_at))
        .bind::<Array<Timestamptz>, _>(column!(runs, |run| run.updated_at))
        .bind::<Array<Nullable<Jsonb>>, _>(column!(runs, |run| run.stage_decisions.as_ref()));
    with_events(with_new_jobs(statement, &batch.new_jobs), &batch.events)
        .load(connection)
        .await
}

const CHANGE: &str = concat!(
    "with run_change as (
    update runs set status = to_be.status, phase = to_be.phase, pr_url = to_be.pr_url, base_ref = to_be.base_ref,
        codex_task_id = to_be.codex_task_id, codex_preflight_status = to_be.codex_preflight_status,
        codex_preflight_message = to_be.codex_preflight_message, codex_logs_path = to_be.codex_logs_path,
        codex_patch_path = to_be.codex_patch_path, last_event_sequence = to_be.last_event_sequence, started_at = to_be.started_at,
        finished_at = to_be.finished_at, updated_at = to_be.updated_at, stage_decisions = to_be.stage_decisions
    from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) as to_be (id, status, phase, pr_url, base_ref, codex_task_id,
        codex_preflight_status, codex_preflight_message, codex_logs_path, codex_patch_path, last_event_sequence, started_at, finished_at,
        updated_at, stage_decisions)
    where runs.id = to_be.id
), job_change as (
    update jobs set status = to_be.status, hold_reason = to_be.hold_reason, last_report_sequence = to_be.last_report_sequence,
        lease_expires_at = to_be.lease_expires_at, cancel_requested_at = to_be.cancel_requested_at, cancel_reason = to_be.cancel_reason,
        result = to_be.result, failure = to_be.failure, started_at = to_be.started_at, finished_at = to_be.finished_at,
        execution = to_be.execution
    from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) as to_be (id, status, hold_reason, last_report_sequence, lease_expires_at,
        cancel_requested_at, cancel_reason, result, failure, started_at, finished_at, execution)
    where jobs.id = to_be.id
), ",
    insert_jobs!(""),
    " insert into run_events (run_id, sequence, kind, body) select * from unnest(?, ?, ?, ?)"
);

/// Writes what has changed of runs that the caller has locked.
pub async fn change(connection: &mut Connection, batch: &Batch<'_>) -> QueryResult<()> {
    let (runs, jobs) = (&batch.runs, &batch.jobs);
    let statement = Statement::<()>::new(CHANGE)
        .bind::<Array<SqlUuid>, _>(column!(runs, |run| run.id))
        .bind::<Array<Text>, _>(column!(runs, |run| run.status))
        .bind::<Array<Text>, _>(column!(runs, |run| run.phase))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.pr_url.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.base_ref.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.codex_task_id.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.codex_preflight_status))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.codex_preflight_message.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.codex_logs_path.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(runs, |run| run.codex_patch_path.as_deref()))
        .bind::<Array<BigInt>, _>(column!(runs, |run| run.last_event_sequence))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(runs, |run| run.started_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(runs, |run| run.finished_at))
        .bind::<Array<Timestamptz>, _>(column!(runs, |run| run.updated_at))
        .bind::<Array<Nullable<Jsonb>>, _>(column!(runs, |run| run.stage_decisions.as_ref()))
        .bind::<Array<SqlUuid>, _>(column!(jobs, |job| job.id))
        .bind::<Array<Text>, _>(column!(jobs, |job| job.status))
        .bind::<Array<Nullable<Text>>, _>(column!(jobs, |job| job.hold_reason))
        .bind::<Array<BigInt>, _>(column!(jobs, |job| job.last_report_sequence))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(jobs, |job| job.lease_expires_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(jobs, |job| job.cancel_requested_at))
        .bind::<Array<Nullable<Text>>, _>(column!(jobs, |job| job.cancel_reason.as_deref()))
        .bind::<Array<Nullable<Jsonb>>, _>(column!(jobs, |job| job.result.as_ref()))
        .bind::<Array<Nullable<Jsonb>>, _>(column!(jobs, |job| job.failure.as_ref()))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(jobs, |job| job.started_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(jobs, |job| job.finished_at))
        .bind::<Array<Nullable<Jsonb>>, _>(column!(jobs, |job| job.execution.as_ref()));
    with_events(with_new_jobs(statement, &batch.new_jobs), &batch.events)
        .execute(connection)
        .await?;
    Ok(())
}

fn with_new_jobs<'a, ST>(statement: Statement<'a, ST>, jobs: &[(&'a Job, &'a str)]) -> Statement<'a, ST> {
    statement
        .bind::<Array<SqlUuid>, _>(column!(jobs, |row| row.0.id))
        .bind::<Array<SqlUuid>, _>(column!(jobs, |row| row.0.run_id))
        .bind::<Array<Text>, _>(column!(jobs, |row| row.0.stage))
        .bind::<Array<Integer>, _>(column!(jobs, |row| row.0.attempt))
        .bind::<Array<Text>, _>(column!(jobs, |row| row.0.queue.as_str()))
        .bind::<Array<Text>, _>(column!(jobs, |row| row.0.status))
        .bind::<Array<Nullable<Text>>, _>(column!(jobs, |row| row.0.hold_reason))
        .bind::<Array<Integer>, _>(column!(jobs, |row| row.0.priority))
        .bind::<Array<Timestamptz>, _>(column!(jobs, |row| row.0.not_before))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(jobs, |row| row.0.expires_at))
        .bind::<Array<Nullable<Text>>, _>(column!(jobs, |row| row.0.avoid_worker.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column!(jobs, |row| row.0.skill.as_deref()))
        .bind::<Array<Nullable<Jsonb>>, _>(column!(jobs, |row| row.0.decision.as_ref()))
        .bind::<Array<Nullable<Jsonb>>, _>(column!(jobs, |row| row.0.execution.as_ref()))
        .bind::<Array<Jsonb>, _>(column!(jobs, |row| &row.0.payload))
        .bind::<Array<Timestamptz>, _>(column!(jobs, |row| row.0.created_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(jobs, |row| row.0.finished_at))
        .bind::<Array<Text>, _>(column!(jobs, |row| row.1))
}

fn with_events<'a, ST>(statement: Statement<'a, ST>, events: &'a [events::New]) -> Statement<'a, ST> {
    statement
        .bind::<Array<SqlUuid>, _>(column!(events, |event| event.run_id))
        .bind::<Array<BigInt>, _>(column!(events, |event| event.sequence))
        .bind::<Array<Text>, _>(column!(events, |event| event.kind))
        .bind::<Array<Jsonb>, _>(column!(events, |event| &event.body))
}
