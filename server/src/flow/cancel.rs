//! A client cancels a run.

use diesel_async::AsyncConnection as _;
use tracing::info;
use uuid::Uuid;

use super::{
    Error, Flow, Topic, finish,
    ledger::{Ledgers, the_run},
};
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
            let mut ledger = Ledgers::lock_one(connection, run_id, flow.timers).await?;
            if ledger.run.status == run::Status::Cancelled {
                return Ok::<_, Error>(Err(ledger.run));
            }
            if ledger.run.status.is_terminal() {
                return Err(ended(&ledger.run));
            }
            let mut running = false;
            let now = ledger.now;
            for job in ledger.jobs.clone() {
                match job.status {
                    job::Status::Queued => ledger.end_job(job.id, job::Status::Cancelled, None)?,
                    job::Status::Running => {
                        running = true;
                        // The first time that it was asked is the one that counts.
                        ledger.change_job(job.id, |job| {
                            job.cancel_requested_at.get_or_insert(now);
                            job.cancel_reason.get_or_insert_with(|| reason.to_owned());
                        });
                        ledger.wake.extend(job.lease_instance_id.map(Topic::Instance));
                    }
                    _ => {}
                }
            }
            if !running {
                finish::cancelled(&mut ledger, Some(reason))?;
            }
            if running {
                info!(%run_id, reason, "run is to be cancelled: its worker is told to stop");
            }
            ledger.write(connection).await.map(Ok)
        })
        .await?;
    Ok(match written {
        Ok(written) => the_run(written.announce(&flow.hints), run_id)?,
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

/// Wakes this server's sessions of workers that should stop something: they are told again, until they have.
///
/// # Errors
///
/// When the database fails; the next look finds them.
pub async fn remind(flow: &Flow) -> Result<(), Error> {
    let instances = jobs::instances_to_cancel(&mut *flow.connection().await?).await?;
    for instance_id in instances {
        flow.hints.wake_here(&Topic::Instance(instance_id));
    }
    Ok(())
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
