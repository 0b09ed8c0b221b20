//! A worker went away with a job: the next attempt is queued.

use diesel_async::AsyncConnection as _;
use tracing::warn;

use super::{Error, Flow, advance, finish, ledger::Ledger};
use crate::{
    db::jobs::{self, Job},
    domain::job::{self, Failure},
};

/// Ends a job whose worker is gone, unless its lease has passed on meanwhile, and queues its next attempt.
pub(super) async fn give_up(flow: &Flow, lost: &Job) -> Result<(), Error> {
    let Some(lease_token) = lost.lease_token else { return Ok(()) };
    let mut connection = flow.connection().await?;
    let written = connection
        .transaction(async |connection| {
            let mut ledger = Ledger::lock(connection, lost.run_id).await?;
            let Some(job) = jobs::lock_running(connection, lost.id, lease_token).await? else {
                return Ok::<_, Error>(None);
            };
            let failure = Failure::worker_lost(job.worker_name.as_deref().unwrap_or("unknown"));
            warn!(run_id = %job.run_id, job_id = %job.id, stage = %job.stage, attempt = job.attempt, worker = job.worker_name, "worker lost");
            advance::end(connection, &mut ledger, &job, job::Status::Failed, Some(&failure)).await?;
            if job.cancel_requested_at.is_some() {
                finish::cancelled(&mut ledger)?;
            } else {
                advance::after_loss(connection, &mut ledger, &job, failure).await?;
            }
            ledger.write(connection).await.map(Some)
        })
        .await?;
    if let Some(written) = written {
        written.announce(flow);
    }
    Ok(())
}
