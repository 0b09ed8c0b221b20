//! What follows when a stage has ended: the next stage, or the end of the run. Decided in memory; whoever asks writes the ledger.

use uuid::Uuid;

use super::{Error, ledger::Ledger};
use crate::domain::{
    job::{self, Failure, FailureClass, LOST_ATTEMPTS_MAX, Payload},
    run::{self, Phase},
    stage::{Outcome, Stage},
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

/// Takes in why a job failed: its stage is tried again, or the run fails.
pub fn after_failure(ledger: &mut Ledger, job_id: Uuid, failure: Failure) -> Result<(), Error> {
    match failure.class {
        FailureClass::LostWorker => after_loss(ledger, job_id, failure),
        FailureClass::Job | FailureClass::Environment | FailureClass::Login => fail(ledger, failure),
    }
}

/// Queues the next attempt of a job that was lost with its worker. A stage that keeps losing its workers fails the run in the end.
fn after_loss(ledger: &mut Ledger, job_id: Uuid, failure: Failure) -> Result<(), Error> {
    let Some((stage, payload)) = ledger.job(job_id).map(|lost| (lost.stage, lost.payload())) else {
        return Ok(());
    };
    let is_lost = |job: &&job::Failure| job.class == FailureClass::LostWorker;
    let failures: Vec<Failure> = ledger
        .jobs
        .iter()
        .filter(|job| job.stage == stage)
        .filter_map(crate::db::jobs::Job::failure)
        .collect();
    let times = i64::try_from(failures.iter().filter(is_lost).count()).unwrap_or(i64::MAX);
    if times >= LOST_ATTEMPTS_MAX {
        return fail(ledger, failure.for_good(times));
    }
    ledger.queue_job(stage, payload, |_| {}).map(drop)
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
