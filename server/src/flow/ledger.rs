//! A locked run with its jobs, what a use case changes of them, and the events that it records.
//!
//! A use case decides in memory, and [`Ledgers::write`] writes what many of them have decided in one statement.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use tracing::warn;
use uuid::Uuid;

use super::{
    Error, Hints, Timers, Topic,
    known::{self, Said},
    steps::{self, Before},
};
use crate::{
    db::{
        Connection,
        batch::{self, Batch},
        credential_audits, events,
        jobs::Job,
        runs::Run,
        shards, volumes,
    },
    domain::{
        self,
        audit::Audit,
        event::Event,
        job::{self, Failure, HoldReason, Payload},
        preflight::Preflight,
        run,
        skill::{Attempt, Decision, Execution},
        stage::Stage,
        volume::Seen,
    },
};

/// Queue of everything that isn't agent work.
pub const DEFAULT_QUEUE: &str = "default";

/// See the module. Nothing is written before [`Ledgers::write`].
#[derive(Debug)]
pub struct Ledger {
    /// The run as it is to be.
    pub run: Run,
    /// Its jobs as they are to be, in the order of their making; read them, and change them through the methods of this type.
    pub jobs: Vec<Job>,
    /// Database time of the lock.
    pub now: DateTime<Utc>,
    /// How long things may take.
    pub timers: Timers,
    /// Whom to wake after the commit.
    pub wake: Vec<Topic>,
    events: Vec<Event>,
    /// Jobs that were there before and have changed.
    changed: BTreeSet<usize>,
    /// Jobs from here on are new.
    stored: usize,
    also: Vec<Also>,
    /// What is told of it after the commit.
    told: Vec<Event>,
    before: Before,
}

/// What else is stored with a run's change, in tables of its own.
#[derive(Debug)]
pub enum Also {
    /// A login check, which also moves its volume.
    Preflight(Preflight),
    /// What a worker sees of a volume.
    Seen(String, Seen),
    /// What is known of the run's credentials.
    Audit(Audit),
}

impl Ledger {
    /// Begins with a run and its jobs as they were read; a new run has none.
    pub fn new(run: Run, jobs: Vec<Job>, now: DateTime<Utc>, timers: Timers) -> Self {
        Self {
            wake: vec![Topic::Run(run.id)],
            stored: jobs.len(),
            before: Before {
                status: (!jobs.is_empty()).then_some(run.status),
                jobs: jobs.len(),
            },
            told: Vec::new(),
            run,
            jobs,
            now,
            timers,
            events: Vec::new(),
            changed: BTreeSet::new(),
            also: Vec::new(),
        }
    }

    /// The job with this id, if the run has it.
    pub fn job(&self, id: Uuid) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// Changes a job of the run.
    pub fn change_job(&mut self, id: Uuid, change: impl FnOnce(&mut Job)) {
        if let Some(index) = self.jobs.iter().position(|job| job.id == id) {
            change(&mut self.jobs[index]);
            if index < self.stored {
                self.changed.insert(index);
            }
        }
    }

    /// Changes a job and records its new state.
    pub fn move_job(&mut self, id: Uuid, change: impl FnOnce(&mut Job)) {
        self.change_job(id, change);
        if let Some(job) = self.job(id).cloned() {
            self.record_job(&job);
        }
    }

    /// Takes down which way a job went, as its worker says it at its end; what of that can't be true is put right, and logged.
    ///
    /// # Errors
    ///
    /// When it can't be written as JSON.
    pub fn went(&mut self, job: &Job, said: Execution, succeeded: bool) -> Result<(), Error> {
        let decision = job.decision();
        let (execution, wrong) = self.attempt(job, decision.as_ref(), succeeded).said(said);
        if !wrong.is_empty() {
            let (run_id, job_id, worker, wrong) = (self.run.id, job.id, job.worker_name.as_deref(), wrong.join(" "));
            warn!(%run_id, %job_id, stage = %job.stage, worker, wrong, path = %execution.execution_path,
                "what a worker says of the way that a stage went can't be true, and is put right: update the worker");
        }
        let execution = serde_json::to_value(execution)?;
        self.change_job(job.id, |job| job.execution = Some(execution));
        Ok(())
    }

    fn attempt<'a>(&self, job: &Job, decision: Option<&'a Decision>, succeeded: bool) -> Attempt<'a> {
        let since = |time: DateTime<Utc>| (self.now - time).num_milliseconds().max(0);
        Attempt {
            stage: job.stage,
            decision,
            took_ms: job.started_at.map_or(0, since),
            most_ms: since(job.created_at),
            succeeded,
        }
    }

    /// Ends a job; a parked one is no longer held. Where no worker has said which way it went, that is filled in.
    ///
    /// # Errors
    ///
    /// When the failure can't be written as JSON.
    pub fn end_job(&mut self, id: Uuid, status: job::Status, failure: Option<&Failure>) -> Result<(), Error> {
        let failure = failure.map(serde_json::to_value).transpose()?;
        let unsaid = self.job(id).filter(|job| job.execution.is_none()).and_then(|job| {
            let decision = job.decision()?;
            Some(self.attempt(job, Some(&decision), false).unsaid())
        });
        let unsaid = unsaid.map(serde_json::to_value).transpose()?;
        let now = self.now;
        self.move_job(id, |job| {
            job.execution = job.execution.take().or(unsaid);
            job.status = status;
            job.failure = failure;
            job.finished_at = Some(now);
            job.hold_reason = None;
            job.lease_expires_at = None;
        });
        Ok(())
    }

    /// Queues a job: the next attempt of its stage. `shape` may change what is usual of it, such as when it may begin; its time in the queue
    /// counts from then. The way that it is to go is the one that was decided for the run.
    ///
    /// # Errors
    ///
    /// When the payload or the decision can't be written as JSON.
    pub fn queue_job(&mut self, stage: Stage, mut payload: Payload, shape: impl FnOnce(&mut Job)) -> Result<Uuid, Error> {
        // Every attempt of every stage is part of the one trace of its run.
        if payload.traceparent.is_empty()
            && let Some(first) = self.jobs.first()
        {
            first.traceparent().clone_into(&mut payload.traceparent);
        }
        let decision = self.run.decisions().into_iter().find(|decision| decision.stage == stage);
        let attempts = self.jobs.iter().filter(|job| job.stage == stage).count();
        let queue = match stage {
            Stage::Submit => self.run.codex_queue.as_deref().unwrap_or(DEFAULT_QUEUE),
            Stage::Discover | Stage::Publish => DEFAULT_QUEUE,
        };
        let mut job = Job {
            id: Uuid::now_v7(),
            run_id: self.run.id,
            stage,
            attempt: i32::try_from(attempts).unwrap_or(i32::MAX - 1) + 1,
            queue: queue.to_owned(),
            status: job::Status::Queued,
            hold_reason: None,
            priority: self.run.options().priority,
            not_before: self.now,
            lease_instance_id: None,
            lease_token: None,
            lease_expires_at: None,
            worker_name: None,
            last_report_sequence: 0,
            cancel_requested_at: None,
            cancel_reason: None,
            payload: serde_json::to_value(payload)?,
            result: None,
            failure: None,
            created_at: self.now,
            started_at: None,
            finished_at: None,
            fair_rank: 0,
            expires_at: None,
            avoid_worker: None,
            skill: decision.as_ref().and_then(Decision::needed_skill).map(str::to_owned),
            decision: decision.map(serde_json::to_value).transpose()?,
            execution: None,
        };
        shape(&mut job);
        job.expires_at = self.timers.end_of_waiting(&self.run.options(), self.now.max(job.not_before));
        let id = job.id;
        self.record_job(&job);
        self.jobs.push(job);
        Ok(id)
    }

    /// Whether anything of it has changed. What changes a run or a job records an event or touches a job.
    pub fn is_touched(&self) -> bool {
        !self.events.is_empty() || !self.changed.is_empty() || !self.also.is_empty()
    }

    /// Records an event.
    pub fn record(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Stores something beside the run.
    pub fn store(&mut self, also: Also) {
        self.also.push(also);
    }

    fn record_job(&mut self, job: &Job) {
        self.record(Event::JobChanged {
            job_id: job.id,
            stage: job.stage,
            attempt: job.attempt,
            status: job.status,
            queue: job.queue.clone(),
            worker_name: job.worker_name.clone(),
            hold_reason: job.hold_reason,
            failure: job.failure(),
            decision: job.decision().filter(|_| job.status == job::Status::Queued).map(Box::new),
            execution: job.execution().map(Box::new),
        });
        if job.status == job::Status::Queued {
            self.wake.push(Topic::Queue(job.queue.clone()));
        }
    }

    /// Moves the run in its life.
    ///
    /// # Errors
    ///
    /// When the run's life doesn't know that step.
    pub fn move_to(&mut self, status: run::Status, phase: run::Phase, failure: Option<Failure>) -> Result<(), Error> {
        self.change_to(status, phase, failure, None)
    }

    /// Ends the run as cancelled; `reason` is what the client gave as its reason.
    ///
    /// # Errors
    ///
    /// When the run has ended otherwise.
    pub fn end_as_cancelled(&mut self, phase: run::Phase, reason: Option<&str>) -> Result<(), Error> {
        let reason = reason.filter(|reason| !reason.is_empty()).map(str::to_owned);
        self.change_to(run::Status::Cancelled, phase, None, reason)
    }

    fn change_to(&mut self, status: run::Status, phase: run::Phase, failure: Option<Failure>, reason: Option<String>) -> Result<(), Error> {
        if status == self.run.status && phase == self.run.phase {
            return Ok(());
        }
        if status != self.run.status && !self.run.status.can_become(status) {
            let message = format!(
                "run {} is {} and can't become {status}: look at it with `moorline run get {0}`",
                self.run.id, self.run.status
            );
            return Err(domain::Error::precondition("RUN_STATUS", message)
                .with("run_id", self.run.id.to_string())
                .into());
        }
        if status == run::Status::Running && self.run.started_at.is_none() {
            self.run.started_at = Some(self.now);
        }
        if status.is_terminal() != self.run.status.is_terminal() {
            self.run.finished_at = status.is_terminal().then_some(self.now);
        }
        self.run.status = status;
        self.run.phase = phase;
        self.record(Event::RunChanged {
            status,
            phase,
            failure,
            reason,
        });
        Ok(())
    }

    /// Numbers the events; their numbers follow the run's last one.
    fn take_events(&mut self) -> Result<Vec<events::New>, Error> {
        let mut rows = Vec::with_capacity(self.events.len());
        for event in std::mem::take(&mut self.events) {
            self.run.last_event_sequence += 1;
            rows.push(events::New {
                run_id: self.run.id,
                sequence: self.run.last_event_sequence,
                kind: event.kind(),
                body: serde_json::to_value(&event)?,
            });
            self.told.push(event);
        }
        Ok(rows)
    }
}

/// Some runs, locked together and written together.
#[derive(Debug)]
pub struct Ledgers(pub Vec<Ledger>);

impl Ledgers {
    /// Locks some runs.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn lock(connection: &mut Connection, run_ids: &[Uuid], timers: Timers) -> Result<Self, Error> {
        Ok(Self::of(batch::lock(connection, run_ids).await?, timers))
    }

    /// Locks the runs of some jobs.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn lock_of_jobs(connection: &mut Connection, job_ids: &[Uuid], timers: Timers) -> Result<Self, Error> {
        Ok(Self::of(batch::lock_of_jobs(connection, job_ids).await?, timers))
    }

    fn of(locked: batch::Locked, timers: Timers) -> Self {
        let mut jobs: HashMap<Uuid, Vec<Job>> = HashMap::with_capacity(locked.runs.len());
        for job in locked.jobs {
            jobs.entry(job.run_id).or_default().push(job);
        }
        let ledger = |run: Run| {
            let mut jobs = jobs.remove(&run.id).unwrap_or_default();
            // Ids are made by the clocks of servers; the order of their making is the database's.
            jobs.sort_by_key(|job| (job.created_at, job.id));
            Ledger::new(run, jobs, locked.now, timers)
        };
        Self(locked.runs.into_iter().map(ledger).collect())
    }

    /// Locks one run.
    ///
    /// # Errors
    ///
    /// `RUN_NOT_FOUND`.
    pub async fn lock_one(connection: &mut Connection, run_id: Uuid, timers: Timers) -> Result<Ledger, Error> {
        Self::lock(connection, &[run_id], timers)
            .await?
            .0
            .pop()
            .ok_or_else(|| not_found(run_id))
    }

    /// Writes what has changed, in the caller's transaction.
    ///
    /// # Errors
    ///
    /// When the database fails, or refuses a step.
    pub async fn write(mut self, connection: &mut Connection) -> Result<Written, Error> {
        let Some(timers) = self.0.first().map(|ledger| ledger.timers) else {
            return Ok(Written(self.0));
        };
        let mut also = Vec::new();
        for ledger in &mut self.0 {
            also.extend(
                std::mem::take(&mut ledger.also)
                    .into_iter()
                    .map(|also| (also, ledger.run.id, ledger.now)),
            );
            ledger.run.updated_at = ledger.now;
        }
        self.lock_volumes(connection, &also).await?;
        // Volumes are written in the order of their names, too.
        also.sort_by(|(one, ..), (other, ..)| one.volume().cmp(other.volume()));
        let mut gates_moved = false;
        for (also, run_id, now) in also {
            gates_moved |= also.store(connection, &timers, run_id, now).await?;
        }
        self.hold_new_jobs(connection).await?;
        let batch = self.batch()?;
        batch::change(connection, &batch).await?;
        self.wake_gates(gates_moved);
        Ok(Written(self.0))
    }

    /// Inserts the runs as new ones. Those that an index refuses are left out.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn insert(mut self, connection: &mut Connection) -> Result<Written, Error> {
        self.hold_new_jobs(connection).await?;
        let batch = self.batch()?;
        let inserted: HashSet<Uuid> = batch::start(connection, &batch).await?.into_iter().collect();
        self.0.retain(|ledger| inserted.contains(&ledger.run.id));
        Ok(Written(self.0))
    }

    /// Whether the new jobs are for queues that may hold them: those of shards.
    pub fn may_hold(&self) -> bool {
        let new_jobs = || self.0.iter().flat_map(|ledger| &ledger.jobs[ledger.stored..]);
        new_jobs().any(|job| job.queue != DEFAULT_QUEUE)
    }

    /// Parks new jobs of shards that take no work now. The shards' rows stay locked until the transaction ends: a shard that goes into or out
    /// of service meanwhile waits, and then finds the job that was queued under this reason.
    async fn hold_new_jobs(&mut self, connection: &mut Connection) -> Result<(), Error> {
        if !self.may_hold() {
            return Ok(());
        }
        let new_jobs = |ledger: &mut Ledger| ledger.stored..ledger.jobs.len();
        let mut queues = BTreeSet::new();
        for ledger in &mut self.0 {
            for index in new_jobs(ledger) {
                queues.insert(ledger.jobs[index].queue.clone());
            }
        }
        let gates = shards::lock_gates(connection, &queues.into_iter().collect::<Vec<_>>()).await?;
        let holds: HashMap<&str, HoldReason> = gates
            .iter()
            .filter_map(|gate| Some((gate.queue.as_str(), gate.hold_reason()?)))
            .collect();
        for ledger in &mut self.0 {
            for index in new_jobs(ledger) {
                ledger.hold(index, &holds);
            }
        }
        Ok(())
    }

    /// Locks all volumes that are written or whose gates are read, in one order: two groups that lock them one by one could wait for each other.
    async fn lock_volumes(&self, connection: &mut Connection, also: &[(Also, Uuid, DateTime<Utc>)]) -> Result<(), Error> {
        let written: Vec<String> = also
            .iter()
            .map(|(also, ..)| also.volume().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        if written.is_empty() || !self.may_hold() {
            return Ok(());
        }
        let new_jobs = self.0.iter().flat_map(|ledger| &ledger.jobs[ledger.stored..]);
        let queues: Vec<String> = new_jobs.map(|job| job.queue.clone()).collect();
        volumes::lock_all(connection, &written, &queues).await?;
        Ok(())
    }

    /// Whoever looks after the gates is told after the commit.
    fn wake_gates(&mut self, moved: bool) {
        if let Some(ledger) = self.0.first_mut().filter(|_| moved) {
            ledger.wake.push(Topic::Gates);
        }
    }

    fn batch(&mut self) -> Result<Batch<'_>, Error> {
        let mut events = Vec::new();
        for ledger in &mut self.0 {
            events.extend(ledger.take_events()?);
        }
        let mut batch = Batch {
            events,
            ..Batch::default()
        };
        for ledger in &self.0 {
            batch.runs.push(&ledger.run);
            batch.jobs.extend(ledger.changed.iter().map(|index| &ledger.jobs[*index]));
            let repository = ledger.run.repository.as_str();
            batch
                .new_jobs
                .extend(ledger.jobs[ledger.stored..].iter().map(|job| (job, repository)));
        }
        Ok(batch)
    }
}

impl Ledger {
    /// Parks a new job whose gate is shut. One whose login is bad is left to the gate, which knows whether to park it or to end it.
    fn hold(&mut self, index: usize, holds: &HashMap<&str, HoldReason>) {
        let job = &mut self.jobs[index];
        let Some(hold) = holds.get(job.queue.as_str()).copied().filter(|_| job.status == job::Status::Queued) else {
            return;
        };
        self.wake.push(Topic::Gates);
        if hold != HoldReason::WaitingAuth {
            job.hold_reason = Some(hold);
            let id = job.id;
            self.note_hold(id, hold);
        }
    }

    /// The event of a job's queueing says why it waits.
    fn note_hold(&mut self, id: Uuid, hold: job::HoldReason) {
        for event in &mut self.events {
            if let Event::JobChanged {
                job_id,
                status: job::Status::Queued,
                hold_reason,
                ..
            } = event
                && *job_id == id
            {
                *hold_reason = Some(hold);
            }
        }
    }
}

impl Also {
    fn volume(&self) -> &str {
        match self {
            Self::Preflight(check) => &check.volume,
            Self::Seen(volume, _) => volume,
            Self::Audit(_) => "",
        }
    }

    /// Returns whether a gate may have opened or shut.
    async fn store(self, connection: &mut Connection, timers: &Timers, run_id: Uuid, now: DateTime<Utc>) -> Result<bool, Error> {
        match self {
            Self::Preflight(check) => {
                let volume = check.volume.clone();
                let said = Said {
                    check: Some(check),
                    run_id: Some(run_id),
                    ..Said::default()
                };
                Ok(known::take(connection, timers, &volume, said, now).await?.moved)
            }
            Self::Seen(volume, seen) => {
                let said = Said {
                    seen: Some(seen),
                    ..Said::default()
                };
                Ok(known::take(connection, timers, &volume, said, now).await?.moved)
            }
            Self::Audit(audit) => {
                credential_audits::insert(connection, run_id, &audit).await?;
                Ok(false)
            }
        }
    }
}

/// Runs as written, and whom to wake once the transaction has committed.
#[derive(Debug)]
#[must_use = "whoever waits for it must be told, after the commit"]
pub struct Written(Vec<Ledger>);

impl Written {
    /// Wakes whoever waits for it, and tells log, metrics and traces. Call it after the commit.
    pub fn announce(self, hints: &Hints) -> Vec<Run> {
        let mut runs = Vec::with_capacity(self.0.len());
        let mut topics = HashSet::new();
        for ledger in self.0 {
            steps::tell(&ledger.run, &ledger.jobs, ledger.before, &ledger.told);
            topics.extend(ledger.wake);
            runs.push(ledger.run);
        }
        hints.wake_all(topics);
        runs
    }
}

impl Ledger {
    /// Writes this one run, in the caller's transaction.
    ///
    /// # Errors
    ///
    /// As [`Ledgers::write`].
    pub async fn write(self, connection: &mut Connection) -> Result<Written, Error> {
        Ledgers(vec![self]).write(connection).await
    }
}

/// The one run that was written.
///
/// # Errors
///
/// `RUN_NOT_FOUND`, when it isn't there.
pub fn the_run(mut written: Vec<Run>, run_id: Uuid) -> Result<Run, Error> {
    written.pop().ok_or_else(|| not_found(run_id))
}

/// There is no such run.
pub fn not_found(run_id: Uuid) -> Error {
    let message = format!("there is no run {run_id}: `moorline run list` shows those that there are");
    domain::Error::not_found("RUN_NOT_FOUND", message)
        .with("run_id", run_id.to_string())
        .into()
}
