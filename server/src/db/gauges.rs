//! How the whole fleet is, for scrapers, in one statement whose cost has a bound however long the queues are.

use diesel::{
    QueryResult, QueryableByName, sql_query,
    sql_types::{BigInt, Double, Text},
};
use diesel_async::RunQueryDsl;

use super::Connection;

/// How busy a queue is.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
#[allow(missing_docs, reason = "columns, named as the labels of the metrics are")]
pub struct Queue {
    #[diesel(sql_type = Text)]
    pub queue: String,
    #[diesel(sql_type = BigInt)]
    pub ready: i64,
    #[diesel(sql_type = BigInt)]
    pub held: i64,
    #[diesel(sql_type = BigInt)]
    pub later: i64,
    #[diesel(sql_type = BigInt)]
    pub offered: i64,
    #[diesel(sql_type = BigInt)]
    pub running: i64,
    /// Seconds since the oldest that waits might begin.
    #[diesel(sql_type = Double)]
    pub oldest: f64,
}

/// Most jobs of a queue that are looked at, and as many that are held.
const SAMPLE: i64 = 10_000;

/// All queues, those without jobs as well. Of a queue's waiting jobs the first [`SAMPLE`] are looked at, in the order of `jobs_claim_idx`.
pub async fn queues(connection: &mut Connection) -> QueryResult<Vec<Queue>> {
    sql_query(
        "with queues as (
             select queue_name as queue from shards union select 'default'
         ), waiting as (
             select queues.queue,
                 count(*) filter (where hold_reason is null and not_before <= now()) as ready,
                 count(*) filter (where hold_reason is not null) as held,
                 count(*) filter (where hold_reason is null and not_before > now()) as later,
                 min(greatest(created_at, not_before)) filter (where not_before <= now()) as since
             from queues cross join lateral (
                 (select hold_reason, not_before, created_at from jobs
                  where jobs.queue = queues.queue and finished_at is null and lease_instance_id is null and hold_reason is null
                  order by priority desc, fair_rank, id limit $1)
                 union all
                 (select hold_reason, not_before, created_at from jobs
                  where jobs.queue = queues.queue and finished_at is null and lease_instance_id is null and hold_reason is not null limit $1)
             ) as sample group by queues.queue
         ), leased as (
             select queue, count(*) filter (where status = 'queued') as offered, count(*) filter (where status = 'running') as running
             from jobs where finished_at is null and lease_instance_id is not null group by queue
         )
         select queues.queue, coalesce(ready, 0) as ready, coalesce(held, 0) as held, coalesce(later, 0) as later,
             coalesce(offered, 0) as offered, coalesce(running, 0) as running,
             coalesce(greatest(extract(epoch from now() - since), 0), 0)::double precision as oldest
         from queues left join waiting using (queue) left join leased using (queue)",
    )
    .bind::<BigInt, _>(SAMPLE)
    .get_results(connection)
    .await
}

/// How many there are of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
#[allow(missing_docs, reason = "columns")]
pub struct Count {
    #[diesel(sql_type = BigInt)]
    pub workers: i64,
    #[diesel(sql_type = BigInt)]
    pub servers: i64,
}

/// Open streams, and servers that were heard of lately.
pub async fn counts(connection: &mut Connection, dead_after: f64) -> QueryResult<Count> {
    sql_query(
        "select (select count(*) from worker_sessions where ended_at is null and redirected_at is null) as workers,
             (select count(*) from servers where last_seen_at > now() - make_interval(secs => $1)) as servers",
    )
    .bind::<Double, _>(dead_after)
    .get_result(connection)
    .await
}
