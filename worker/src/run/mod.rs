//! The loop: offers in, jobs at work, reports out, drain.

mod adoption;
mod contact;
mod job;
mod jobs;
mod leftovers;
mod outcome;
mod stop;
mod worker;

use std::{sync::Arc, time::Duration};

use moorline_proto::v1;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{adoption::Claims, worker::Worker};
use crate::{
    config::Config,
    engine::{self, Engine},
    link::{self, Link},
    stage::STOP_GRACE,
    startup,
};

/// What jobs that are told to stop may take, before they are given up.
pub const STOP_LIMIT: Duration = STOP_GRACE.saturating_mul(3);

/// How a worker is told to go. A token alone tells it to drain.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take nothing new, finish what is at work, and go.
    pub drain: CancellationToken,
    /// Stop what is at work, and go.
    pub stop: CancellationToken,
}

impl From<CancellationToken> for Shutdown {
    fn from(drain: CancellationToken) -> Self {
        Self { drain, ..Self::default() }
    }
}

/// Why a worker can't start, or can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine can't be used.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Something that it needs is missing.
    #[error(transparent)]
    Startup(#[from] startup::Error),
    /// The server will not have it.
    #[error(transparent)]
    Link(#[from] link::Error),
    /// A task of its own broke.
    #[error("the worker's own task `{task}` ended unexpectedly: start the worker again, and report this with its log")]
    Task {
        /// Its name.
        task: &'static str,
    },
}

/// Checks what the worker needs, then serves until it is told to go and its jobs have ended.
///
/// # Errors
///
/// When something that it needs is missing, and when the server refuses it for good.
pub async fn run(config: Config, shutdown: impl Into<Shutdown>) -> Result<(), Error> {
    run_with(config, shutdown, watch::Sender::new(false)).await
}

/// The same, and tells whether there is a session: `true` after each Welcome, `false` when the line is lost.
///
/// # Errors
///
/// Those of [`run`].
pub async fn run_with(config: Config, shutdown: impl Into<Shutdown>, on_welcome: watch::Sender<bool>) -> Result<(), Error> {
    let shutdown = shutdown.into();
    let checked = async {
        let engine = engine::connect::choose(&config).await?;
        let recovered: Vec<crate::spool::Recovered> = Vec::new();
        let claims = adoption::find(&config, engine.as_ref(), &recovered).await?;
        let ready = startup::check(&config, &engine, !claims.is_empty()).await?;
        Ok::<_, Error>((engine, ready, claims))
    };
    let (engine, ready, claims) = tokio::select! {
        biased;
        () = shutdown.drain.cancelled() => return Ok(()),
        () = shutdown.stop.cancelled() => return Ok(()),
        checked = checked => checked?,
    };
    serve(Arc::new(config), engine, ready, claims, shutdown, on_welcome).await
}

/// Serves with an engine and a startup profile at hand.
async fn serve(
    config: Arc<Config>,
    engine: Arc<dyn Engine>,
    ready: startup::Ready,
    claims: Claims,
    shutdown: Shutdown,
    on_welcome: watch::Sender<bool>,
) -> Result<(), Error> {
    let hello = hello(&config, ready);
    let (link, handle, events) = Link::new(&config.server, hello)?;
    let worker = Worker::new(config, engine, handle, events, on_welcome).claiming(claims);
    worker.serve(link, shutdown).await
}

fn hello(config: &Config, ready: startup::Ready) -> v1::Hello {
    v1::Hello {
        worker_name: config.name.clone(),
        instance_id: uuid::Uuid::now_v7().to_string(),
        protocol_version: link::PROTOCOL_VERSION,
        hostname: Config::hostname(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        queues: config.queues.clone(),
        slots: i32::try_from(config.slots).unwrap_or(i32::MAX),
        volume: ready.volume,
        profile: Some(ready.profile),
        inventory: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
