//! What follows when a stage has ended: the next stage, or the end of the run. Decided in memory; whoever asks writes the ledger.

use uuid::Uuid;

use super::{Error, finish, ledger::Ledger};
use crate::{
    db::jobs::Job,
    domain::{
        job::{self, Failure, FailureClass, Payload},
        retry::{Decision, Tried},
        run::{self, OnAuthFailure, Phase},
        stage::{Outcome, Stage},
    },
};

/// Takes in what a stage reported: the run goes to the next stage, or ends.
pub fn after_success(ledger: &mut Ledger, stage: Stage, mut payload: Payload, outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Discover(discovered) => {
            ledger.run.base_ref = Some(discovered.base_ref.clone());
            if discovered.phase.is_none() {
                return end_without_work(ledger);
            }
            payload.discover = Some(discovered);
        }
        Outcome::Submit(submitted) => {
            ledger.run.codex_task_id = Some(submitted.codex_task_id.clone());
            payload.submit = Some(submitted);
        }
        Outcome::Publish(published) => {
            if !published.pr_url.is_empty() {
                ledger.run.pr_url = Some(published.pr_url);
            }
        }
    }
    match run::stages(ledger.run.force_phase).iter().find(|next| **next > stage) {
        Some(next) => {
            ledger.move_to(run::Status::Running, Phase::from(*next), None)?;
            ledger.queue_job(*next, payload, |_| {}).map(drop)
        }
        None => ledger.move_to(run::Status::Succeeded, Phase::Complete, None),
    }
}

/// Takes in why a job failed, and ends it: its stage is tried again, or the run ends.
pub fn after_failure(ledger: &mut Ledger, job: &Job, failure: Failure) -> Result<(), Error> {
    if job.cancel_requested_at.is_some() {
        ledger.end_job(job.id, job::Status::Failed, Some(&failure))?;
        return finish::cancelled(ledger, job.cancel_reason.as_deref());
    }
    let tried = tried(ledger, job, failure.class);
    if failure.class == FailureClass::Login && waits(ledger, job) {
        ledger.end_job(job.id, job::Status::Failed, Some(&failure))?;
        return ledger.queue_job(job.stage, job.payload(), |_| {}).map(drop);
    }
    match ledger.timers.retry.decide(job.stage, failure.class, tried, fastrand::f64()) {
        Decision::Again { delay, elsewhere } => {
            ledger.end_job(job.id, job::Status::Failed, Some(&failure))?;
            let not_before = ledger.now + delay;
            let avoid_worker = job.worker_name.clone().filter(|_| elsewhere);
            let next = |next: &mut Job| {
                next.not_before = not_before;
                next.avoid_worker = avoid_worker;
            };
            ledger.queue_job(job.stage, job.payload(), next).map(drop)
        }
        Decision::Fail => {
            let failure = failure.for_good(tried);
            ledger.end_job(job.id, job::Status::Failed, Some(&failure))?;
            fail(ledger, failure)
        }
    }
}

/// Most attempts that a run may lose to its login while it waits for a better one: each costs what the agent did before it failed.
const LOGIN_ATTEMPTS_MAX: usize = 10;

/// Whether a run that its login failed waits for a better one: the gate parks its next attempt until then.
fn waits(ledger: &Ledger, job: &Job) -> bool {
    let round = job.payload().retries;
    let by_login = |other: &&Job| {
        other.stage == job.stage
            && other.payload().retries == round
            && other.failure().is_some_and(|failure| failure.class == FailureClass::Login)
    };
    job.stage == Stage::Submit
        && ledger.run.options().on_auth_failure == OnAuthFailure::Wait
        && ledger.jobs.iter().filter(by_login).count() + 1 < LOGIN_ATTEMPTS_MAX
}

/// How often the job's stage has failed since a client last retried the run, this failure included.
fn tried(ledger: &Ledger, job: &Job, class: FailureClass) -> Tried {
    let round = job.payload().retries;
    let before = ledger
        .jobs
        .iter()
        .filter(|other| other.id != job.id && other.stage == job.stage && other.status == job::Status::Failed)
        .filter(|other| other.payload().retries == round)
        .filter_map(Job::failure);
    Tried::of(before.map(|failure| failure.class).chain([class]))
}

/// Ends the run with a failure.
pub fn fail(ledger: &mut Ledger, failure: Failure) -> Result<(), Error> {
    let phase = ledger.run.phase;
    ledger.move_to(run::Status::Failed, phase, Some(failure))
}

/// Ends a run whose task list is done: the stages that were not needed are on record as skipped.
fn end_without_work(ledger: &mut Ledger) -> Result<(), Error> {
    for stage in run::stages(ledger.run.force_phase).iter().filter(|stage| **stage > Stage::Discover) {
        ledger.queue_job(*stage, Payload::default(), |_| {})?;
    }
    let queued: Vec<Uuid> = ledger
        .jobs
        .iter()
        .filter(|job| job.status == job::Status::Queued)
        .map(|job| job.id)
        .collect();
    for id in queued {
        ledger.end_job(id, job::Status::Skipped, None)?;
    }
    ledger.move_to(run::Status::NoWork, Phase::Complete, None)
}
