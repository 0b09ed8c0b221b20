//! What runs beside the requests: the reaper, and the renewal of leases.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, info_span, warn};

use crate::{
    flow::{Error, Flow, cancel, expire, overdue},
    session::Registry,
};

/// Starts the timers. They end with `shutdown`.
pub fn start(flow: &Flow, registry: &Registry, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let (flow, registry, shutdown) = (flow.clone(), registry.clone(), shutdown.clone());
    tasks.spawn(async move { keep_leases(flow, registry, shutdown).await }.instrument(info_span!("leases")));
}

/// Renews the leases of all connected workers, several times within a lease, and takes back what nobody holds any more.
///
/// Leases are left alone for a whole lease after the start, and after each renewal that failed: workers could not renew while there was no
/// server, or no database. That is why one task does both.
async fn keep_leases(flow: Flow, registry: Registry, shutdown: CancellationToken) {
    const RENEWALS_PER_LEASE: u32 = 10;
    let renewal = (flow.timers.lease / RENEWALS_PER_LEASE).min(flow.timers.ping_interval);
    let mut renew_at = Instant::now();
    let mut reap_from = Instant::now() + flow.timers.lease;
    let mut ticks = ticks(flow.timers.poll.min(renewal));
    while tick(&mut ticks, &shutdown).await {
        if Instant::now() >= renew_at {
            let began = Instant::now();
            match expire::renew(&flow, &registry.instances()).await {
                Ok(()) => {
                    registry.note_renewal(began);
                    renew_at = began + renewal;
                }
                failed => {
                    log(failed);
                    reap_from = Instant::now() + flow.timers.lease;
                }
            }
        }
        log(expire::offers(&flow).await);
        log(overdue::fail(&flow).await);
        log(cancel::remind(&flow).await);
        if Instant::now() >= reap_from {
            log(expire::leases(&flow).await);
        }
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
