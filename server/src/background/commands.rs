//! Cancels and commands for the workers that are connected to this server, whoever has asked.

use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Surroundings, log, ticks};
use crate::{
    domain::command::{Answer, Order},
    flow::{
        Error, Topic, cancel,
        command::{self, Taken},
        servers,
    },
};

/// Takes commands when a hint says so, and now and then by itself; then it also reminds the sessions of what is to be cancelled.
pub(super) async fn run(around: Surroundings) {
    let subscription = around.flow.hints.subscribe([Topic::Commands]);
    let mut ticks = ticks(around.flow.timers.poll);
    let mut ghosts_at = Instant::now();
    loop {
        tokio::select! {
            () = subscription.woken() => {}
            _ = ticks.tick() => log(cancel::remind(&around.flow).await),
        }
        if Instant::now() >= ghosts_at {
            log(servers::take_out_ghosts(&around.flow, || around.registry.instances()).await);
            ghosts_at = Instant::now() + around.flow.timers.server_timeout;
        }
        match command::take(&around.flow).await {
            Ok(taken) => taken.into_iter().for_each(|taken| deliver(&around, taken)),
            Err(error) => warn!(%error, "no look for commands"),
        }
    }
}

fn deliver(around: &Surroundings, taken: Taken) {
    match taken.order {
        // These wait for a worker, and others must not wait for them.
        Order::Probe => {
            let around = around.clone();
            around.tasks.clone().spawn(async move {
                if let Err(error) = probe(&around, &taken).await {
                    warn!(%error, "the answer to a probe could not be stored; the other server tries again");
                }
            });
        }
        Order::Replace => {
            around.registry.replace(taken.instance_id);
            let around = around.clone();
            around.tasks.clone().spawn(async move {
                if let Err(error) = command::finish(&around.flow, taken.id, taken.instance_id, &Answer::Replaced).await {
                    debug!(%error, "that a stream was replaced could not be stored");
                }
            });
        }
        order => {
            // A session that is just ending doesn't take it; the worker's next session gets it.
            let heard = around.registry.command(taken.instance_id, taken.id, order);
            debug!(command_id = %taken.id, instance_id = %taken.instance_id, heard, "command passed on");
        }
    }
}

async fn probe(around: &Surroundings, taken: &Taken) -> Result<(), Error> {
    let alive = match around.registry.probe(taken.instance_id).await {
        Some(alive) => alive,
        None => {
            // The row says that there is a stream, and there is none: its end could not be stored.
            servers::take_out_session(&around.flow, taken.session_id).await?;
            false
        }
    };
    command::finish(&around.flow, taken.id, taken.instance_id, &Answer::Probed { alive }).await
}
