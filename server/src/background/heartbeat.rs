//! This server's signs of life, for other servers.

use tracing::{info, warn};

use super::{Calm, Surroundings, ticks};
use crate::flow::{Topic, servers};

/// Signs of life within the time after which a silent server is dead.
const BEATS: u32 = 5;

/// Gives a sign of life, about once a second. A server that finds that it was taken for dead sends its workers to dial again: their
/// sessions may have been taken out, and a new Hello puts everything right.
pub(super) async fn run(around: Surroundings, beats: Calm) {
    let timers = around.flow.timers;
    let mut ticks = ticks(timers.poll.min(timers.server_timeout / BEATS));
    let mut alone = true;
    loop {
        ticks.tick().await;
        let beat = servers::beat(&around.flow, &around.hostname, &around.address);
        match tokio::time::timeout(timers.server_timeout, beat).await {
            Ok(Ok(beat)) => {
                if beat.is_new {
                    warn!("this server was taken for dead; its workers dial again");
                    around.registry.redirect_all("the server was taken for dead");
                }
                if beat.others == alone {
                    alone = !beat.others;
                    info!(alone, "other servers came or went");
                    // Whoever hears this knows that there is somebody to send hints to.
                    around.flow.hints.wake(&Topic::Commands);
                }
            }
            failed => {
                warn!(failed = ?failed.map(|beat| beat.map_err(|error| error.to_string())), "no sign of life could be given");
                beats.disturb();
            }
        }
    }
}
