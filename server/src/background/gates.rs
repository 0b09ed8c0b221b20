//! Looks after the gates of the shards as soon as one has moved, or a job has come to wait before one.

use tracing::warn;

use super::Surroundings;
use crate::flow::{Topic, gate};

/// Passes, each after a hint. What no hint announced the reaper's own passes find.
pub(super) async fn run(around: Surroundings) {
    let subscription = around.flow.hints.subscribe([Topic::Gates]);
    loop {
        subscription.woken().await;
        if let Err(error) = gate::pass(&around.flow).await {
            warn!(%error, "the gates could not be looked after; the next pass does");
        }
    }
}
