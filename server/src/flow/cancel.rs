//! A client cancels a run.

use diesel_async::AsyncConnection as _;
use tracing::info;
use uuid::Uuid;

use super::{Error, Flow, Topic, advance, finish, ledger::Ledger};
use crate::{
    db::{
        jobs::{self, Job},
        runs::Run,
    },
    domain::{self, job, run},
};

/// Cancels a run: at once when none of its jobs runs, else as soon as the worker has stopped the job. Safe to repeat.
///
/// # Errors
///
/// `RUN_NOT_FOUND`; `RUN_ENDED` when it has ended otherwise.
pub async fn cancel(flow: &Flow, run_id: Uuid, reason: &str) -> Result<Run, Error> {
    let mut connection = flow.connection().await?;
    let written = connection
        .transaction(async |connection| {
            let mut ledger = Ledger::lock(connection, run_id).await?;
            if ledger.run.status == run::Status::Cancelled {
                return Ok::<_, Error>(Err(ledger.run));
            }
            if ledger.run.status.is_terminal() {
                return Err(ended(&ledger.run));
            }
            let mut running = false;
            for job in jobs::of_run(connection, run_id).await? {
                match job.status {
                    job::Status::Queued => advance::end(connection, &mut ledger, &job, job::Status::Cancelled, None).await?,
                    job::Status::Running => {
                        running = true;
                        jobs::request_cancel(connection, job.id, reason).await?;
                        ledger.wake.extend(job.lease_instance_id.map(Topic::Instance));
                    }
                    _ => {}
                }
            }
            if !running {
                finish::cancelled(&mut ledger, Some(reason))?;
            }
            info!(%run_id, reason, running, "run cancelled");
            ledger.write(connection).await.map(Ok)
        })
        .await?;
    Ok(match written {
        Ok(written) => written.announce(&flow.hints),
        Err(cancelled_before) => cancelled_before,
    })
}

/// Running jobs of an instance that should stop.
///
/// # Errors
///
/// When the database fails; the next look finds them.
pub async fn pending(flow: &Flow, instance_id: Uuid) -> Result<Vec<Job>, Error> {
    Ok(jobs::to_cancel(&mut *flow.connection().await?, instance_id).await?)
}

fn ended(run: &Run) -> Error {
    let message = format!(
        "run {} has ended as {} and can't be cancelled: there is nothing left to stop",
        run.id, run.status
    );
    domain::Error::precondition("RUN_ENDED", message)
        .with("run_id", run.id.to_string())
        .with("status", run.status.to_string())
        .into()
}
