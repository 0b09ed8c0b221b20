//! A worker accepts an offer: the job runs from now on.

use diesel_async::AsyncConnection as _;
use tracing::info;
use uuid::Uuid;

use super::{Error, Flow, ledger::Ledger};
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
pub async fn accept(flow: &Flow, job_id: Uuid, lease_token: i64) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    let run_id = run_of(&mut connection, job_id, lease_token).await?;
    let written = connection
        .transaction(async |connection| {
            let mut ledger = Ledger::lock(connection, run_id).await?;
            let Some(job) = jobs::accept(connection, job_id, lease_token).await? else {
                return accepted_before(connection, job_id, lease_token).await.map(|()| None);
            };
            ledger.move_to(run::Status::Running, Phase::from(job.stage), None)?;
            ledger.record_job(&job);
            if job.stage == Stage::Submit {
                ledger.record(Event::Diagnostics {
                    queue: job.queue.clone(),
                    volume: ledger.run.codex_volume.clone().unwrap_or_default(),
                    shard_index: ledger.run.codex_shard_index,
                    worker_name: job.worker_name.clone(),
                    preflight_status: None,
                });
            }
            info!(%run_id, %job_id, stage = %job.stage, attempt = job.attempt, queue = job.queue, volume = ledger.run.codex_volume,
                worker = job.worker_name, "job running");
            ledger.write(connection).await.map(Some)
        })
        .await?;
    if let Some(written) = written {
        written.announce(&flow.hints);
    }
    Ok(())
}

async fn accepted_before(connection: &mut Connection, job_id: Uuid, lease_token: i64) -> Result<(), Error> {
    match jobs::find(connection, job_id).await? {
        Some(job) if job.lease_token == Some(lease_token) && job.status == job::Status::Running => Ok(()),
        _ => Err(fenced(job_id)),
    }
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
