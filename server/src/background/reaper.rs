//! Takes back what nobody holds any more. Of all servers one does it at a time.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::{Calm, Surroundings, log, ticks};
use crate::{
    db::reaper_lock::ReaperLock,
    flow::{Error, command, expire, gate, overdue, servers},
};

/// How often commands that nobody answered are swept up.
const SWEEP: Duration = Duration::from_secs(10);

/// Passes of the reaper, while this server has the lock.
///
/// Leases are left alone for a whole lease after the start, and after each renewal that failed: workers could not renew while there was no
/// server, or no database. Servers are taken for dead only while this one's own signs of life get through.
pub(super) async fn run(around: Surroundings, renewals: Calm, beats: Calm) {
    let timers = around.flow.timers;
    let mut lock = ReaperLock::default();
    let mut was_held = false;
    let (mut orphans_at, mut sweep_at) = (Instant::now(), Instant::now());
    let mut ticks = ticks(timers.poll.min(timers.lease / 10));
    loop {
        ticks.tick().await;
        let held = lock.is_held(&around.database).await;
        if held != was_held {
            info!(held, "this server began or ceased to be the reaper");
            was_held = held;
        }
        if !held {
            continue;
        }
        log(expire::offers(&around.flow).await);
        log(overdue::fail(&around.flow).await);
        // What only time has moved: a check that has become too old, a limit that is over.
        log(gate::pass(&around.flow).await);
        if beats.has_lasted(timers.server_timeout) {
            log(sessions(&around, &mut orphans_at).await);
        }
        if renewals.has_lasted(timers.lease) {
            log(expire::leases(&around.flow).await);
        }
        if Instant::now() >= sweep_at {
            log(command::sweep(&around.flow).await);
            sweep_at = Instant::now() + SWEEP;
        }
    }
}

/// Takes out sessions without a stream: those of dead servers, looked for when one has died and now and then, and those of workers that
/// were told to move and never arrived.
async fn sessions(around: &Surroundings, orphans_at: &mut Instant) -> Result<(), Error> {
    let died = servers::bury(&around.flow).await?;
    if died || Instant::now() >= *orphans_at {
        servers::take_out_orphans(&around.flow).await?;
        *orphans_at = Instant::now() + around.flow.timers.server_timeout;
    }
    servers::take_out_strays(&around.flow).await
}
