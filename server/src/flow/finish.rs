//! A job has ended: its result is taken down, and what follows is queued. Decided in memory; whoever asks writes the ledger.

use tracing::debug;

use super::{Error, advance, ledger::Ledger};
use crate::{
    db::jobs::Job,
    domain::{
        job::{self, Failure, FailureClass},
        stage::Outcome,
    },
};

/// It did what it should.
pub(super) fn succeeded(ledger: &mut Ledger, job: &Job, outcome: Outcome) -> Result<(), Error> {
    if outcome.stage() != job.stage {
        let failure = Failure {
            code: "RESULT_OF_OTHER_STAGE".to_owned(),
            message: format!(
                "worker reported a result of {} for a {} job: update the worker to the server's version",
                outcome.stage(),
                job.stage
            ),
            class: FailureClass::Job,
            details: Default::default(),
        };
        return failed(ledger, job, failure);
    }
    let result = serde_json::to_value(&outcome)?;
    ledger.change_job(job.id, |job| job.result = Some(result));
    ledger.end_job(job.id, job::Status::Succeeded, None)?;
    // A cancel that came too late to stop the stage still ends the run before the next one.
    if job.cancel_requested_at.is_some() {
        return cancelled(ledger, job.cancel_reason.as_deref());
    }
    advance::after_success(ledger, job.stage, job.payload(), outcome)
}

/// It did not.
pub(super) fn failed(ledger: &mut Ledger, job: &Job, failure: Failure) -> Result<(), Error> {
    advance::after_failure(ledger, job, failure)
}

/// It was stopped because its run was cancelled.
pub(super) fn stopped(ledger: &mut Ledger, job: &Job, how: &str) -> Result<(), Error> {
    debug!(run_id = %ledger.run.id, job_id = %job.id, how, "job stopped");
    ledger.end_job(job.id, job::Status::Cancelled, None)?;
    cancelled(ledger, job.cancel_reason.as_deref())
}

/// Ends the run as cancelled, with the client's words on record.
pub(super) fn cancelled(ledger: &mut Ledger, reason: Option<&str>) -> Result<(), Error> {
    let phase = ledger.run.phase;
    ledger.end_as_cancelled(phase, reason)
}
