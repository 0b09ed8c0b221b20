//! The leases of the workers that are connected to this server.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::{Calm, Surroundings, ticks};
use crate::flow::expire;

/// Renewals within one lease.
const RENEWALS_PER_LEASE: u32 = 10;

/// Longest time that a renewal may take: on a dead line it would never end.
const DEADLINE: Duration = Duration::from_secs(10);

/// Renews the leases of all connected workers, several times within a lease. A server that can't for half a lease sends them elsewhere: it
/// may be cut off alone.
pub(super) async fn run(around: Surroundings, renewals: Calm) {
    let timers = around.flow.timers;
    let every = (timers.lease / RENEWALS_PER_LEASE).min(timers.ping_interval);
    let mut renew_at = Instant::now();
    let mut renewed_at = Instant::now();
    let mut ticks = ticks(timers.poll.min(every));
    loop {
        ticks.tick().await;
        let now = Instant::now();
        if now < renew_at {
            continue;
        }
        let instances = around.registry.instances();
        match tokio::time::timeout(DEADLINE, expire::renew(&around.flow, &instances)).await {
            Ok(Ok(())) => {
                around.registry.note_renewal(now);
                renewed_at = now;
                renew_at = now + every;
            }
            failed => {
                warn!(failed = ?failed.map(|renewed| renewed.map_err(|error| error.to_string())), "leases could not be renewed");
                renewals.disturb();
            }
        }
        if renewed_at.elapsed() > timers.lease / 2 && around.registry.count() > 0 {
            warn!("leases could not be renewed for half their time; the workers are sent to other servers");
            around
                .registry
                .redirect_all("this server can't renew leases: it has no connection to the database");
        }
    }
}
