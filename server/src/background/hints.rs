//! Hints between servers. They make things quick; what they say is found by looking, too.

use std::time::Duration;

use secrecy::SecretString;
use tracing::{debug, warn};

use super::log;
use crate::{
    db::notify::{self, Listener},
    flow::{Flow, outgoing::Departure, servers},
};

/// Least time between two notifications: what comes meanwhile goes out together.
const GATHER: Duration = Duration::from_millis(5);

/// Longest pause before the connection is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Sends this server's hints to the others, outside of every other transaction.
pub(super) async fn send(flow: Flow) {
    loop {
        let departure = flow.hints.departure().await;
        log(servers::tell(&flow, &departure).await);
        tokio::time::sleep(GATHER).await;
    }
}

/// Hears the hints of others on a connection of its own, and makes another when it breaks.
pub(super) async fn hear(flow: Flow, database: SecretString) {
    let mut pause = Duration::from_millis(100);
    loop {
        match Listener::connect(&database).await {
            Ok(listener) => {
                debug!("hints of other servers are heard");
                pause = Duration::from_millis(100);
                // What was said while nobody listened is found by looking.
                flow.hints.wake_everyone_here();
                let broken = listen(&flow, listener).await;
                warn!(%broken, "hints of other servers are not heard for a moment; looking finds what they say");
            }
            Err(error) => warn!(%error, "hints of other servers are not heard; looking finds what they say"),
        }
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn listen(flow: &Flow, mut listener: Listener) -> notify::Error {
    loop {
        match listener.next().await {
            Ok(payload) => {
                let Some(heard) = Departure::read(&payload, flow.server_id) else {
                    continue;
                };
                flow.hints.set_heard(true);
                match heard {
                    Departure::Topics(topics) => topics.iter().for_each(|topic| flow.hints.wake_here(topic)),
                    Departure::Everything => flow.hints.wake_everyone_here(),
                }
            }
            Err(broken) => return broken,
        }
    }
}
