//! A locked run, with what a use case changes of it and the events that it records, written together.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Hints, Topic};
use crate::{
    db::{
        Connection, events,
        jobs::Job,
        runs::{self, Change, Run},
    },
    domain::{
        self,
        event::Event,
        job::{self, Failure},
        run,
    },
};

/// See the module. Nothing is written before [`Ledger::write`].
#[derive(Debug)]
pub struct Ledger {
    /// The run as it was when it was locked, and as [`Ledger::move_to`] has changed it since.
    pub run: Run,
    /// Database time of the lock.
    pub now: DateTime<Utc>,
    /// Columns to change.
    pub change: Change,
    /// Whom to wake after the commit.
    pub wake: Vec<Topic>,
    events: Vec<Event>,
}

impl Ledger {
    /// Locks a run.
    ///
    /// # Errors
    ///
    /// `RUN_NOT_FOUND`.
    pub async fn lock(connection: &mut Connection, run_id: Uuid) -> Result<Self, Error> {
        let run = runs::lock(connection, run_id).await?.ok_or_else(|| not_found(run_id))?;
        Self::open(connection, run).await
    }

    /// Begins with a run that this transaction has just inserted.
    pub async fn open(connection: &mut Connection, run: Run) -> Result<Self, Error> {
        let now = runs::now(connection).await?;
        Ok(Self {
            wake: vec![Topic::Run(run.id)],
            run,
            now,
            change: Change::default(),
            events: Vec::new(),
        })
    }

    /// Records an event.
    pub fn record(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Records a job's new state.
    pub fn record_job(&mut self, job: &Job) {
        self.record(Event::JobChanged {
            job_id: job.id,
            stage: job.stage,
            attempt: job.attempt,
            status: job.status,
            queue: job.queue.clone(),
            worker_name: job.worker_name.clone(),
            hold_reason: job.hold_reason,
            failure: job.failure(),
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
            self.change.started_at = Some(self.now);
            self.run.started_at = Some(self.now);
        }
        if status.is_terminal() != self.run.status.is_terminal() {
            self.change.finished_at = Some(status.is_terminal().then_some(self.now));
        }
        self.change.status = Some(status);
        self.change.phase = Some(phase);
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

    /// Writes the change and the events; the numbers of the events follow the run's last one.
    pub async fn write(mut self, connection: &mut Connection) -> Result<Written, Error> {
        let mut sequence = self.run.last_event_sequence;
        let mut rows = Vec::with_capacity(self.events.len());
        for event in &self.events {
            sequence += 1;
            rows.push(events::New {
                run_id: self.run.id,
                sequence,
                kind: event.kind(),
                body: serde_json::to_value(event)?,
            });
        }
        events::append(connection, &rows).await?;
        self.change.last_event_sequence = Some(sequence);
        self.change.updated_at = Some(self.now);
        let run = runs::update(connection, self.run.id, &self.change).await?;
        Ok(Written { run, wake: self.wake })
    }
}

/// A run as written, and whom to wake once the transaction has committed.
#[derive(Debug)]
pub struct Written {
    /// The run.
    pub run: Run,
    wake: Vec<Topic>,
}

impl Written {
    /// Wakes whoever waits for it. Call it after the commit.
    pub fn announce(self, hints: &Hints) -> Run {
        hints.wake_all(self.wake);
        self.run
    }
}

/// There is no such run.
pub fn not_found(run_id: Uuid) -> Error {
    let message = format!("there is no run {run_id}: `moorline run list` shows those that there are");
    domain::Error::not_found("RUN_NOT_FOUND", message)
        .with("run_id", run_id.to_string())
        .into()
}
