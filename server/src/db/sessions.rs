//! Table `worker_sessions` across servers: whose stream is where, and which streams nobody holds any more.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName,
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::worker_sessions};
use crate::domain::stage::Stage;

/// An open session of a worker's name.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
#[allow(missing_docs, reason = "columns")]
pub struct Open {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub instance_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub server_id: Uuid,
    #[diesel(sql_type = Text)]
    pub hostname: String,
    /// Whether its worker was told to move: then nothing is at its other end.
    #[diesel(sql_type = Bool)]
    pub redirected: bool,
    /// Whether its server has given a sign of life lately.
    #[diesel(sql_type = Bool)]
    pub server_lives: bool,
}

/// Open sessions of all instances of a name. Its row in `workers` is locked by the caller, so none begins meanwhile.
pub async fn open_of_name(connection: &mut Connection, worker_name: &str, dead_after: f64) -> QueryResult<Vec<Open>> {
    sql_query(
        "select session.id, session.instance_id, session.server_id, session.hostname, session.redirected_at is not null as redirected,
            exists (select from servers
                where servers.id = session.server_id and last_seen_at > now() - make_interval(secs => $2)) as server_lives
         from worker_instances as instance join worker_sessions as session on session.instance_id = instance.id
         where instance.worker_name = $1 and session.ended_at is null",
    )
    .bind::<Text, _>(worker_name)
    .bind::<Double, _>(dead_after)
    .get_results(connection)
    .await
}

/// A session without a server.
#[derive(Debug, Clone, QueryableByName)]
#[allow(missing_docs, reason = "columns")]
pub struct Orphan {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub instance_id: Uuid,
    #[diesel(sql_type = Text)]
    pub worker_name: String,
    /// The shard's queue that its instance serves.
    #[diesel(sql_type = Nullable<Text>)]
    pub shard_queue: Option<String>,
}

const ORPHAN: &str = "select session.id, session.instance_id, instance.worker_name,
        (select queue_name from shards join auth_volumes on auth_volumes.name = shards.volume_name
            where auth_volumes.owner_instance_id = session.instance_id limit 1) as shard_queue
     from worker_sessions as session join worker_instances as instance on instance.id = session.instance_id
     where session.ended_at is null and ";

/// Open sessions of servers that are gone.
pub async fn of_dead_servers(connection: &mut Connection, limit: i64) -> QueryResult<Vec<Orphan>> {
    let query = format!(
        "{ORPHAN} session.redirected_at is null and not exists (select from servers where servers.id = session.server_id) limit $1"
    );
    sql_query(query).bind::<BigInt, _>(limit).get_results(connection).await
}

/// Open sessions that this server has, or has had.
pub async fn of_server(connection: &mut Connection, server_id: Uuid) -> QueryResult<Vec<Orphan>> {
    let query = format!("{ORPHAN} session.redirected_at is null and session.server_id = $1");
    sql_query(query).bind::<SqlUuid, _>(server_id).get_results(connection).await
}

/// Sessions whose worker was told to move this long ago and has not come back under the same session.
pub async fn redirected_before(connection: &mut Connection, seconds: f64, limit: i64) -> QueryResult<Vec<Orphan>> {
    let query = format!("{ORPHAN} session.redirected_at < now() - make_interval(secs => $1) limit $2");
    sql_query(query)
        .bind::<Double, _>(seconds)
        .bind::<BigInt, _>(limit)
        .get_results(connection)
        .await
}

/// The open session with this id, as an orphan.
pub async fn find_open(connection: &mut Connection, id: Uuid) -> QueryResult<Option<Orphan>> {
    sql_query(format!("{ORPHAN} session.id = $1"))
        .bind::<SqlUuid, _>(id)
        .get_result(connection)
        .await
        .optional()
}

/// Notes that a session's worker was told to move to another server.
pub async fn mark_redirected(connection: &mut Connection, id: Uuid) -> QueryResult<usize> {
    diesel::update(worker_sessions::table.find(id))
        .filter(worker_sessions::ended_at.is_null())
        .set(worker_sessions::redirected_at.eq(diesel::dsl::now))
        .execute(connection)
        .await
}

/// Notes that the worker of a session takes nothing new.
pub async fn mark_draining(connection: &mut Connection, id: Uuid) -> QueryResult<usize> {
    diesel::update(worker_sessions::table.find(id))
        .filter(worker_sessions::draining_at.is_null())
        .set(worker_sessions::draining_at.eq(diesel::dsl::now))
        .execute(connection)
        .await
}

/// Whether a connected worker of a queue that takes work has a skill ready for a stage.
pub async fn have_skill(connection: &mut Connection, queue: &str, skill: &str, stage: Stage) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let shown = serde_json::json!({ "skills": [{ "name": skill, "ready": true, "stages": [{ "stage": stage }] }] });
    let found: Found = sql_query(
        "select exists (
            select from worker_sessions as session
            join worker_instances as instance on instance.id = session.instance_id
            join workers as worker on worker.name = instance.worker_name
            where session.ended_at is null and session.draining_at is null and $1 = any (worker.queues) and worker.profile @> $2
         ) as found",
    )
    .bind::<Text, _>(queue)
    .bind::<Jsonb, _>(shown)
    .get_result(connection)
    .await?;
    Ok(found.found)
}

/// A worker with its latest session.
#[derive(Debug, Clone, QueryableByName)]
#[allow(missing_docs, reason = "the fields of the proto message Worker, documented there")]
pub struct Seen {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub hostname: String,
    #[diesel(sql_type = Text)]
    pub version: String,
    #[diesel(sql_type = Array<Text>)]
    pub queues: Vec<String>,
    #[diesel(sql_type = Integer)]
    pub slots: i32,
    #[diesel(sql_type = SqlUuid)]
    pub instance_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub connected_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub last_heartbeat_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    pub connected: bool,
    #[diesel(sql_type = Bool)]
    pub draining: bool,
    #[diesel(sql_type = Nullable<Text>)]
    pub server: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub running_jobs: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub volume: Option<String>,
}

/// Workers that are connected, or whose lease still runs: all of them, or the one with this name; in the order of their names.
pub async fn workers(connection: &mut Connection, name: Option<&str>, lease_seconds: f64) -> QueryResult<Vec<Seen>> {
    sql_query(
        "select * from (
            select worker.name, worker.hostname, worker.version, worker.queues, worker.slots, latest.instance_id, latest.connected_at,
                coalesce(latest.ended_at, latest.lease_expires_at - make_interval(secs => $2)) as last_heartbeat_at,
                latest.ended_at is null and latest.redirected_at is null and servers.id is not null as connected,
                latest.draining_at is not null as draining, servers.hostname || ' ' || servers.address as server,
                (select count(*) from jobs where lease_instance_id = latest.instance_id and finished_at is null and status = 'running')
                    as running_jobs,
                (select auth_volumes.name from auth_volumes where owner_instance_id = latest.instance_id limit 1) as volume,
                latest.lease_expires_at
            from workers as worker
            join lateral (
                select session.*, instance.lease_expires_at
                from worker_instances as instance join worker_sessions as session on session.instance_id = instance.id
                where instance.worker_name = worker.name
                order by session.connected_at desc limit 1
            ) as latest on true
            left join servers on servers.id = latest.server_id
            where $1 is null or worker.name = $1
        ) as seen
        where connected or lease_expires_at > now()
        order by name",
    )
    .bind::<Nullable<Text>, _>(name)
    .bind::<Double, _>(lease_seconds)
    .get_results(connection)
    .await
}
