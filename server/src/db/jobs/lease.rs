//! Leases of jobs: claims and offers.
//!
//! Statements that change many rows lock them in the order of their ids, as [`crate::db::batch`] does: two that wait for each other would be
//! a deadlock. Claims wait for nobody.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Double, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Job;
use crate::{
    db::{
        Connection,
        columns::{job_columns, run_columns},
        runs::Run,
        schema::{jobs, runs, worker_instances},
        statement::Statement,
    },
    domain::job,
};

/// Room for one job.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// The worker's process: the lease hangs on it.
    pub instance_id: Uuid,
    /// Its name, for people.
    pub worker_name: &'a str,
}

/// The run of each claimed job is looked up by its key, whatever the statistics say. The function sees what was committed after this
/// statement had begun, and the statement itself doesn't: then the run is missing, while its job is claimed.
const CLAIM: &str = concat!(
    "select ",
    job_columns!("job"),
    ", ",
    run_columns!("run"),
    " from claim_jobs(?, ?, ?, ?, ?) as job left join lateral (select * from runs where runs.id = job.run_id limit 1) as run on true"
);

/// Claims jobs of a queue, one for each slot at most: each gets the next lease token before anybody hears of it. `accept_within` is how many
/// seconds an offer stands. The slots' workers are alike in their skills: `skills` holds `skill:stage` for each stage that one of theirs is
/// ready for, and a job that needs another waits.
pub async fn claim(
    connection: &mut Connection,
    queue: &str,
    slots: &[Slot<'_>],
    skills: &[String],
    accept_within: f64,
) -> QueryResult<Vec<(Job, Run)>> {
    let instances: Vec<Uuid> = slots.iter().map(|slot| slot.instance_id).collect();
    let workers: Vec<&str> = slots.iter().map(|slot| slot.worker_name).collect();
    let found: Vec<(Job, Option<Run>)> = Statement::<(jobs::SqlType, Nullable<runs::SqlType>)>::new(CLAIM)
        .bind::<Text, _>(queue)
        .bind::<Array<SqlUuid>, _>(instances)
        .bind::<Array<Text>, _>(workers)
        .bind::<Array<Text>, _>(skills)
        .bind::<Double, _>(accept_within)
        .load(connection)
        .await?;
    let mut claimed = Vec::with_capacity(found.len());
    for (job, run) in found {
        let run = match run {
            Some(run) => run,
            None => runs::table.find(job.run_id).select(Run::as_select()).first(connection).await?,
        };
        claimed.push((job, run));
    }
    // RETURNING doesn't keep the order of the claim.
    claimed.sort_by_key(|(job, _)| (std::cmp::Reverse(job.priority), job.fair_rank, job.id));
    Ok(claimed)
}

/// A job that is offered no more, with the name of the worker that had the offer, and its run.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The job.
    pub job: Job,
    /// Its run.
    pub run: Run,
}

type OfferedRow = (jobs::SqlType, runs::SqlType, Nullable<Text>);

fn offered((mut job, run, worker_name): (Job, Run, Option<String>)) -> Offered {
    job.worker_name = worker_name;
    Offered { job, run }
}

/// Gives offers back that nobody accepted: no attempt is spent.
pub async fn release_expired_offers(connection: &mut Connection) -> QueryResult<Vec<Offered>> {
    let rows: Vec<(Job, Run, Option<String>)> = Statement::<OfferedRow>::new(concat!(
        "with lapsed as (
             select id, worker_name from jobs
             where finished_at is null and lease_instance_id is not null and status = 'queued' and lease_expires_at < now()
             order by id for update),
         released as (
             update jobs set lease_instance_id = null, lease_expires_at = null, worker_name = null
             from lapsed where jobs.id = lapsed.id returning jobs.*)
         select ",
        job_columns!("released"),
        ", ",
        run_columns!("runs"),
        ", lapsed.worker_name
         from released join lapsed using (id) join runs on runs.id = released.run_id"
    ))
    .load(connection)
    .await?;
    Ok(rows.into_iter().map(offered).collect())
}

/// Gives back the offers of one instance: all of them, or the one with this lease. They are offered again after `seconds`.
pub async fn release_offers(
    connection: &mut Connection,
    instance_id: Uuid,
    only: Option<(Uuid, i64)>,
    seconds: f64,
) -> QueryResult<Vec<Offered>> {
    let (id, token) = only.unzip();
    let rows: Vec<(Job, Run, Option<String>)> = Statement::<OfferedRow>::new(concat!(
        "with offered as (
             select id, worker_name from jobs
             where finished_at is null and lease_instance_id = ? and status = 'queued'
                 and coalesce(id = ? and lease_token = ?, true)
             order by id for update),
         released as (
             update jobs set lease_instance_id = null, lease_expires_at = null, worker_name = null, not_before = now() + make_interval(secs => ?)
             from offered where jobs.id = offered.id returning jobs.*)
         select ",
        job_columns!("released"),
        ", ",
        run_columns!("runs"),
        ", offered.worker_name
         from released join offered using (id) join runs on runs.id = released.run_id"
    ))
    .bind::<SqlUuid, _>(instance_id)
    .bind::<Nullable<SqlUuid>, _>(id)
    .bind::<Nullable<BigInt>, _>(token)
    .bind::<Double, _>(seconds)
    .load(connection)
    .await?;
    Ok(rows.into_iter().map(offered).collect())
}

/// The open job with this lease, not locked.
pub async fn find_leased(connection: &mut Connection, id: Uuid, lease_token: i64) -> QueryResult<Option<Job>> {
    let found: Option<Job> = jobs::table.find(id).select(Job::as_select()).first(connection).await.optional()?;
    Ok(found.filter(|job| job.is_leased(lease_token)))
}

/// Running jobs of an instance.
pub async fn running_of_instance(connection: &mut Connection, instance_id: Uuid) -> QueryResult<Vec<Job>> {
    jobs::table
        .filter(jobs::lease_instance_id.eq(instance_id).and(jobs::finished_at.is_null()))
        .filter(jobs::status.eq(job::Status::Running))
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Running jobs of all instances of a worker.
pub async fn running_of_worker(connection: &mut Connection, worker_name: &str) -> QueryResult<Vec<Job>> {
    jobs::table
        .inner_join(worker_instances::table.on(jobs::lease_instance_id.eq(worker_instances::id.nullable())))
        .filter(worker_instances::worker_name.eq(worker_name).and(jobs::finished_at.is_null()))
        .filter(jobs::status.eq(job::Status::Running))
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Running jobs whose instance's lease has lapsed.
pub async fn running_without_lease(connection: &mut Connection, limit: i64) -> QueryResult<Vec<Job>> {
    jobs::table
        .inner_join(worker_instances::table.on(jobs::lease_instance_id.eq(worker_instances::id.nullable())))
        .filter(
            worker_instances::lease_expires_at
                .lt(diesel::dsl::now)
                .and(jobs::finished_at.is_null()),
        )
        .filter(jobs::status.eq(job::Status::Running))
        .limit(limit)
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Instances that run jobs which should stop.
pub async fn instances_to_cancel(connection: &mut Connection) -> QueryResult<Vec<Uuid>> {
    let found: Vec<Option<Uuid>> = jobs::table
        .filter(jobs::finished_at.is_null().and(jobs::lease_instance_id.is_not_null()))
        .filter(jobs::cancel_requested_at.is_not_null())
        .select(jobs::lease_instance_id)
        .distinct()
        .load(connection)
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Hands a running job to a new instance of its worker. Returns the number of its last stored report, which from now on only that instance
/// adds to; `None` when the lease isn't the job's any more.
pub async fn rehome(connection: &mut Connection, id: Uuid, lease_token: i64, instance_id: Uuid) -> QueryResult<Option<i64>> {
    diesel::update(jobs::table.find(id))
        .filter(jobs::lease_token.eq(lease_token).and(jobs::status.eq(job::Status::Running)))
        .set((
            jobs::lease_instance_id.eq(instance_id),
            jobs::lease_expires_at.eq(None::<DateTime<Utc>>),
        ))
        .returning(jobs::last_report_sequence)
        .get_result(connection)
        .await
        .optional()
}
