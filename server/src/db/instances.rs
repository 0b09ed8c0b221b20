//! Tables `workers`, `worker_instances` and `worker_sessions`: who is there, and whose lease still runs.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Array, Binary, Double, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection,
    schema::{worker_instances, worker_sessions, workers},
};

/// A worker as it introduces itself.
#[derive(Debug, Insertable, AsChangeset)]
#[diesel(table_name = workers)]
pub struct Worker<'a> {
    /// Unique name.
    pub name: &'a str,
    /// Host that it runs on.
    pub hostname: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// Queues that it serves.
    pub queues: &'a [String],
    /// Jobs at once.
    pub slots: i32,
    /// Its startup profile.
    pub profile: serde_json::Value,
    /// Now.
    pub last_heartbeat_at: DateTime<Utc>,
}

/// Stores a worker, or what has changed of it.
pub async fn upsert_worker(connection: &mut Connection, worker: &Worker<'_>) -> QueryResult<usize> {
    diesel::insert_into(workers::table)
        .values(worker)
        .on_conflict(workers::name)
        .do_update()
        .set(worker)
        .execute(connection)
        .await
}

/// What a worker has checked at its latest start, as it was stored.
pub async fn profile(connection: &mut Connection, name: &str) -> QueryResult<Option<serde_json::Value>> {
    workers::table
        .find(name)
        .select(workers::profile)
        .first(connection)
        .await
        .optional()
}

/// The same of several workers, by their names.
pub async fn profiles(connection: &mut Connection, names: &[String]) -> QueryResult<Vec<(String, serde_json::Value)>> {
    workers::table
        .filter(workers::name.eq_any(names))
        .order(workers::name)
        .select((workers::name, workers::profile))
        .load(connection)
        .await
}

/// Whether a worker, connected or not, has shown a skill of this name at its latest start.
pub async fn have_shown(connection: &mut Connection, skill: &str) -> QueryResult<bool> {
    let shown = serde_json::json!({ "skills": [{ "name": skill }] });
    let has = diesel::dsl::sql::<diesel::sql_types::Bool>("profile @> ").bind::<diesel::sql_types::Jsonb, _>(shown);
    diesel::select(diesel::dsl::exists(workers::table.filter(has)))
        .get_result(connection)
        .await
}

/// The key that is sealed with for an instance, if it gave one.
pub async fn sealing_key(connection: &mut Connection, id: Uuid) -> QueryResult<Option<Vec<u8>>> {
    let found: Option<Option<Vec<u8>>> = worker_instances::table
        .find(id)
        .select(worker_instances::sealing_key)
        .first(connection)
        .await
        .optional()?;
    Ok(found.flatten())
}

/// Starts or renews the lease of one instance. What is sealed for it is sealed with `sealing_key`.
pub async fn upsert_instance(
    connection: &mut Connection,
    id: Uuid,
    worker_name: &str,
    lease_seconds: f64,
    sealing_key: Option<&[u8; 32]>,
) -> QueryResult<usize> {
    sql_query(
        "insert into worker_instances (id, worker_name, lease_expires_at, sealing_key)
         values ($1, $2, now() + make_interval(secs => $3), $4)
         on conflict (id) do update set lease_expires_at = excluded.lease_expires_at, sealing_key = excluded.sealing_key",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(worker_name)
    .bind::<Double, _>(lease_seconds)
    .bind::<Nullable<Binary>, _>(sealing_key.map(|key| key.to_vec()))
    .execute(connection)
    .await
}

/// Renews the leases of all these instances in one statement.
pub async fn renew(connection: &mut Connection, ids: &[Uuid], lease_seconds: f64) -> QueryResult<usize> {
    sql_query("update worker_instances set lease_expires_at = now() + make_interval(secs => $2) where id = any($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Double, _>(lease_seconds)
        .execute(connection)
        .await
}

/// Ends the lease of an instance that has said goodbye.
pub async fn end_lease(connection: &mut Connection, id: Uuid) -> QueryResult<usize> {
    diesel::update(worker_instances::table.find(id))
        .set(worker_instances::lease_expires_at.eq(diesel::dsl::now))
        .execute(connection)
        .await
}

/// Stores the beginning of a session.
pub async fn open_session(connection: &mut Connection, id: Uuid, instance_id: Uuid, server_id: Uuid, hostname: &str) -> QueryResult<usize> {
    diesel::insert_into(worker_sessions::table)
        .values((
            worker_sessions::id.eq(id),
            worker_sessions::instance_id.eq(instance_id),
            worker_sessions::server_id.eq(server_id),
            worker_sessions::hostname.eq(hostname),
            // Not the transaction's start: of two that wait for one name's lock, the one that gets it later is the newer.
            worker_sessions::connected_at.eq(diesel::dsl::sql::<diesel::sql_types::Timestamptz>("clock_timestamp()")),
        ))
        .execute(connection)
        .await
}

/// Stores the end of a session.
pub async fn close_session(connection: &mut Connection, id: Uuid, reason: &str) -> QueryResult<usize> {
    diesel::update(worker_sessions::table.find(id))
        .filter(worker_sessions::ended_at.is_null())
        .set((
            worker_sessions::ended_at.eq(diesel::dsl::now),
            worker_sessions::end_reason.eq(reason),
        ))
        .execute(connection)
        .await
}

/// Locks an instance's row. Whoever takes a session of it in or out holds this lock.
pub async fn lock(connection: &mut Connection, id: Uuid) -> QueryResult<Option<Uuid>> {
    worker_instances::table
        .find(id)
        .select(worker_instances::id)
        .for_update()
        .first(connection)
        .await
        .optional()
}

/// Whether an instance has an open session that began after this one.
pub async fn has_newer_session(connection: &mut Connection, id: Uuid, session_id: Uuid) -> QueryResult<bool> {
    let (ours, newer) = diesel::alias!(worker_sessions as ours, worker_sessions as newer);
    let begun = ours
        .filter(ours.field(worker_sessions::id).eq(session_id))
        .select(ours.field(worker_sessions::connected_at));
    let open = newer
        .filter(
            newer
                .field(worker_sessions::instance_id)
                .eq(id)
                .and(newer.field(worker_sessions::ended_at).is_null()),
        )
        .filter(newer.field(worker_sessions::connected_at).nullable().gt(begun.single_value()));
    diesel::select(diesel::dsl::exists(open)).get_result(connection).await
}

/// Those of these instances whose lease has run out. One that isn't known has none.
pub async fn lapsed(connection: &mut Connection, ids: &[Uuid]) -> QueryResult<Vec<Uuid>> {
    let running: Vec<Uuid> = worker_instances::table
        .filter(
            worker_instances::id
                .eq_any(ids)
                .and(worker_instances::lease_expires_at.ge(diesel::dsl::now)),
        )
        .select(worker_instances::id)
        .load(connection)
        .await?;
    Ok(ids.iter().copied().filter(|id| !running.contains(id)).collect())
}
