//! A client retries a failed run.

use diesel_async::AsyncConnection as _;
use tracing::info;
use uuid::Uuid;

use super::{
    Error, Flow,
    ledger::{Ledgers, the_run},
    recheck, skill,
    start::already_open_error,
};
use crate::{
    db::{jobs::Job, runs::Run},
    domain::{
        self,
        job::{self, Payload},
        run::{self, Phase},
        stage::Stage,
    },
};

/// Where a retry begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// At the stage that failed, with what the stages before it have stored.
    ResumeFailedStage,
    /// At the first stage of the run.
    RestartFromDiscovery,
}

/// Queues a failed run again.
///
/// # Errors
///
/// `RUN_NOT_FOUND`, `RUN_NOT_FAILED`, `RUN_ALREADY_OPEN`, `LOGIN_STILL_BAD`.
pub async fn retry(flow: &Flow, run_id: Uuid, mode: Mode) -> Result<Run, Error> {
    recheck::login(flow, run_id).await?;
    let mut connection = flow.connection().await?;
    let written = connection
        .transaction(async |connection| {
            let mut ledger = Ledgers::lock_one(connection, run_id, flow.timers).await?;
            if ledger.run.status != run::Status::Failed {
                return Err(not_failed(&ledger.run));
            }
            let (stage, mut payload) = begin_at(&ledger.run, &ledger.jobs, mode);
            // From here on attempts are counted anew.
            payload.retries = ledger.jobs.iter().map(|job| job.payload().retries).max().unwrap_or_default() + 1;
            // A retry follows the policy of now, whatever the run began with. What it asked for then and isn't allowed any more is replaced.
            if let Some(policy) = flow.policies.latest(connection).await? {
                let (options, stages) = (ledger.run.options(), run::stages(ledger.run.force_phase));
                let decisions = skill::decide(&policy, run_id, stages, &options.stage_skills);
                ledger.run.stage_decisions = Some(serde_json::to_value(decisions)?);
            }
            info!(%run_id, ?mode, %stage, "run retried");
            ledger.move_to(run::Status::Retrying, Phase::from(stage), None)?;
            ledger.queue_job(stage, payload, |_| {})?;
            ledger.write(connection).await
        })
        .await;
    match written {
        Ok(written) => the_run(written.announce(&flow.hints), run_id),
        Err(error) if error.is("RUN_ALREADY_OPEN") => Err(already_open_error(&mut connection, run_id).await?.unwrap_or(error)),
        Err(error) => Err(error),
    }
}

/// The stage to begin at, and what it works from.
fn begin_at(run: &Run, jobs: &[Job], mode: Mode) -> (Stage, Payload) {
    let first = run::stages(run.force_phase).first().copied().unwrap_or(Stage::Discover);
    let failed = jobs.iter().rev().find(|job| job.status == job::Status::Failed);
    match (mode, failed) {
        (Mode::ResumeFailedStage, Some(failed)) => (failed.stage, failed.payload()),
        _ => {
            let payload = jobs.iter().find(|job| job.stage == first).map(Job::payload).unwrap_or_default();
            (first, payload)
        }
    }
}

fn not_failed(run: &Run) -> Error {
    let message = format!(
        "run {} is {}; only a failed run can be retried: create a new one instead",
        run.id, run.status
    );
    domain::Error::precondition("RUN_NOT_FAILED", message)
        .with("run_id", run.id.to_string())
        .with("status", run.status.to_string())
        .into()
}
