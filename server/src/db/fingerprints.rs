//! Tables `login_fingerprints` and `fleet_settings`: which volume has which login, told by keyed fingerprints.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{fleet_settings, login_fingerprints},
};

/// The key of all fingerprints of this fleet.
pub async fn key(connection: &mut Connection) -> QueryResult<Vec<u8>> {
    fleet_settings::table
        .select(fleet_settings::fingerprint_key)
        .first(connection)
        .await
}

/// Notes that a volume has a login, and returns the volume that had it first: the same one, or another.
pub async fn first_holder(connection: &mut Connection, fingerprint: &str, volume: &str) -> QueryResult<String> {
    diesel::insert_into(login_fingerprints::table)
        .values((
            login_fingerprints::fingerprint.eq(fingerprint),
            login_fingerprints::volume_name.eq(volume),
        ))
        .on_conflict(login_fingerprints::fingerprint)
        .do_update()
        .set(login_fingerprints::last_seen_at.eq(diesel::dsl::now))
        .returning(login_fingerprints::volume_name)
        .get_result(connection)
        .await
}

/// Forgets the logins that a volume has had: somebody has logged it in anew, or out.
pub async fn forget(connection: &mut Connection, volume: &str) -> QueryResult<usize> {
    diesel::delete(login_fingerprints::table.filter(login_fingerprints::volume_name.eq(volume)))
        .execute(connection)
        .await
}
