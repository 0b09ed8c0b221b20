//! Leases of jobs: claims, offers, and the fence.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Double, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Job;
use crate::{
    db::{
        Connection,
        schema::{jobs, worker_instances},
    },
    domain::job,
};

/// Who claims, and for how long the offer stands.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The worker's process: the lease hangs on it.
    pub instance_id: Uuid,
    /// Its name, for people.
    pub worker_name: &'a str,
    /// Seconds within which the offer must be accepted.
    pub accept_within: f64,
}

/// Claims up to `limit` jobs of a queue: each gets the next lease token before anybody hears of it.
pub async fn claim(connection: &mut Connection, queue: &str, limit: i64, claimant: Claimant<'_>) -> QueryResult<Vec<Job>> {
    let mut claimed: Vec<Job> =
        sql_query("select * from claim_jobs($1, array_fill($3, array[$2::integer]), array_fill($4::text, array[$2::integer]), $5)")
            .bind::<Text, _>(queue)
            .bind::<BigInt, _>(limit)
            .bind::<SqlUuid, _>(claimant.instance_id)
            .bind::<Text, _>(claimant.worker_name)
            .bind::<Double, _>(claimant.accept_within)
            .get_results(connection)
            .await?;
    // RETURNING doesn't keep the order of the claim.
    claimed.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.id.cmp(&b.id)));
    Ok(claimed)
}

/// Turns an offer into a running job, if this lease is still the job's. `None` means fenced.
pub async fn accept(connection: &mut Connection, id: Uuid, lease_token: i64) -> QueryResult<Option<Job>> {
    diesel::update(jobs::table.find(id))
        .filter(
            jobs::lease_token
                .eq(lease_token)
                .and(jobs::status.eq(job::Status::Queued))
                .and(jobs::lease_instance_id.is_not_null()),
        )
        .set((
            jobs::status.eq(job::Status::Running),
            jobs::started_at.eq(diesel::dsl::now),
            jobs::hold_reason.eq(None::<job::HoldReason>),
            jobs::lease_expires_at.eq(None::<DateTime<Utc>>),
        ))
        .returning(Job::as_returning())
        .get_result(connection)
        .await
        .optional()
}

/// Gives offers back that nobody accepted: no attempt is spent. Returns their queues.
pub async fn release_expired_offers(connection: &mut Connection) -> QueryResult<Vec<String>> {
    diesel::update(jobs::table)
        .filter(
            jobs::status
                .eq(job::Status::Queued)
                .and(jobs::lease_instance_id.is_not_null())
                .and(jobs::lease_expires_at.lt(diesel::dsl::now)),
        )
        .set((
            jobs::lease_instance_id.eq(None::<Uuid>),
            jobs::lease_expires_at.eq(None::<DateTime<Utc>>),
            jobs::worker_name.eq(None::<String>),
        ))
        .returning(jobs::queue)
        .get_results(connection)
        .await
}

/// Gives back the offers of one instance: all of them, or the one with this lease. They are offered again after `seconds`.
pub async fn release_offers(
    connection: &mut Connection,
    instance_id: Uuid,
    only: Option<(Uuid, i64)>,
    seconds: f64,
) -> QueryResult<Vec<String>> {
    let (id, token) = only.unwrap_or((Uuid::nil(), 0));
    let rows: Vec<QueueName> = sql_query(
        "update jobs set lease_instance_id = null, lease_expires_at = null, worker_name = null, not_before = now() + make_interval(secs => $4)
         where lease_instance_id = $1 and status = 'queued' and ($2 = '00000000-0000-0000-0000-000000000000' or (id = $2 and lease_token = $3))
         returning queue",
    )
    .bind::<SqlUuid, _>(instance_id)
    .bind::<SqlUuid, _>(id)
    .bind::<BigInt, _>(token)
    .bind::<Double, _>(seconds)
    .get_results(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.queue).collect())
}

#[derive(QueryableByName)]
struct QueueName {
    #[diesel(sql_type = Text)]
    queue: String,
}

/// The running job with this lease, locked. `None` means fenced.
pub async fn lock_running(connection: &mut Connection, id: Uuid, lease_token: i64) -> QueryResult<Option<Job>> {
    jobs::table
        .find(id)
        .filter(jobs::lease_token.eq(lease_token).and(jobs::status.eq(job::Status::Running)))
        .select(Job::as_select())
        .for_update()
        .first(connection)
        .await
        .optional()
}

/// The open job with this lease, not locked.
pub async fn find_leased(connection: &mut Connection, id: Uuid, lease_token: i64) -> QueryResult<Option<Job>> {
    jobs::table
        .find(id)
        .filter(jobs::lease_token.eq(lease_token).and(jobs::lease_instance_id.is_not_null()))
        .filter(jobs::status.eq_any([job::Status::Queued, job::Status::Running]))
        .select(Job::as_select())
        .first(connection)
        .await
        .optional()
}

/// The open job with this lease, locked, accepted or just offered: an upload may overtake the Accept, which goes another way. `None` means
/// fenced.
pub async fn lock_leased(connection: &mut Connection, id: Uuid, lease_token: i64) -> QueryResult<Option<Job>> {
    jobs::table
        .find(id)
        .filter(jobs::lease_token.eq(lease_token).and(jobs::lease_instance_id.is_not_null()))
        .filter(jobs::status.eq_any([job::Status::Queued, job::Status::Running]))
        .select(Job::as_select())
        .for_update()
        .first(connection)
        .await
        .optional()
}

/// Running jobs of an instance.
pub async fn running_of_instance(connection: &mut Connection, instance_id: Uuid) -> QueryResult<Vec<Job>> {
    jobs::table
        .filter(jobs::lease_instance_id.eq(instance_id).and(jobs::status.eq(job::Status::Running)))
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Running jobs of all instances of a worker.
pub async fn running_of_worker(connection: &mut Connection, worker_name: &str) -> QueryResult<Vec<Job>> {
    jobs::table
        .inner_join(worker_instances::table.on(jobs::lease_instance_id.eq(worker_instances::id.nullable())))
        .filter(
            worker_instances::worker_name
                .eq(worker_name)
                .and(jobs::status.eq(job::Status::Running)),
        )
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Running jobs whose instance's lease has lapsed.
pub async fn running_without_lease(connection: &mut Connection, limit: i64) -> QueryResult<Vec<Job>> {
    jobs::table
        .inner_join(worker_instances::table.on(jobs::lease_instance_id.eq(worker_instances::id.nullable())))
        .filter(
            jobs::status
                .eq(job::Status::Running)
                .and(worker_instances::lease_expires_at.lt(diesel::dsl::now)),
        )
        .limit(limit)
        .select(Job::as_select())
        .load(connection)
        .await
}

/// Hands a running job to a new instance of its worker.
pub async fn rehome(connection: &mut Connection, id: Uuid, lease_token: i64, instance_id: Uuid) -> QueryResult<usize> {
    diesel::update(jobs::table.find(id))
        .filter(jobs::lease_token.eq(lease_token).and(jobs::status.eq(job::Status::Running)))
        .set(jobs::lease_instance_id.eq(instance_id))
        .execute(connection)
        .await
}
