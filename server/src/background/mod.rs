//! What runs beside the requests: signs of life, hints and commands between servers, the renewal of leases, and the reaper.

mod commands;
mod gates;
mod heartbeat;
mod hints;
mod leases;
mod reaper;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, info_span, warn};

use crate::{
    flow::{Error, Flow},
    session::Registry,
};

/// What the tasks work with. Cheap to clone.
#[derive(Clone)]
pub struct Surroundings {
    /// The use cases.
    pub flow: Flow,
    /// Who is connected to this server.
    pub registry: Registry,
    /// For the connections that a task has of its own.
    pub database: SecretString,
    /// This server's host, for other servers' operators.
    pub hostname: String,
    /// Where it listens.
    pub address: String,
    /// The tasks are this tracker's.
    pub tasks: TaskTracker,
    /// Ends the tasks. Not before the last session has left: until then leases must be renewed.
    pub ended: CancellationToken,
}

/// Starts the tasks.
pub fn start(around: &Surroundings) {
    let renewals = Calm::default();
    let beats = Calm::default();
    let spawn = |name: &'static str, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let ended = around.ended.clone();
        let task = async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = task => {}
            }
        };
        around.tasks.spawn(task.instrument(info_span!("background", task = name)));
    };
    spawn("heartbeat", Box::pin(heartbeat::run(around.clone(), beats.clone())));
    spawn("leases", Box::pin(leases::run(around.clone(), renewals.clone())));
    spawn("reaper", Box::pin(reaper::run(around.clone(), renewals, beats)));
    spawn("hints out", Box::pin(hints::send(around.flow.clone())));
    spawn("hints in", Box::pin(hints::hear(around.flow.clone(), around.database.clone())));
    spawn("gates", Box::pin(gates::run(around.clone())));
    spawn("commands", Box::pin(commands::run(around.clone())));
}

/// Since when nothing has gone wrong.
#[derive(Debug, Clone)]
struct Calm(Arc<Mutex<Instant>>);

impl Default for Calm {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Calm {
    fn disturb(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn has_lasted(&self, time: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= time
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn log(outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        warn!(%error, "a background pass failed; the next one tries again");
    }
}
