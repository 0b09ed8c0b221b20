//! The loop: offers in, jobs at work, reports out, drain.

mod job;
mod jobs;
mod stop;

use std::{sync::Arc, time::Duration};

use moorline_proto::v1::{self, connect_request::Frame};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{jobs::Jobs, stop::Why};
use crate::{
    config::Config,
    engine::{self, Engine},
    link::{self, Event, Handle, Lease, Link, Voice},
    stage::{STOP_GRACE, valid_id},
    startup,
};

/// Longest time that a worker which was told to go waits for its jobs.
pub const DRAIN_GRACE: Duration = Duration::from_secs(600);

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

/// Checks what the worker needs, then serves until `shutdown` is cancelled and its jobs have ended.
///
/// # Errors
///
/// When something that it needs is missing, and when the server refuses it for good.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    run_with(config, shutdown, watch::Sender::new(false)).await
}

/// The same, and tells whether there is a session: `true` after each Welcome, `false` when the line is lost.
///
/// # Errors
///
/// Those of [`run`].
pub async fn run_with(config: Config, shutdown: CancellationToken, on_welcome: watch::Sender<bool>) -> Result<(), Error> {
    let checked = async {
        let engine = engine::connect::choose(&config).await?;
        let ready = startup::check(&config, &engine).await?;
        Ok::<_, Error>((engine, ready))
    };
    let (engine, ready) = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        checked = checked => checked?,
    };
    serve(Arc::new(config), engine, ready, shutdown, on_welcome).await
}

/// Serves with an engine and a startup profile at hand.
async fn serve(
    config: Arc<Config>,
    engine: Arc<dyn Engine>,
    ready: startup::Ready,
    shutdown: CancellationToken,
    on_welcome: watch::Sender<bool>,
) -> Result<(), Error> {
    let hello = hello(&config, ready);
    let (link, handle, events) = Link::new(&config.server, hello)?;
    let worker = Worker {
        jobs: Jobs::new(&config),
        config,
        engine,
        handle,
        events,
        voice: None,
        lease_duration: Duration::from_secs(600),
        self_fence: None,
        drained_by: None,
        tasks: JoinSet::new(),
        commands: JoinSet::new(),
        on_welcome,
    };
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

/// All that the loop owns.
struct Worker {
    config: Arc<Config>,
    engine: Arc<dyn Engine>,
    handle: Handle,
    events: mpsc::Receiver<Event>,
    /// Set while there is a session.
    voice: Option<Voice>,
    lease_duration: Duration,
    /// When jobs must stop because their leases may have passed on: set while there is no session.
    self_fence: Option<Instant>,
    /// Set once the worker is going: when it goes at the latest.
    drained_by: Option<Instant>,
    jobs: Jobs,
    /// Jobs at work, each by the name of its lease.
    tasks: JoinSet<Lease>,
    /// Commands at work.
    commands: JoinSet<()>,
    on_welcome: watch::Sender<bool>,
}

impl Worker {
    async fn serve(mut self, link: Link, shutdown: CancellationToken) -> Result<(), Error> {
        let mut link = AbortOnDropHandle::new(tokio::spawn(link.run()));
        while !self.is_drained() {
            let (self_fence, drained_by) = (self.self_fence, self.drained_by);
            tokio::select! {
                Some(event) = self.events.recv() => self.event(event),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.ended(ended)?,
                Some(_) = self.commands.join_next(), if !self.commands.is_empty() => {}
                ended = &mut link => {
                    ended.map_err(|_| Error::Task { task: "link" })??;
                    return Err(Error::Task { task: "link" });
                }
                () = shutdown.cancelled(), if drained_by.is_none() => self.drain(),
                () = until(self_fence) => self.fence_itself(),
                () = until(drained_by) => if self.out_of_time() { break },
            }
        }
        tracing::info!("the worker has stopped");
        Ok(())
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Welcomed(welcomed) => {
                self.lease_duration = welcomed.lease_duration;
                self.self_fence = None;
                self.voice = Some(welcomed.voice);
                self.on_welcome.send_replace(true);
                match self.drained_by {
                    None => self.jobs.free().for_each(|(queue, jobs)| self.credit(queue, jobs)),
                    Some(_) => self.say_draining(),
                }
            }
            Event::Lost(last_contact) => {
                // At four fifths, so that the job has ended before the server may offer it to another worker.
                self.self_fence = Some(last_contact + self.lease_duration.mul_f64(0.8));
                self.voice = None;
                self.on_welcome.send_replace(false);
            }
            Event::Offer(offer) => self.offer(*offer),
            Event::Cancel(lease, reason) => self.cancel(&lease, &reason),
            Event::Fenced(lease, reason) => {
                tracing::warn!(job_id = %lease.job_id, lease_token = lease.token, %reason, "a job's lease has passed on; the job is stopped");
                self.jobs.stop(&lease, Why::Fenced);
                self.settled(&lease);
            }
            Event::Settled(lease) => self.settled(&lease),
            Event::Command(command) => self.command(command),
        }
    }

    fn offer(&mut self, offer: v1::Offer) {
        let lease = Lease::new(&offer.job_id, offer.lease_token);
        if let Some(reason) = self.refusal(&lease, &offer) {
            tracing::warn!(job_id = %offer.job_id, %reason, "an offer is refused");
            let reason = reason.to_owned();
            self.say(Frame::Reject(v1::Reject {
                job_id: lease.job_id,
                lease_token: lease.token,
                reason,
            }));
            return;
        }
        self.say(Frame::Accept(v1::Accept {
            job_id: lease.job_id.clone(),
            lease_token: lease.token,
        }));
        // The answer to an earlier offer of the same lease got lost: the job is at work already.
        if self.jobs.holds(&lease) {
            return;
        }
        // A newer claim of a job that is still at work here: the older one is void.
        for old in self.jobs.leases_of(&offer.job_id) {
            self.handle.ledger.forget(&old);
            self.event(Event::Fenced(old, "the job was claimed anew".to_owned()));
        }
        self.handle.ledger.open(&lease);
        let ticket = self.jobs.begin(&lease, &offer);
        let job = job::Job::new(&self.config, &self.engine, &self.handle, offer, ticket);
        self.tasks.spawn(job.run());
    }

    fn refusal(&self, lease: &Lease, offer: &v1::Offer) -> Option<&'static str> {
        if self.drained_by.is_some() {
            Some("the worker is going")
        } else if !valid_id(&offer.job_id) || !valid_id(&offer.run_id) {
            Some("the offer bears no valid ids")
        } else if !self.jobs.holds(lease) && self.jobs.leases_of(&offer.job_id).is_empty() && !self.jobs.has_room(&offer.queue) {
            Some("the worker has no room in that queue")
        } else {
            None
        }
    }

    fn cancel(&mut self, lease: &Lease, reason: &str) {
        if self.jobs.stop(lease, Why::Cancelled) {
            tracing::info!(job_id = %lease.job_id, %reason, "a job is cancelled");
        }
    }

    fn command(&mut self, command: v1::Command) {
        let (config, engine, handle, voice) = (self.config.clone(), self.engine.clone(), self.handle.clone(), self.voice.clone());
        self.commands.spawn(async move {
            let result = startup::answer(&config, &engine, &handle, command).await;
            if let Some(voice) = voice {
                voice.say(Frame::CommandResult(result));
            }
        });
    }

    /// A job's task has ended; its slot is free once its end is acknowledged, too.
    fn ended(&mut self, ended: Result<Lease, tokio::task::JoinError>) -> Result<(), Error> {
        // A job's task catches the panics of its stage, so this is one of the loop's own.
        let lease = ended.map_err(|_| Error::Task { task: "job" })?;
        let freed = self.jobs.ended(&lease);
        self.freed(freed);
        Ok(())
    }

    fn settled(&mut self, lease: &Lease) {
        let freed = self.jobs.settled(lease);
        self.freed(freed);
    }

    fn freed(&self, queue: Option<String>) {
        if let Some(queue) = queue.filter(|_| self.drained_by.is_none()) {
            self.credit(&queue, 1);
        }
    }

    fn credit(&self, queue: &str, jobs: u32) {
        let jobs = i32::try_from(jobs).unwrap_or(i32::MAX);
        self.say(Frame::Credit(v1::Credit {
            queue: queue.to_owned(),
            jobs,
        }));
    }

    fn say(&self, frame: Frame) {
        if let Some(voice) = &self.voice {
            voice.say(frame);
        }
    }

    fn fence_itself(&mut self) {
        self.self_fence = None;
        if self.jobs.stop_all(Why::LostContact) {
            tracing::error!("no contact with the server for four fifths of the lease: running jobs are stopped, others may have them soon");
        }
    }

    fn drain(&mut self) {
        tracing::info!(
            jobs = self.tasks.len(),
            "the worker is going: it takes nothing new and finishes what it has"
        );
        self.drained_by = Some(Instant::now() + DRAIN_GRACE);
        self.say_draining();
    }

    fn say_draining(&self) {
        self.say(Frame::Draining(v1::Draining {
            reason: "the worker was told to stop".to_owned(),
        }));
    }

    fn is_drained(&self) -> bool {
        self.drained_by.is_some() && self.jobs.is_empty()
    }

    /// The time to drain is over: first the jobs are stopped, then the worker goes without waiting for acknowledgements.
    fn out_of_time(&mut self) -> bool {
        if self.jobs.stop_all(Why::Leaving) {
            tracing::warn!("the time to finish jobs is over: they are stopped");
            self.drained_by = Some(Instant::now() + 3 * STOP_GRACE);
            return false;
        }
        tracing::warn!(
            jobs = self.handle.ledger.inventory().len(),
            "the worker goes although the server has not acknowledged every report"
        );
        true
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
