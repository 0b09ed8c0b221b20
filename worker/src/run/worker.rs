//! What the loop does with each thing that happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use moorline_proto::v1::{self, command::Command as Ask, command_result::Result as Answer, connect_request::Frame};
use moorline_telemetry::step;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Error, STOP_LIMIT, Shutdown,
    adoption::Claims,
    clock::LeaseClock,
    commands::{self, Commands},
    contact::Contact,
    credits::Credits,
    job::Job,
    jobs::{Jobs, Ticket},
    leftovers::Leftovers,
    stop::Why,
};
use crate::{
    config::Config,
    engine::Engine,
    fingerprint,
    health::Load,
    holding::Holding,
    link::{Event, Handle, Lease, Link, Voice},
    metrics,
    redact::{chain, one_line},
    sealing::SealingKey,
    skill::Registry,
    spool::{self, Spool},
    stage::{Owner, STOP_GRACE, valid_id},
    told::Told,
};

/// What stopped jobs may take when the worker is to go at once: as long as an engine needs to kill one that doesn't stop by itself.
const HURRY: Duration = STOP_GRACE.saturating_add(Duration::from_secs(5));

/// How often the worker looks whether its spool takes jobs again.
const SPOOL_LOOK: Duration = Duration::from_secs(1);

/// What has the volume from the first Welcome on.
const CLEARING: &str = "clearing up after an earlier start";

/// What a worker that goes says of it.
const TOLD: &str = "the worker was told to stop";

/// An offer that is being put on the disk, or is there by now.
type Kept = (v1::Offer, Ticket, Result<(), spool::Error>);

/// All that the loop owns.
pub(super) struct Worker {
    config: Arc<Config>,
    engine: Arc<dyn Engine>,
    handle: Handle,
    events: mpsc::Receiver<Event>,
    spool: Spool,
    /// Jobs that an earlier process had accepted and not ended: what the spool keeps of those that don't go on is settled in time.
    unfinished: Vec<Lease>,
    /// Set while there is a session.
    voice: Option<Voice>,
    /// When jobs must stop because their leases may have passed on.
    clock: LeaseClock,
    credits: Credits,
    /// Set while the spool takes no more jobs, and that was said.
    crammed: bool,
    /// Set once the worker is going: when it goes at the latest.
    drained_by: Option<Instant>,
    /// What an earlier process has left at work, until the server has said what becomes of it.
    claims: Claims,
    /// Those that were given up without its word: a Hello that still names them may be on its way.
    abandoned: BTreeSet<Lease>,
    /// When they must be stopped, unless the server has spoken by then.
    claims_due: Option<Instant>,
    contact: Contact,
    /// Before the tasks: dropped first, it tells them that the process ends, and what runs in containers is left to the next one.
    jobs: Jobs,
    /// Jobs at work, each by the name of its lease.
    tasks: JoinSet<Lease>,
    /// Offers on their way to the disk: accepted once they are there.
    keeping: JoinSet<Kept>,
    /// The worker's hold on its volume, if it serves a shard.
    holding: Option<Holding>,
    /// The skills of its root.
    skills: Arc<Registry>,
    /// Opens what servers have sealed for this process.
    sealing_key: Arc<SealingKey>,
    /// Which jobs they are whose ends the server has not taken yet.
    told: BTreeMap<Lease, Arc<Told>>,
    commands: Commands,
    /// What is done beside.
    chores: JoinSet<()>,
    /// What clears up after an earlier start, from the first welcome on.
    clearing: JoinSet<()>,
    /// Set once that is done: no job is asked for before.
    clear: bool,
    /// Set once jobs at work are stopped rather than finished.
    hurried: bool,
    /// What it is at, for whoever asks.
    load: watch::Sender<Load>,
    on_welcome: watch::Sender<bool>,
}

impl Worker {
    pub(super) fn new(
        config: Arc<Config>,
        engine: Arc<dyn Engine>,
        (handle, events): (Handle, mpsc::Receiver<Event>),
        (spool, unfinished): (Spool, Vec<Lease>),
        load: watch::Sender<Load>,
        on_welcome: watch::Sender<bool>,
    ) -> Self {
        Self {
            jobs: Jobs::new(&config),
            contact: Contact::of(&config),
            config,
            engine,
            handle,
            events,
            spool,
            unfinished,
            load,
            voice: None,
            clock: LeaseClock::default(),
            credits: Credits::default(),
            crammed: false,
            drained_by: None,
            claims: Claims::default(),
            abandoned: BTreeSet::new(),
            claims_due: None,
            tasks: JoinSet::new(),
            keeping: JoinSet::new(),
            holding: None,
            skills: Arc::default(),
            sealing_key: Arc::new(SealingKey::generate()),
            commands: Commands::default(),
            chores: JoinSet::new(),
            clearing: JoinSet::new(),
            told: BTreeMap::new(),
            clear: false,
            hurried: false,
            on_welcome,
        }
    }

    /// Holds this volume, and opens what is sealed for this key.
    pub(super) fn holding(mut self, holding: Option<Holding>, sealing_key: SealingKey) -> Self {
        (self.holding, self.sealing_key) = (holding, Arc::new(sealing_key));
        self.note_capacity();
        self
    }

    /// Has these skills at hand.
    pub(super) fn skilled(mut self, skills: Arc<Registry>) -> Self {
        self.skills = skills;
        self
    }

    /// Knows these jobs of an earlier process: their ends may still be on their way.
    pub(super) fn recalling(mut self, told: BTreeMap<Lease, Arc<Told>>) -> Self {
        self.told = told;
        self
    }

    /// Goes on with these jobs of an earlier process, if the server lets it.
    pub(super) fn claiming(mut self, claims: Claims) -> Self {
        claims.leases().for_each(|lease| self.handle.ledger.open(lease));
        self.claims_due = Some(self.contact.due()).filter(|_| !claims.is_empty());
        self.claims = claims;
        self
    }

    /// Holds the link and does what comes over it, until the worker is told to go and has nothing left.
    pub(super) async fn serve(mut self, link: Link, shutdown: Shutdown) -> Result<(), Error> {
        let farewell = link.farewell();
        let mut link = AbortOnDropHandle::new(tokio::spawn(link.run()));
        let mut look = tokio::time::interval(SPOOL_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut line = self.handle.watch();
        let mut capacities = self.holding.as_ref().map(Holding::capacities);
        while !self.is_drained() {
            self.tell_load();
            let (self_fence, drained_by, claims_due) = (self.clock.due(), self.drained_by, self.claims_due);
            tokio::select! {
                Some(event) = self.events.recv() => self.event(event),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.ended(ended)?,
                Some(kept) = self.keeping.join_next(), if !self.keeping.is_empty() => self.kept(kept)?,
                _ = look.tick(), if self.credits.are_withheld() => self.look_at_the_spool(),
                Some(_) = self.chores.join_next(), if !self.chores.is_empty() => {}
                frame = self.commands.next(self.voice.is_some()) => self.say(frame),
                () = changed(capacities.as_mut()) => {
                    self.note_capacity();
                    self.credit();
                }
                ended = &mut link => {
                    let ended = ended.map_err(|_| Error::Task { task: "link" })?;
                    let error = ended.err().map_or(Error::Task { task: "link" }, Error::from);
                    self.stop_unwanted(&error).await?;
                    return Err(error);
                }
                Some(done) = self.clearing.join_next(), if !self.clearing.is_empty() => self.cleared(done)?,
                () = shutdown.drain.cancelled(), if drained_by.is_none() => self.drain(TOLD),
                () = shutdown.stop.cancelled(), if !self.hurried => self.hurry(),
                () = until(self_fence) => self.fence_itself(),
                () = until(claims_due) => self.give_up_claims("the server could not be reached for most of the lease that the worker had"),
                Ok(()) = line.changed() => {
                    let held = line.borrow_and_update().is_volume_held();
                    if held {
                        self.lose_volume();
                    }
                }
                () = until(drained_by) => if self.out_of_time() { break },
            }
        }
        for frame in self.commands.end(HURRY).await {
            self.say(frame);
        }
        farewell.cancel();
        self.events.close();
        link.await.map_err(|_| Error::Task { task: "link" })??;
        self.spool.settled().await;
        tracing::info!("the worker has stopped");
        Ok(())
    }

    fn event(&mut self, event: Event) {
        // By the clock, before anything else: this process may have been stopped for so long that its jobs are others' by now.
        if self.clock.is_over(Instant::now()) && self.clock.due().is_some() {
            self.fence_itself();
        }
        match event {
            Event::Welcomed(welcomed) => {
                self.clock.welcome(welcomed.renewed, welcomed.lease_duration, &self.config.timers);
                if let Some(lease) = welcomed.kept.iter().find(|lease| self.abandoned.contains(lease)) {
                    tracing::warn!(job_id = %lease.job_id, lease_token = lease.token,
                        "the server counts on a job that was given up while it was asked: the worker dials again without it");
                    welcomed.voice.hang_up();
                    return;
                }
                self.voice = Some(welcomed.voice);
                self.adopt();
                self.tell_volume(welcomed.volume_generation, welcomed.fingerprint_key);
                self.commands.again().into_iter().for_each(|frame| self.say(frame));
                self.note_contact();
                self.credits.clear();
                self.on_welcome.send_replace(true);
                match self.drained_by {
                    Some(_) => self.say_draining(TOLD),
                    None if self.clear => self.credit(),
                    None if self.clearing.is_empty() => {
                        // What is left with the volume may be a login's as well as a job's: none begins before that is gone.
                        let alone = self.holding.as_ref().and_then(|holding| holding.alone_now(CLEARING));
                        let clear = self.leftovers().clear();
                        self.clearing.spawn(async move {
                            clear.await;
                            drop(alone);
                        });
                    }
                    None => {}
                }
            }
            Event::Renewed(at) => {
                self.clock.renew(at);
                self.note_contact();
            }
            Event::Lost => {
                self.voice = None;
                self.on_welcome.send_replace(false);
            }
            Event::Offer(offer) => self.offer(*offer),
            Event::Cancel(lease, reason) => self.cancel(&lease, &reason),
            Event::Fenced(lease, reason) => {
                tracing::warn!(job_id = %lease.job_id, lease_token = lease.token, %reason, "a job's lease has passed on; the job is stopped");
                self.jobs.stop(&lease, Why::Fenced);
                self.claims.give_up(&lease, "its lease has passed on");
                self.reported(&lease, "fenced");
                self.settled(&lease);
            }
            Event::Settled(lease) => {
                self.reported(&lease, "acknowledged");
                self.settled(&lease);
            }
            Event::Command(command) => self.command(command),
        }
    }

    /// The server can't be asked, or has given this worker's place to another: what was left at work is stopped, before two use one login.
    fn give_up_claims(&mut self, why: &'static str) {
        self.claims_due = None;
        let leases: Vec<Lease> = self.claims.leases().cloned().collect();
        let containers = self.claims.give_up_all(why);
        for lease in &leases {
            self.handle.ledger.forget(lease);
        }
        self.abandoned.extend(leases);
        if !containers.is_empty() {
            self.chores.spawn(self.leftovers().clear_these(containers));
        }
    }

    fn leftovers(&self) -> Leftovers {
        Leftovers {
            config: self.config.clone(),
            engine: self.engine.clone(),
            spared: self.jobs.in_hand(),
            recovered: self.claims.recovered(),
            why: self.claims.given_up(),
        }
    }

    /// For the next process of this name.
    fn note_contact(&self) {
        if let Some((renewed, relied_on)) = self.clock.reliance() {
            self.contact.note(renewed, relied_on);
        }
    }

    /// Goes on with what the server has let this worker keep of an earlier process's jobs.
    fn adopt(&mut self) {
        self.claims_due = None;
        for claim in self.claims.kept() {
            let ticket = self.jobs.begin(&claim.lease, &claim.offer);
            let mut adopted = claim.adopted;
            // Now, and not only when its task has begun: the next thing that the server says may be a command.
            adopted.share = self
                .holding
                .as_ref()
                .map(|holding| holding.share_of_adopted(&Owner::from(&claim.offer)));
            let job = self.job(claim.offer, ticket);
            self.tasks.spawn(job.adopting(adopted).run());
        }
    }

    fn job(&mut self, offer: v1::Offer, ticket: Ticket) -> Job {
        let told = Arc::new(Told::of(&offer, &self.config.name));
        self.told.insert(ticket.lease.clone(), told.clone());
        Job::new(
            &self.config,
            &self.engine,
            &self.skills,
            self.holding.as_ref(),
            &self.handle,
            offer,
            (ticket, told),
        )
    }

    /// The server hears of the volume as it is; where the login has to be looked at before, as soon as that can be.
    fn tell_volume(&mut self, generation: i64, key: Option<fingerprint::Key>) {
        let Some(holding) = &self.holding else { return };
        match holding.welcomed(generation, key) {
            Some(report) => self.say(Frame::VolumeReport(report)),
            None => self.commands.check_at_last(holding),
        }
    }

    /// The shard's queue takes as many jobs as the login serves.
    fn note_capacity(&mut self) {
        if let Some(holding) = &self.holding {
            self.jobs.set_room(holding.queue(), holding.capacity());
        }
    }

    /// Nothing is left of an earlier start.
    fn cleared(&mut self, done: Result<(), tokio::task::JoinError>) -> Result<(), Error> {
        done.map_err(|_| Error::Task { task: "clearing up" })?;
        self.clear = true;
        for lease in std::mem::take(&mut self.unfinished) {
            if !self.handle.ledger.holds(&lease) {
                self.spool.settle_soon(&lease);
            }
        }
        self.credit();
        Ok(())
    }

    fn offer(&mut self, offer: v1::Offer) {
        let lease = Lease::new(&offer.job_id, offer.lease_token);
        if self.clock.is_over(Instant::now()) {
            tracing::warn!(job_id = %offer.job_id, "an offer is left unanswered: it may have waited here for longer than its lease");
            return;
        }
        // The answer to an earlier offer of the same lease got lost: the job is at work already, or is being kept.
        if self.jobs.holds(&lease) {
            if self.handle.ledger.holds(&lease) {
                self.accept(&lease);
            }
            return;
        }
        self.credits.spent(&offer.queue);
        if let Some(reason) = self.refusal(&offer) {
            self.reject(lease, reason);
            return;
        }
        // A newer claim of a job that is still at work here: the older one is void.
        for old in self.jobs.leases_of(&offer.job_id) {
            self.handle.ledger.forget(&old);
            self.event(Event::Fenced(old, "the job was claimed anew".to_owned()));
        }
        let (ticket, spool) = (self.jobs.begin(&lease, &offer), self.spool.clone());
        self.keeping.spawn(async move {
            let kept = spool.accept(&lease, &offer).await;
            (offer, ticket, kept)
        });
    }

    /// An offer is on the disk, so that another process of this worker would know of it: it is accepted, and begins.
    fn kept(&mut self, kept: Result<Kept, tokio::task::JoinError>) -> Result<(), Error> {
        let (offer, ticket, kept) = kept.map_err(|_| Error::Task { task: "spool" })?;
        let lease = ticket.lease.clone();
        if let Err(error) = kept {
            tracing::error!(job_id = %lease.job_id, error = %chain(&error), "a job is not begun, because it could not be kept on the disk");
            self.abandon(&lease);
            self.reject(lease, "the worker can't write its spool: see its log");
        } else if self.voice.is_none() || ticket.stop.why().is_some() || self.clock.is_over(Instant::now()) {
            // Without an answer the server offers it again, here or elsewhere.
            tracing::info!(job_id = %lease.job_id, "an offer is dropped: it can't be accepted any more");
            self.spool.settle_soon(&lease);
            self.abandon(&lease);
        } else {
            self.accept(&lease);
            self.handle.ledger.open(&lease);
            if let (Some(holding), Some(spec)) = (&self.holding, &offer.spec) {
                holding.raise(spec.volume_generation);
            }
            let job = self.job(offer, ticket);
            self.tasks.spawn(job.run());
        }
        Ok(())
    }

    fn abandon(&mut self, lease: &Lease) {
        let freed = self.jobs.abandon(lease);
        self.freed(freed);
    }

    fn accept(&self, lease: &Lease) {
        self.say(Frame::Accept(v1::Accept {
            job_id: lease.job_id.clone(),
            lease_token: lease.token,
        }));
    }

    fn reject(&self, lease: Lease, reason: &str) {
        metrics::REFUSED.count([]);
        tracing::warn!(job_id = %lease.job_id, %reason, "an offer is refused");
        self.say(Frame::Reject(v1::Reject {
            job_id: lease.job_id,
            lease_token: lease.token,
            reason: reason.to_owned(),
        }));
    }

    fn refusal(&self, offer: &v1::Offer) -> Option<&'static str> {
        if self.drained_by.is_some() {
            Some("the worker is going")
        } else if !valid_id(&offer.job_id) || !valid_id(&offer.run_id) {
            Some("the offer bears no valid ids")
        } else if self.jobs.leases_of(&offer.job_id).is_empty() && !self.jobs.has_room(&offer.queue) {
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
        let id = command.command_id;
        match command.command {
            Some(Ask::Drain(drain)) => {
                if self.drained_by.is_none() {
                    let reason = one_line(&drain.reason, 200);
                    self.drain(&format!("the worker was told to drain: {reason}"));
                }
                let running = i32::try_from(self.jobs.at_work()).unwrap_or(i32::MAX);
                self.answer(id, Answer::DrainBegun(v1::DrainBegun { running }));
            }
            Some(Ask::Stop(stop)) => self.commands.stop(&stop.command_id),
            Some(ask) => {
                let (holding, worker) = (self.holding.as_ref(), &self.config.name);
                if let Some(frame) = self.commands.begin(id, ask, worker, holding, &self.sealing_key) {
                    self.say(frame);
                }
            }
            None => self.answer(id, commands::unknown()),
        }
    }

    fn answer(&self, command_id: String, result: Answer) {
        self.say(commands::result(command_id, result));
    }

    /// A job's task has ended; its slot is free once its end is acknowledged, too.
    fn ended(&mut self, ended: Result<Lease, tokio::task::JoinError>) -> Result<(), Error> {
        // A job's task catches the panics of its stage, so this is one of the loop's own.
        let lease = ended.map_err(|_| Error::Task { task: "job" })?;
        let freed = self.jobs.ended(&lease);
        self.freed(freed);
        Ok(())
    }

    /// The last that is told of a job: what the server has made of its end.
    fn reported(&mut self, lease: &Lease, outcome: &'static str) {
        if let Some(told) = self.told.remove(lease) {
            metrics::ENDS.count([outcome.into()]);
            step!(info, told.about(), status = "reported", outcome = outcome; "job reported");
        }
    }

    fn settled(&mut self, lease: &Lease) {
        let freed = self.jobs.settled(lease);
        self.freed(freed);
    }

    fn freed(&mut self, queue: Option<String>) {
        if queue.is_some() && self.voice.is_some() {
            self.credit();
        }
    }

    /// Grants what there is room for, in the queues and in the spool.
    fn credit(&mut self) {
        if self.drained_by.is_some() || !self.clear || self.voice.is_none() {
            return;
        }
        let room = self.spool.usage().room;
        for (queue, jobs) in self.credits.grant(self.jobs.free(), room) {
            let jobs = i32::try_from(jobs).unwrap_or(i32::MAX);
            self.say(Frame::Credit(v1::Credit { queue, jobs }));
        }
        let crammed = self.credits.are_withheld();
        if crammed != self.crammed {
            self.crammed = crammed;
            match crammed {
                true => {
                    tracing::error!(spool = %self.spool.usage(), "no room in the spool: fewer jobs are taken, or none, until the server has acknowledged what it keeps and the disk takes more")
                }
                false => tracing::info!(spool = %self.spool.usage(), "the spool takes jobs again"),
            }
        }
    }

    /// Whether a spool that took no more does so again.
    fn look_at_the_spool(&mut self) {
        let spool = self.spool.clone();
        if spool.usage().failing {
            self.chores.spawn(async move {
                // Said when it began to fail, and when it no longer does.
                drop(spool.probe().await);
            });
        }
        self.credit();
    }

    fn tell_load(&self) {
        let load = Load {
            jobs: self.jobs.at_work(),
            draining: self.drained_by.is_some(),
        };
        self.load.send_if_modified(|told| std::mem::replace(told, load) != load);
    }

    fn say(&self, frame: Frame) {
        if let Some(voice) = &self.voice {
            voice.say(frame);
        }
    }

    fn fence_itself(&mut self) {
        self.clock.fence();
        self.commands.stop_all();
        if self.jobs.stop_all(Why::LostContact) {
            let percent = self.config.timers.self_fence_percent;
            tracing::error!(
                "the server has not renewed this worker's lease for {percent} % of it: running jobs are stopped, others may have them soon"
            );
        }
    }

    /// Another worker has the volume, so the leases are over: no two may use one login.
    fn lose_volume(&mut self) {
        if self.claims_due.is_some() {
            self.give_up_claims("its volume is held by another worker");
        }
        self.commands.stop_all();
        self.clock.fence();
        if self.jobs.stop_all(Why::LostContact) {
            tracing::error!("another worker holds this worker's volume: running jobs are stopped, others may have them by now");
        }
    }

    fn drain(&mut self, reason: &str) {
        tracing::info!(
            %reason,
            jobs = self.tasks.len(),
            "the worker is going: it takes nothing new and finishes what it has"
        );
        self.jobs.go();
        self.drained_by = Some(Instant::now() + self.config.drain_grace);
        self.say_draining(reason);
    }

    /// Told a second time: jobs are stopped, and the worker goes when they have ended or had the time to.
    fn hurry(&mut self) {
        self.hurried = true;
        if self.drained_by.is_none() {
            self.drain(TOLD);
        }
        if self.jobs.stop_all(Why::Leaving) {
            tracing::warn!("the worker is to go at once: running jobs are stopped");
        }
        self.drained_by = Some(Instant::now() + HURRY);
    }

    /// The server will not have this worker: no agent works on for a worker that is gone. The ends are left to its next start.
    async fn stop_unwanted(&mut self, error: &Error) -> Result<(), Error> {
        self.jobs.go();
        let at_work = self.jobs.names_at_work();
        if self.jobs.stop_all(Why::Leaving) {
            tracing::error!(jobs = %at_work.join(", "), error = %chain(error), "the worker can't go on: jobs at work are stopped");
        }
        let ending = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.map_err(|_| Error::Task { task: "job" })?;
            }
            Ok::<_, Error>(())
        };
        match tokio::time::timeout(HURRY, ending).await {
            Ok(ended) => ended?,
            Err(_) => tracing::error!("jobs did not end in time: the next start of this worker clears up after them"),
        }
        self.spool.settled().await;
        Ok(())
    }

    fn say_draining(&self, reason: &str) {
        self.say(Frame::Draining(v1::Draining { reason: reason.to_owned() }));
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
            "the worker goes although the server has not acknowledged every report: the ends of jobs stay in the spool for its next start"
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

/// Passes when the capacity of the login has changed.
async fn changed(capacities: Option<&mut watch::Receiver<u32>>) {
    if let Some(capacities) = capacities
        && capacities.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
