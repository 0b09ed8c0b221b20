//! Table `auth_volumes`: logins, and who holds them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection,
    schema::{auth_volumes, worker_instances, workers},
};
use crate::domain::{preflight, volume};

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
    use diesel::{dsl::sql, sql_types::Double};
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

/// Gives a volume, whose row the caller has locked, to an instance; a new owner raises the generation.
pub async fn set_owner(connection: &mut Connection, volume: &Volume, instance_id: Uuid, worker_name: &str) -> QueryResult<usize> {
    let new_owner = volume.owner_instance_id != Some(instance_id);
    diesel::update(auth_volumes::table.find(&volume.name))
        .set((
            auth_volumes::owner_instance_id.eq(instance_id),
            auth_volumes::worker_affinity.eq(worker_name),
            auth_volumes::generation.eq(volume.generation + i64::from(new_owner)),
            auth_volumes::updated_at.eq(diesel::dsl::now),
        ))
        .execute(connection)
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

/// What a login check makes of a volume that the caller has locked.
pub async fn checked(connection: &mut Connection, volume: &Volume, check: preflight::Status, at: DateTime<Utc>) -> QueryResult<usize> {
    let verified = if check == preflight::Status::Passed {
        Some(at)
    } else {
        volume.last_verified_at
    };
    diesel::update(auth_volumes::table.find(&volume.name))
        .set((
            auth_volumes::status.eq(volume.status.after_check(check)),
            auth_volumes::last_verified_at.eq(verified),
            auth_volumes::updated_at.eq(at),
        ))
        .execute(connection)
        .await
}

/// Stores what the volume's worker sees of it.
pub async fn set_diagnostics(connection: &mut Connection, name: &str, diagnostics: serde_json::Value) -> QueryResult<usize> {
    diesel::update(auth_volumes::table.find(name))
        .set((
            auth_volumes::diagnostics.eq(diagnostics),
            auth_volumes::updated_at.eq(diesel::dsl::now),
        ))
        .execute(connection)
        .await
}
