//! What runs beside the requests: the reaper, and the renewal of leases.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, info_span, warn};

use crate::{
    flow::{Error, Flow, expire},
    session::Registry,
};

/// Starts the timers. They end with `shutdown`.
pub fn start(flow: &Flow, registry: &Registry, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let (reaped, token) = (flow.clone(), shutdown.clone());
    tasks.spawn(async move { reap(reaped, token).await }.instrument(info_span!("reaper")));
    let (renewed, registry, token) = (flow.clone(), registry.clone(), shutdown.clone());
    tasks.spawn(async move { renew(renewed, registry, token).await }.instrument(info_span!("renewal")));
}

/// Takes back what nobody holds any more. Leases are left alone for a whole lease after the start: workers could not renew while there
/// was no server.
async fn reap(flow: Flow, shutdown: CancellationToken) {
    let leases_from = Instant::now() + flow.timers.lease;
    let mut ticks = ticks(flow.timers.poll);
    while tick(&mut ticks, &shutdown).await {
        log(expire::offers(&flow).await);
        if Instant::now() >= leases_from {
            log(expire::leases(&flow).await);
        }
    }
}

/// Renews the leases of all connected workers, several times within a lease.
async fn renew(flow: Flow, registry: Registry, shutdown: CancellationToken) {
    const RENEWALS_PER_LEASE: u32 = 10;
    let mut ticks = ticks((flow.timers.lease / RENEWALS_PER_LEASE).min(flow.timers.ping_interval));
    while tick(&mut ticks, &shutdown).await {
        log(expire::renew(&flow, &registry.instances()).await);
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn tick(ticks: &mut tokio::time::Interval, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        _ = ticks.tick() => true,
        () = shutdown.cancelled() => false,
    }
}

fn log(outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        warn!(%error, "a background pass failed; the next one tries again");
    }
}
