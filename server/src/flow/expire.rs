//! What the reaper does: offers that nobody accepted, leases that ran out, shards whose worker is gone.

use diesel_async::AsyncConnection as _;
use tracing::{info, warn};

use super::{
    Error, Flow, Topic,
    lost::{self, When},
    steps,
};
use crate::{
    db::{Connection, jobs, shards},
    domain::shard,
    metrics,
};

/// Most jobs that one pass takes back; the next pass takes more.
const BATCH: i64 = 200;

/// Offers again what nobody accepted in time.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn offers(flow: &Flow) -> Result<(), Error> {
    let returned = jobs::release_expired_offers(&mut *flow.connection().await?).await?;
    metrics::LEASE_EXPIRIES.add(returned.len() as u64, ["offer".into()]);
    flow.hints.wake_all(steps::of_returns(returned, "lapsed"));
    Ok(())
}

/// Takes back the jobs of workers whose lease has run out. Not to be called before this server has run for a whole lease: until then
/// workers may not have had the chance to renew.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn leases(flow: &Flow) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    let lost = jobs::running_without_lease(&mut connection, BATCH).await?;
    lost::give_up(&mut connection, flow, &lost, When::LeaseHasLapsed).await?;
    for queue in shards::abandoned(&mut connection, None).await? {
        connection
            .transaction(async |connection| take_out(connection, &queue).await)
            .await?;
        flow.hints.wake(&Topic::Gates);
    }
    Ok(())
}

/// Takes a shard out of service. A worker that takes the volume meanwhile is waited for, and then found.
async fn take_out(connection: &mut Connection, queue: &str) -> Result<(), Error> {
    shards::lock(connection, queue).await?;
    if !shards::abandoned(connection, Some(queue)).await?.is_empty() {
        info!(queue, "shard offline: the lease of its worker has run out");
        shards::set_status(connection, queue, shard::Status::Offline, None).await?;
    }
    Ok(())
}

/// Renews the leases of these instances, in one statement, and notes a sign of life on their shards.
///
/// # Errors
///
/// When the database fails; the next pass tries again, long before a lease runs out.
pub async fn renew(flow: &Flow, instances: &[uuid::Uuid]) -> Result<(), Error> {
    if instances.is_empty() {
        return Ok(());
    }
    let mut connection = flow.connection().await?;
    crate::db::instances::renew(&mut connection, instances, flow.timers.lease.as_secs_f64()).await?;
    // The leases are renewed; this is for people.
    if let Err(error) = shards::heard(&mut connection, instances).await {
        warn!(%error, "a sign of life of shards was not noted");
    }
    Ok(())
}
