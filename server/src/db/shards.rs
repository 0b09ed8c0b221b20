//! Tables `shards` and `routing_settings`.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection,
    schema::{auth_volumes, routing_settings, shards, skill_policies, worker_instances},
    volumes::Volume,
};
use crate::domain::{job::HoldReason, login::Known, preflight, run, shard, volume};

/// A shard as stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = shards)]
#[allow(missing_docs, reason = "the columns are the fields of the proto message Shard, documented there")]
pub struct Shard {
    pub queue_name: String,
    /// As stored, with -1 for none: see [`Shard::index`].
    pub shard_index: i32,
    pub volume_name: String,
    pub status: shard::Status,
    pub hash_modulo: i32,
    pub worker_hostname: Option<String>,
    pub last_heartbeat_at: Option<DateTime<Utc>>,
    pub drained_at: Option<DateTime<Utc>>,
    pub drain_reason: String,
}

/// What is stored for the number of a queue that has none. Servers from before Gemini read a number from every row.
pub const NO_INDEX: i32 = -1;

impl Shard {
    /// Number in the queue's name; `None` for `gemini`.
    pub fn index(&self) -> Option<i32> {
        (self.shard_index != NO_INDEX).then_some(self.shard_index)
    }
}

/// Inserts a shard; one that is there already is left as it is.
pub async fn insert(connection: &mut Connection, shard: &Shard) -> QueryResult<usize> {
    diesel::insert_into(shards::table)
        .values(shard)
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}

/// Finds a shard by its queue.
pub async fn find(connection: &mut Connection, queue: &str) -> QueryResult<Option<Shard>> {
    shards::table
        .find(queue)
        .select(Shard::as_select())
        .first(connection)
        .await
        .optional()
}

/// All shards with their volumes, or the one of a queue, in the order of their numbers, `gemini` last.
pub async fn with_volumes(connection: &mut Connection, queue: Option<&str>) -> QueryResult<Vec<(Shard, Volume)>> {
    let mut query = shards::table
        .inner_join(auth_volumes::table.on(auth_volumes::name.eq(shards::volume_name)))
        .order((shards::shard_index.eq(NO_INDEX), shards::shard_index))
        .select((Shard::as_select(), Volume::as_select()))
        .into_boxed();
    if let Some(queue) = queue {
        query = query.filter(shards::queue_name.eq(queue));
    }
    query.load(connection).await
}

/// Says that a shard's worker is there, or isn't.
pub async fn set_status(
    connection: &mut Connection,
    queue: &str,
    status: shard::Status,
    worker_hostname: Option<&str>,
) -> QueryResult<usize> {
    diesel::update(shards::table.find(queue))
        .set((
            shards::status.eq(status),
            worker_hostname.map(|hostname| shards::worker_hostname.eq(hostname)),
            worker_hostname.map(|_| shards::last_heartbeat_at.eq(diesel::dsl::now)),
            shards::updated_at.eq(diesel::dsl::now),
        ))
        .execute(connection)
        .await
}

/// Notes a sign of life for the shards whose volume is held by one of these instances.
pub async fn heard(connection: &mut Connection, instances: &[Uuid]) -> QueryResult<usize> {
    sql_query(
        "with held as (
             select queue_name from shards join auth_volumes on auth_volumes.name = shards.volume_name
             where auth_volumes.owner_instance_id = any($1) order by queue_name for update of shards)
         update shards set last_heartbeat_at = now() from held where shards.queue_name = held.queue_name",
    )
    .bind::<diesel::sql_types::Array<SqlUuid>, _>(instances)
    .execute(connection)
    .await
}

/// Queues of active shards whose volume nobody holds with a running lease: all of them, or the one that is asked for.
pub async fn abandoned(connection: &mut Connection, only: Option<&str>) -> QueryResult<Vec<String>> {
    let held = auth_volumes::table
        .inner_join(worker_instances::table.on(auth_volumes::owner_instance_id.eq(worker_instances::id.nullable())))
        .filter(
            auth_volumes::name
                .eq(shards::volume_name)
                .and(worker_instances::lease_expires_at.ge(diesel::dsl::now)),
        );
    let mut query = shards::table
        .filter(
            shards::status
                .ne(shard::Status::Offline)
                .and(diesel::dsl::not(diesel::dsl::exists(held))),
        )
        .select(shards::queue_name)
        .into_boxed();
    if let Some(only) = only {
        query = query.filter(shards::queue_name.eq(only));
    }
    query.load(connection).await
}

/// Finds a shard and locks its row.
pub async fn lock(connection: &mut Connection, queue: &str) -> QueryResult<Option<Shard>> {
    shards::table
        .find(queue)
        .select(Shard::as_select())
        .for_update()
        .first(connection)
        .await
        .optional()
}

/// Whether a shard's volume is held by this instance; the volume stays locked until the transaction ends.
pub async fn lock_if_served_by(connection: &mut Connection, queue: &str, instance_id: Uuid) -> QueryResult<bool> {
    let volume = shards::table.find(queue).select(shards::volume_name).single_value();
    let owner: Option<Option<Uuid>> = auth_volumes::table
        .filter(auth_volumes::name.nullable().eq(volume))
        .select(auth_volumes::owner_instance_id)
        .for_update()
        .first(connection)
        .await
        .optional()?;
    Ok(owner.flatten() == Some(instance_id))
}

/// All that decides whether a shard's jobs are offered.
#[derive(Debug, Clone, QueryableByName)]
#[allow(missing_docs, reason = "columns of shards and auth_volumes")]
pub struct Gate {
    #[diesel(sql_type = Text)]
    pub queue: String,
    #[diesel(sql_type = Text)]
    pub status: shard::Status,
    #[diesel(sql_type = Bool)]
    pub drained: bool,
    #[diesel(sql_type = Text)]
    pub volume: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub owner_instance_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    volume_status: volume::Status,
    #[diesel(sql_type = Nullable<Text>)]
    rung: Option<preflight::Rung>,
    #[diesel(sql_type = Text)]
    status_message: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_verified_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    open_until: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cooling_until: Option<DateTime<Utc>>,
    /// Whether jobs wait in its queue.
    #[diesel(sql_type = Bool)]
    pub waiting: bool,
    /// Database time.
    #[diesel(sql_type = Timestamptz)]
    pub now: DateTime<Utc>,
}

impl Gate {
    /// What is known of its login.
    pub fn known(&self) -> Known {
        Known {
            status: self.volume_status,
            rung: self.rung,
            message: self.status_message.clone(),
            verified_at: self.last_verified_at,
            open_until: self.open_until,
            cooling_until: self.cooling_until,
        }
    }

    /// Why jobs of the shard wait, if they do.
    pub fn hold_reason(&self) -> Option<HoldReason> {
        shard::hold_reason(self.status, self.drained, self.known().login(self.now))
    }
}

const GATE: &str =
    "select shards.queue_name as queue, shards.status, shards.drained_at is not null as drained, auth_volumes.name as volume,
        auth_volumes.owner_instance_id, auth_volumes.status as volume_status, auth_volumes.rung, auth_volumes.status_message,
        auth_volumes.last_verified_at, auth_volumes.open_until, auth_volumes.cooling_until, clock_timestamp() as now";

/// The gates of all shards.
pub async fn gates(connection: &mut Connection) -> QueryResult<Vec<Gate>> {
    sql_query(format!(
        "{GATE}, exists (select from jobs where jobs.queue = shards.queue_name and finished_at is null and lease_instance_id is null) as waiting
         from shards join auth_volumes on auth_volumes.name = shards.volume_name order by shards.queue_name"
    ))
    .load(connection)
    .await
}

/// The gates of some queues; queues without a shard are left out. The rows stay locked until the transaction ends: a gate that opens or shuts
/// meanwhile waits.
pub async fn lock_gates(connection: &mut Connection, queues: &[String]) -> QueryResult<Vec<Gate>> {
    // Volumes before shards, as whoever takes a shard into or out of service.
    sql_query("select from auth_volumes where name in (select volume_name from shards where queue_name = any($1)) order by name for share")
        .bind::<diesel::sql_types::Array<Text>, _>(queues)
        .execute(connection)
        .await?;
    sql_query(format!(
        "{GATE}, false as waiting from shards join auth_volumes on auth_volumes.name = shards.volume_name
         where shards.queue_name = any($1) order by shards.queue_name for share"
    ))
    .bind::<diesel::sql_types::Array<Text>, _>(queues)
    .load(connection)
    .await
}

/// The gate of one queue, locked likewise.
pub async fn lock_gate(connection: &mut Connection, queue: &str) -> QueryResult<Gate> {
    let mut gates = lock_gates(connection, &[queue.to_owned()]).await?;
    gates.pop().ok_or(diesel::result::Error::NotFound)
}

/// Drains a shard that the caller has locked, for good, or lets it take work again.
pub async fn set_drained(connection: &mut Connection, queue: &str, reason: Option<&str>) -> QueryResult<usize> {
    sql_query(
        "update shards set drained_at = case when $2 is null then null else coalesce(drained_at, now()) end, drain_reason = coalesce($2, ''),
            updated_at = now()
         where queue_name = $1",
    )
    .bind::<Text, _>(queue)
    .bind::<Nullable<Text>, _>(reason)
    .execute(connection)
    .await
}

/// The latest run of a queue.
pub async fn latest_run(connection: &mut Connection, queue: &str) -> QueryResult<Option<(Uuid, run::Status)>> {
    use super::schema::runs;
    runs::table
        .filter(runs::codex_queue.eq(queue))
        .order(runs::created_at.desc())
        .select((runs::id, runs::status))
        .first(connection)
        .await
        .optional()
}

/// How new runs are routed now.
#[derive(Debug, Clone)]
pub struct Routing {
    /// The modulo; `None` before the first start.
    pub hash_modulo: Option<i32>,
    /// Every shard.
    pub shards: Vec<Shard>,
    /// The version of the policy of skills that new runs follow; `None` before the first start.
    pub policy_version: Option<i64>,
    /// Database time.
    pub now: DateTime<Utc>,
}

/// Reads how new runs are routed now, and which policy they follow, in one statement.
pub async fn routing(connection: &mut Connection) -> QueryResult<Routing> {
    type Line = (i32, Option<Shard>, DateTime<Utc>, Option<i64>);
    let now = diesel::dsl::sql::<diesel::sql_types::Timestamptz>("clock_timestamp()");
    let policy = skill_policies::table
        .select(diesel::dsl::max(skill_policies::version))
        .single_value();
    let rows: Vec<Line> = routing_settings::table
        .left_join(shards::table.on(diesel::dsl::sql::<diesel::sql_types::Bool>("true")))
        .select((routing_settings::hash_modulo, Option::<Shard>::as_select(), now, policy))
        .load(connection)
        .await?;
    let first = rows.as_slice().first();
    Ok(Routing {
        hash_modulo: first.map(|(modulo, ..)| *modulo),
        now: first.map(|(_, _, now, _)| *now).unwrap_or_default(),
        policy_version: first.and_then(|(.., version)| *version),
        shards: rows.into_iter().filter_map(|(_, shard, ..)| shard).collect(),
    })
}

/// The modulo that new runs are routed by; `None` before the first start.
pub async fn hash_modulo(connection: &mut Connection) -> QueryResult<Option<i32>> {
    routing_settings::table
        .select(routing_settings::hash_modulo)
        .first(connection)
        .await
        .optional()
}

/// The same, locked until the transaction ends: queues are made by one server at a time.
pub async fn lock_hash_modulo(connection: &mut Connection) -> QueryResult<i32> {
    routing_settings::table
        .select(routing_settings::hash_modulo)
        .for_update()
        .first(connection)
        .await
}

/// Routes new runs by another modulo.
pub async fn set_hash_modulo(connection: &mut Connection, modulo: i32) -> QueryResult<usize> {
    diesel::update(routing_settings::table)
        .set((
            routing_settings::hash_modulo.eq(modulo),
            routing_settings::updated_at.eq(diesel::dsl::now),
        ))
        .execute(connection)
        .await
}

/// Sets the modulo at the first start; afterwards the database wins.
pub async fn seed_hash_modulo(connection: &mut Connection, modulo: i32) -> QueryResult<usize> {
    diesel::insert_into(routing_settings::table)
        .values(routing_settings::hash_modulo.eq(modulo))
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}
