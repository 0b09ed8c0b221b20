//! What the reaper does: offers that nobody accepted, leases that ran out, shards whose worker is gone.

use diesel_async::AsyncConnection as _;
use tracing::info;

use super::{Error, Flow, Topic, lost};
use crate::{
    db::{jobs, shards},
    domain::shard,
};

/// Most jobs that one pass takes back; the next pass takes more.
const BATCH: i64 = 200;

/// Offers again what nobody accepted in time.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn offers(flow: &Flow) -> Result<(), Error> {
    let queues = jobs::release_expired_offers(&mut *flow.connection().await?).await?;
    flow.hints.wake_all(queues.into_iter().map(Topic::Queue));
    Ok(())
}

/// Takes back the jobs of workers whose lease has run out. Not to be called before this server has run for a whole lease: until then
/// workers may not have had the chance to renew.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn leases(flow: &Flow) -> Result<(), Error> {
    let expired = jobs::running_without_lease(&mut *flow.connection().await?, BATCH).await?;
    for job in &expired {
        lost::give_up(flow, job).await?;
    }
    flow.connection()
        .await?
        .transaction(async |connection| {
            for queue in shards::take_out_abandoned(connection).await? {
                info!(queue, "shard offline: the lease of its worker has run out");
                jobs::set_hold(connection, &queue, shard::Status::Offline.hold_reason()).await?;
            }
            Ok(())
        })
        .await
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
    shards::heard(&mut connection, instances).await?;
    Ok(())
}
