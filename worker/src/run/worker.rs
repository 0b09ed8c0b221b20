//! What the loop does with each thing that happens.

use std::{sync::Arc, time::Duration};

use moorline_proto::v1::{self, connect_request::Frame};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Error, STOP_LIMIT, Shutdown, adoption::Claims, job::Job, jobs::Jobs, leftovers::Leftovers, stop::Why};
use crate::{
    config::Config,
    engine::Engine,
    link::{Event, Handle, Lease, Link, Voice},
    stage::{STOP_GRACE, valid_id},
    startup,
};

/// What stopped jobs may take when the worker is to go at once: as long as an engine needs to kill one that doesn't stop by itself.
const HURRY: Duration = STOP_GRACE.saturating_add(Duration::from_secs(5));

/// All that the loop owns.
pub(super) struct Worker {
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
    /// What an earlier process has left at work, until the server has said what becomes of it.
    claims: Claims,
    /// Before the tasks: dropped first, it tells them that the process ends, and what runs in containers is left to the next one.
    jobs: Jobs,
    /// Jobs at work, each by the name of its lease.
    tasks: JoinSet<Lease>,
    /// Commands at work.
    commands: JoinSet<()>,
    /// What clears up after an earlier start, from the first welcome on.
    clearing: JoinSet<()>,
    /// Set once that is done: no job is asked for before.
    clear: bool,
    /// Set once jobs at work are stopped rather than finished.
    hurried: bool,
    on_welcome: watch::Sender<bool>,
}

impl Worker {
    pub(super) fn new(
        config: Arc<Config>,
        engine: Arc<dyn Engine>,
        handle: Handle,
        events: mpsc::Receiver<Event>,
        on_welcome: watch::Sender<bool>,
    ) -> Self {
        Self {
            jobs: Jobs::new(&config),
            config,
            engine,
            handle,
            events,
            voice: None,
            lease_duration: Duration::from_secs(600),
            self_fence: None,
            drained_by: None,
            claims: Claims::default(),
            tasks: JoinSet::new(),
            commands: JoinSet::new(),
            clearing: JoinSet::new(),
            clear: false,
            hurried: false,
            on_welcome,
        }
    }

    /// Goes on with these jobs of an earlier process, if the server lets it.
    pub(super) fn claiming(mut self, claims: Claims) -> Self {
        claims.leases().for_each(|lease| self.handle.ledger.open(lease));
        self.claims = claims;
        self
    }

    /// Holds the link and does what comes over it, until the worker is told to go and has nothing left.
    pub(super) async fn serve(mut self, link: Link, shutdown: Shutdown) -> Result<(), Error> {
        let farewell = link.farewell();
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
                Some(done) = self.clearing.join_next(), if !self.clearing.is_empty() => self.cleared(done)?,
                () = shutdown.drain.cancelled(), if drained_by.is_none() => self.drain(),
                () = shutdown.stop.cancelled(), if !self.hurried => self.hurry(),
                () = until(self_fence) => self.fence_itself(),
                () = until(drained_by) => if self.out_of_time() { break },
            }
        }
        farewell.cancel();
        self.events.close();
        link.await.map_err(|_| Error::Task { task: "link" })??;
        tracing::info!("the worker has stopped");
        Ok(())
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Welcomed(welcomed) => {
                self.lease_duration = welcomed.lease_duration;
                self.self_fence = None;
                self.voice = Some(welcomed.voice);
                self.adopt();
                self.on_welcome.send_replace(true);
                match self.drained_by {
                    Some(_) => self.say_draining(),
                    None if self.clear => self.credit_all(),
                    None if self.clearing.is_empty() => {
                        let leftovers = Leftovers {
                            config: self.config.clone(),
                            engine: self.engine.clone(),
                            spared: self.jobs.in_hand(),
                            why: self.claims.given_up(),
                        };
                        self.clearing.spawn(leftovers.clear());
                    }
                    None => {}
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
                self.claims.give_up(&lease, "its lease has passed on");
                self.settled(&lease);
            }
            Event::Settled(lease) => self.settled(&lease),
            Event::Command(command) => self.command(command),
        }
    }

    /// Goes on with what the server has let this worker keep of an earlier process's jobs.
    fn adopt(&mut self) {
        for claim in self.claims.kept() {
            let ticket = self.jobs.begin(&claim.lease, &claim.offer);
            let job = Job::new(&self.config, &self.engine, &self.handle, claim.offer, ticket);
            self.tasks.spawn(job.adopting(claim.adopted).run());
        }
    }

    /// Nothing is left of an earlier start.
    fn cleared(&mut self, done: Result<(), tokio::task::JoinError>) -> Result<(), Error> {
        done.map_err(|_| Error::Task { task: "clearing up" })?;
        self.clear = true;
        if self.drained_by.is_none() {
            self.credit_all();
        }
        Ok(())
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
        let job = Job::new(&self.config, &self.engine, &self.handle, offer, ticket);
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

    fn credit_all(&self) {
        self.jobs.free().for_each(|(queue, jobs)| self.credit(queue, jobs));
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
        self.drained_by = Some(Instant::now() + self.config.drain_grace);
        self.say_draining();
    }

    /// Told a second time: jobs are stopped, and the worker goes when they have ended or had the time to.
    fn hurry(&mut self) {
        self.hurried = true;
        if self.drained_by.is_none() {
            self.drain();
        }
        if self.jobs.stop_all(Why::Leaving) {
            tracing::warn!("the worker is to go at once: running jobs are stopped");
        }
        self.drained_by = Some(Instant::now() + HURRY);
    }

    fn say_draining(&self) {
        self.say(Frame::Draining(v1::Draining {
            reason: "the worker was told to stop".to_owned(),
        }));
    }

    fn is_drained(&self) -> bool {
        self.drained_by.is_some() && self.jobs.is_empty()
    }

    /// The time to drain is over: first the jobs are stopped, then the worker goes without waiting for acknowledgements. Agents at work are
    /// left to the next process of this name where the settings say so.
    fn out_of_time(&mut self) -> bool {
        let leaves = self.config.leave_agents && !self.hurried;
        let stopped = match leaves {
            true => self.jobs.stop_cheap(Why::Leaving),
            false => self.jobs.stop_all(Why::Leaving),
        };
        if stopped {
            tracing::warn!("the time to finish jobs is over: they are stopped");
            self.drained_by = Some(Instant::now() + STOP_LIMIT);
            return false;
        }
        if leaves && self.jobs.agents() > 0 {
            let agents = self.jobs.agents();
            tracing::warn!(
                agents,
                "the time to finish jobs is over: agents work on, and are left to the next start of this worker"
            );
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
