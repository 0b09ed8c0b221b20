//! A worker accepts an offer: the job runs from now on.

use uuid::Uuid;

use super::{
    Error,
    frame::{Frame, Said},
    ledger::Ledger,
};
use crate::{
    db::{Connection, jobs},
    domain::{
        self,
        event::Event,
        job,
        run::{self, Phase},
        stage::Stage,
    },
};

/// Turns the offer into a running job. Safe to repeat.
///
/// # Errors
///
/// `FENCED` when the lease has passed on.
pub async fn accept(flow: &super::Flow, job_id: Uuid, lease_token: i64) -> Result<(), Error> {
    flow.frames
        .take(Frame::new(None, job_id, lease_token, Said::Accept))
        .await
        .map(drop)
}

/// Decides on an Accept.
pub(super) fn apply(ledger: &mut Ledger, job_id: Uuid, lease_token: i64) -> Result<(), Error> {
    let leased = |job: &&jobs::Job| job.lease_token == Some(lease_token) && job.lease_instance_id.is_some();
    let Some(job) = ledger.job(job_id).filter(leased).cloned() else {
        return Err(fenced(job_id));
    };
    match job.status {
        job::Status::Queued => {}
        // Accepted before: the answer to the first one may still be under way.
        job::Status::Running => return Ok(()),
        _ => return Err(fenced(job_id)),
    }
    ledger.move_to(run::Status::Running, Phase::from(job.stage), None)?;
    let now = ledger.now;
    ledger.move_job(job_id, |job| {
        job.status = job::Status::Running;
        job.started_at = Some(now);
        job.hold_reason = None;
        job.lease_expires_at = None;
    });
    if job.stage == Stage::Submit {
        ledger.record(Event::Diagnostics {
            queue: job.queue.clone(),
            volume: ledger.run.codex_volume.clone().unwrap_or_default(),
            shard_index: ledger.run.codex_shard_index,
            worker_name: job.worker_name.clone(),
            preflight_status: None,
        });
    }
    Ok(())
}

/// The run of a job whose lease may be this one.
pub(super) async fn run_of(connection: &mut Connection, job_id: Uuid, lease_token: i64) -> Result<Uuid, Error> {
    match jobs::find(connection, job_id).await? {
        Some(job) if job.lease_token == Some(lease_token) => Ok(job.run_id),
        _ => Err(fenced(job_id)),
    }
}

/// The lease of a job has passed on.
pub(super) fn fenced(job_id: Uuid) -> Error {
    domain::Error::fenced(format!(
        "the lease of job {job_id} has passed on: stop it, nothing of it counts any more"
    ))
    .into()
}
