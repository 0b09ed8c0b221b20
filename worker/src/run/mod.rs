//! The loop: offers in, jobs at work, reports out, drain.

mod adoption;
mod clock;
mod commands;
mod contact;
mod credits;
mod job;
mod jobs;
mod leftovers;
mod outcome;
mod place;
mod stop;
mod worker;

use std::{sync::Arc, time::Duration};

use moorline_proto::v1;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{adoption::Claims, worker::Worker};
use crate::{
    collect::Collector,
    config::Config,
    engine::{self, Engine},
    health::{self, Vitals},
    link::{self, Ledger, Link},
    sealing::SealingKey,
    spool::{self, Recovered, Spool},
    startup,
    told::Told,
};

pub use crate::config::STOP_LIMIT;

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
    /// Its spool can't be used.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// Its health endpoint can't be had.
    #[error(transparent)]
    Health(#[from] health::Error),
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
    let asked = Arc::new(config.clone());
    let (config, taken) = match place::take(config).await {
        Ok(placed) => placed,
        Err(error) => {
            if !matches!(error, spool::Error::Busy { .. }) {
                // As below.
                startup::check(&asked, engine::connect::choose(&asked).await.as_ref(), false).await?;
            }
            return Err(error.into());
        }
    };
    let config = Arc::new(config);
    let vitals = Vitals::new(&config.name, config.slots);
    let _endpoint = match config.health_listen {
        Some(address) => Some(health::listen(address, vitals.clone()).await?),
        None => None,
    };
    let checked = async {
        let spooled = match taken {
            Some(opened) => opened,
            None => match open_spool(&config).await {
                Ok(opened) => opened,
                Err(error) => {
                    // Where the work root can't be used, the error names what else is missing.
                    startup::check(&config, engine::connect::choose(&config).await.as_ref(), false).await?;
                    return Err(error);
                }
            },
        };
        let engine = connect(&config).await?;
        let left = Left::find(&config, engine.as_ref(), spooled).await?;
        let ready = startup::check(&config, Ok(&engine), !left.claims.is_empty()).await?;
        Ok::<_, Error>((left, engine, ready))
    };
    let (left, engine, ready) = tokio::select! {
        biased;
        () = shutdown.drain.cancelled() => return Ok(()),
        () = shutdown.stop.cancelled() => return Ok(()),
        checked = checked => checked?,
    };
    serve(config, engine, ready, left, vitals, shutdown, on_welcome).await
}

/// Connects to the engine. Where that fails, the error also names what else is missing.
async fn connect(config: &Arc<Config>) -> Result<Arc<dyn Engine>, Error> {
    match engine::connect::choose(config).await {
        Ok(engine) => Ok(engine),
        Err(error) => {
            startup::check(config, Err(&error), false).await?;
            Err(error.into())
        }
    }
}

/// What an earlier process of this worker has left.
struct Left {
    spool: Spool,
    recovered: Vec<Recovered>,
    claims: Claims,
}

impl Left {
    async fn find(config: &Config, engine: &dyn Engine, (spool, recovered): (Spool, Vec<Recovered>)) -> Result<Self, Error> {
        let claims = adoption::find(config, engine, &recovered).await?;
        Ok(Self { spool, recovered, claims })
    }
}

/// Opens the spool, and waits while another process of this worker, one that still drains for example, has it.
async fn open_spool(config: &Config) -> Result<(Spool, Vec<Recovered>), Error> {
    let mut busy = 0_u32;
    loop {
        match Spool::open(config.spool()).await {
            Err(error @ spool::Error::Busy { .. }) => {
                // At first, then every ten minutes.
                if busy.is_multiple_of(1200) {
                    match place::second_of_login(config) {
                        Some(why) => tracing::warn!("standing by: {why}"),
                        None => tracing::info!("standing by: {error}"),
                    }
                }
                busy += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            opened => return Ok(opened?),
        }
    }
}

/// Serves with an engine, a startup profile and a spool at hand.
async fn serve(
    config: Arc<Config>,
    engine: Arc<dyn Engine>,
    ready: startup::Ready,
    left: Left,
    vitals: Vitals,
    shutdown: Shutdown,
    on_welcome: watch::Sender<bool>,
) -> Result<(), Error> {
    let sealing_key = SealingKey::generate();
    let hello = hello(&config, ready.profile, &sealing_key);
    let instance_id = hello.instance_id.clone();
    let ledger = Ledger::new(left.spool.clone(), &left.recovered);
    let told = |job: &Recovered| (job.lease.clone(), Arc::new(Told::of(&job.offer, &config.name)));
    let told = left.recovered.iter().map(told).collect();
    let unfinished = left.recovered.into_iter().filter(|job| job.finished.is_none()).map(|job| job.lease);
    let unfinished: Vec<_> = unfinished.collect();
    let (link, handle, events) = Link::new(&config.server, hello, ledger, ready.holding.clone(), &config.timers)?;
    let load = vitals.serve(instance_id, handle.clone(), left.spool.clone());
    let collecting = Collector::new(&config, &engine).run();
    let worker = Worker::new(config, engine, (handle, events), (left.spool, unfinished), load, on_welcome);
    let _collecting = AbortOnDropHandle::new(tokio::spawn(collecting));
    let worker = worker
        .recalling(told)
        .skilled(ready.skills)
        .holding(ready.holding, sealing_key)
        .claiming(left.claims);
    worker.serve(link, shutdown).await
}

fn hello(config: &Config, profile: v1::StartupProfile, sealing_key: &SealingKey) -> v1::Hello {
    v1::Hello {
        worker_name: config.name.clone(),
        instance_id: uuid::Uuid::now_v7().to_string(),
        protocol_version: link::PROTOCOL_VERSION,
        hostname: Config::hostname(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        queues: config.queues.clone(),
        slots: i32::try_from(config.slots).unwrap_or(i32::MAX),
        // As it is when the worker dials.
        volume: None,
        profile: Some(profile),
        inventory: Vec::new(),
        sealing_key: sealing_key.public().to_vec().into(),
    }
}

#[cfg(test)]
mod tests;
