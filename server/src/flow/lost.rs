//! A worker went away with a job: the next attempt is queued.

use diesel_async::AsyncConnection as _;
use tracing::warn;

use super::{Error, Hints, advance, finish, ledger::Ledger};
use crate::{
    db::{
        Connection, instances,
        jobs::{self, Job},
    },
    domain::job::{self, Failure},
};

/// When a job counts as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Its worker has said so, or its stream has ended: now.
    Now,
    /// Once the lease of its instance has run out, which a worker that came back in the meantime has renewed.
    LeaseHasLapsed,
}

/// Ends a job whose worker is gone, unless its lease has passed on meanwhile, and queues its next attempt.
///
/// Takes the caller's connection: a second one from the pool, asked for while the first is held, could be waited for without end.
pub(super) async fn give_up(connection: &mut Connection, hints: &Hints, lost: &Job, when: When) -> Result<(), Error> {
    let (Some(lease_token), Some(instance_id)) = (lost.lease_token, lost.lease_instance_id) else {
        return Ok(());
    };
    let written = connection
        .transaction(async |connection| {
            let mut ledger = Ledger::lock(connection, lost.run_id).await?;
            let running = jobs::lock_running(connection, lost.id, lease_token).await?;
            let Some(job) = running.filter(|job| job.lease_instance_id == Some(instance_id)) else {
                return Ok::<_, Error>(None);
            };
            // Asked under the job's lock: a worker that comes back takes that lock before it is told to go on.
            if when == When::LeaseHasLapsed && !instances::has_lapsed(connection, instance_id).await? {
                return Ok(None);
            }
            let failure = Failure::worker_lost(job.worker_name.as_deref().unwrap_or("unknown"));
            warn!(run_id = %job.run_id, job_id = %job.id, stage = %job.stage, attempt = job.attempt, worker = job.worker_name, "worker lost");
            advance::end(connection, &mut ledger, &job, job::Status::Failed, Some(&failure)).await?;
            if job.cancel_requested_at.is_some() {
                finish::cancelled(&mut ledger, job.cancel_reason.as_deref())?;
            } else {
                advance::after_loss(connection, &mut ledger, &job, failure).await?;
            }
            ledger.write(connection).await.map(Some)
        })
        .await?;
    if let Some(written) = written {
        written.announce(hints);
    }
    Ok(())
}
