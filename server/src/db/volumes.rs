//! Table `auth_volumes`: logins, and who holds them.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Double, Text},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection,
    schema::{auth_volumes, shards, worker_instances, workers},
};
use crate::domain::{
    login::Known,
    preflight,
    volume::{self, Seen},
};

/// A volume as stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = auth_volumes)]
#[allow(
    missing_docs,
    reason = "the columns are the fields of the proto message AuthVolume, documented there"
)]
pub struct Volume {
    pub name: String,
    pub provider: volume::Provider,
    pub status: volume::Status,
    pub worker_affinity: Option<String>,
    pub owner_instance_id: Option<Uuid>,
    pub generation: i64,
    pub last_verified_at: Option<DateTime<Utc>>,
    pub diagnostics: Option<serde_json::Value>,
    pub notes: String,
    pub rung: Option<preflight::Rung>,
    pub status_message: String,
    pub open_until: Option<DateTime<Utc>>,
    pub cooling_until: Option<DateTime<Utc>>,
    pub capacity: i32,
    pub asked_at: Option<DateTime<Utc>>,
    pub reported_at: Option<DateTime<Utc>>,
}

impl Volume {
    /// What is known of its login.
    pub fn known(&self) -> Known {
        Known {
            status: self.status,
            rung: self.rung,
            message: self.status_message.clone(),
            verified_at: self.last_verified_at,
            open_until: self.open_until,
            cooling_until: self.cooling_until,
        }
    }
}

/// Makes a volume known; one that is known already is left as it is.
pub async fn insert(connection: &mut Connection, name: &str, provider: volume::Provider) -> QueryResult<usize> {
    diesel::insert_into(auth_volumes::table)
        .values((auth_volumes::name.eq(name), auth_volumes::provider.eq(provider)))
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}

/// The worker that holds a volume.
#[derive(Debug, Clone, PartialEq, Queryable)]
pub struct Holder {
    /// Its name.
    pub worker: String,
    /// Its host.
    pub hostname: String,
    /// Seconds until its lease runs out, unless it is renewed.
    pub lease_seconds: f64,
}

/// The worker that holds a volume with a running lease.
pub async fn holder(connection: &mut Connection, name: &str) -> QueryResult<Option<Holder>> {
    auth_volumes::table
        .inner_join(worker_instances::table.on(auth_volumes::owner_instance_id.eq(worker_instances::id.nullable())))
        .inner_join(workers::table.on(workers::name.eq(worker_instances::worker_name)))
        .filter(
            auth_volumes::name
                .eq(name)
                .and(worker_instances::lease_expires_at.gt(diesel::dsl::now)),
        )
        .select((
            workers::name,
            workers::hostname,
            sql::<Double>("extract(epoch from worker_instances.lease_expires_at - now())::double precision"),
        ))
        .first(connection)
        .await
        .optional()
}

/// Gives a volume, whose row the caller has locked, to an instance; a new owner raises the generation, which is returned.
pub async fn set_owner(connection: &mut Connection, volume: &Volume, instance_id: Uuid, worker_name: &str) -> QueryResult<i64> {
    let new_owner = volume.owner_instance_id != Some(instance_id);
    diesel::update(auth_volumes::table.find(&volume.name))
        .set((
            auth_volumes::owner_instance_id.eq(instance_id),
            auth_volumes::worker_affinity.eq(worker_name),
            // By the clock, so that it also grows past what the volume has seen of another database, or of this one before it was restored.
            new_owner.then(|| auth_volumes::generation.eq(sql::<BigInt>("greatest(generation + 1, extract(epoch from now())::bigint)"))),
            auth_volumes::updated_at.eq(diesel::dsl::now),
        ))
        .returning(auth_volumes::generation)
        .get_result(connection)
        .await
}

/// Gives up the volumes of an instance.
pub async fn release(connection: &mut Connection, instance_id: Uuid) -> QueryResult<usize> {
    diesel::update(auth_volumes::table)
        .filter(auth_volumes::owner_instance_id.eq(instance_id))
        .set((
            auth_volumes::owner_instance_id.eq(None::<Uuid>),
            auth_volumes::updated_at.eq(diesel::dsl::now),
        ))
        .execute(connection)
        .await
}

/// Finds a volume and locks its row.
pub async fn lock(connection: &mut Connection, name: &str) -> QueryResult<Option<Volume>> {
    auth_volumes::table
        .find(name)
        .select(Volume::as_select())
        .for_update()
        .first(connection)
        .await
        .optional()
}

/// Finds a volume.
pub async fn find(connection: &mut Connection, name: &str) -> QueryResult<Option<Volume>> {
    auth_volumes::table
        .find(name)
        .select(Volume::as_select())
        .first(connection)
        .await
        .optional()
}

/// Stores what is known of the login of a volume that the caller has locked.
pub async fn set_known(connection: &mut Connection, name: &str, known: &Known) -> QueryResult<usize> {
    diesel::update(auth_volumes::table.find(name))
        .set((
            auth_volumes::status.eq(known.status),
            auth_volumes::rung.eq(known.rung),
            auth_volumes::status_message.eq(&known.message),
            auth_volumes::last_verified_at.eq(known.verified_at),
            auth_volumes::open_until.eq(known.open_until),
            auth_volumes::cooling_until.eq(known.cooling_until),
            auth_volumes::updated_at.eq(diesel::dsl::now),
        ))
        .execute(connection)
        .await
}

/// Stores what the volume's worker sees of it.
pub async fn set_seen(connection: &mut Connection, name: &str, seen: &Seen) -> QueryResult<usize> {
    diesel::update(auth_volumes::table.find(name))
        .set((
            auth_volumes::diagnostics.eq(&seen.diagnostics),
            seen.capacity.map(|capacity| auth_volumes::capacity.eq(capacity)),
            auth_volumes::reported_at.eq(diesel::dsl::now),
            auth_volumes::updated_at.eq(diesel::dsl::now),
        ))
        .execute(connection)
        .await
}

/// Notes that a volume's login was renewed.
pub async fn raise_generation(connection: &mut Connection, name: &str) -> QueryResult<usize> {
    diesel::update(auth_volumes::table.find(name))
        .set(auth_volumes::generation.eq(auth_volumes::generation + 1))
        .execute(connection)
        .await
}

/// Replaces the operators' notes.
pub async fn set_notes(connection: &mut Connection, name: &str, notes: &str) -> QueryResult<usize> {
    diesel::update(auth_volumes::table.find(name))
        .set((auth_volumes::notes.eq(notes), auth_volumes::updated_at.eq(diesel::dsl::now)))
        .execute(connection)
        .await
}

/// Notes that the volume's worker is asked to check the login, unless that was noted within so many seconds. Whether it is to be asked now.
pub async fn ask(connection: &mut Connection, name: &str, at_most_every: f64) -> QueryResult<bool> {
    let asked = sql_query(
        "update auth_volumes set asked_at = now()
         where name = $1 and coalesce(asked_at < now() - make_interval(secs => $2), true)",
    )
    .bind::<Text, _>(name)
    .bind::<Double, _>(at_most_every)
    .execute(connection)
    .await?;
    Ok(asked == 1)
}

/// Generation of the lease of a queue's volume; 0 where it has none.
pub async fn generation_of_queue(connection: &mut Connection, queue: &str) -> QueryResult<i64> {
    let generation: Option<i64> = auth_volumes::table
        .inner_join(shards::table.on(shards::volume_name.eq(auth_volumes::name)))
        .filter(shards::queue_name.eq(queue))
        .select(auth_volumes::generation)
        .first(connection)
        .await
        .optional()?;
    Ok(generation.unwrap_or_default())
}

/// Locks volumes by their names, and those of queues, in the order of their names.
pub async fn lock_all(connection: &mut Connection, names: &[String], queues: &[String]) -> QueryResult<usize> {
    sql_query(
        "select from auth_volumes
         where name = any($1) or name in (select volume_name from shards where queue_name = any($2))
         order by name for update",
    )
    .bind::<Array<Text>, _>(names)
    .bind::<Array<Text>, _>(queues)
    .execute(connection)
    .await
}

/// Notes that the login was checked, so that nobody need ask for a while.
pub async fn asked(connection: &mut Connection, name: &str) -> QueryResult<usize> {
    diesel::update(auth_volumes::table.find(name))
        .set(auth_volumes::asked_at.eq(diesel::dsl::now))
        .execute(connection)
        .await
}
