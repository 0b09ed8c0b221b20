//! A job has ended: its result is stored, and what follows is queued, in the same transaction.

use tracing::info;

use super::{Error, advance, ledger::Ledger};
use crate::{
    db::{
        Connection,
        jobs::{self, End, Job},
    },
    domain::{
        job::{self, Failure, FailureClass},
        stage::Outcome,
    },
};

/// It did what it should.
pub(super) async fn succeeded(connection: &mut Connection, ledger: &mut Ledger, job: &Job, outcome: Outcome) -> Result<(), Error> {
    if outcome.stage() != job.stage {
        let failure = Failure {
            code: "RESULT_OF_OTHER_STAGE".to_owned(),
            message: format!(
                "worker reported a result of {} for a {} job: update the worker to the server's version",
                outcome.stage(),
                job.stage
            ),
            class: FailureClass::Environment,
            details: Default::default(),
        };
        return failed(connection, ledger, job, &failure).await;
    }
    let end = End {
        status: job::Status::Succeeded,
        result: Some(serde_json::to_value(&outcome)?),
        failure: None,
        finished_at: ledger.now,
    };
    let ended = jobs::end(connection, job.id, &end).await?;
    log(ledger, &ended, None);
    ledger.record_job(&ended);
    // A cancel that came too late to stop the stage still ends the run before the next one.
    if job.cancel_requested_at.is_some() {
        return cancelled(ledger, job.cancel_reason.as_deref());
    }
    advance::after_success(connection, ledger, &ended, outcome).await
}

/// It did not.
pub(super) async fn failed(connection: &mut Connection, ledger: &mut Ledger, job: &Job, failure: &Failure) -> Result<(), Error> {
    log(ledger, job, Some(failure));
    advance::end(connection, ledger, job, job::Status::Failed, Some(failure)).await?;
    if job.cancel_requested_at.is_some() {
        return cancelled(ledger, job.cancel_reason.as_deref());
    }
    match failure.class {
        FailureClass::LostWorker => advance::after_loss(connection, ledger, job, failure.clone()).await,
        FailureClass::Job | FailureClass::Environment | FailureClass::Login => advance::fail(ledger, failure.clone()),
    }
}

/// It was stopped because its run was cancelled.
pub(super) async fn stopped(connection: &mut Connection, ledger: &mut Ledger, job: &Job, how: &str) -> Result<(), Error> {
    info!(run_id = %ledger.run.id, job_id = %job.id, stage = %job.stage, how, "job stopped");
    advance::end(connection, ledger, job, job::Status::Cancelled, None).await?;
    cancelled(ledger, job.cancel_reason.as_deref())
}

/// Ends the run as cancelled, with the client's words on record.
pub(super) fn cancelled(ledger: &mut Ledger, reason: Option<&str>) -> Result<(), Error> {
    let phase = ledger.run.phase;
    ledger.end_as_cancelled(phase, reason)
}

fn log(ledger: &Ledger, job: &Job, failure: Option<&Failure>) {
    info!(run_id = %ledger.run.id, job_id = %job.id, stage = %job.stage, attempt = job.attempt, queue = job.queue,
        volume = ledger.run.codex_volume, shard_index = ledger.run.codex_shard_index, worker = job.worker_name,
        failure = failure.map(|failure| failure.code.as_str()), "job ended");
}
