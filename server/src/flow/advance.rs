//! What follows when a stage has ended: the next stage, or the end of the run.

use uuid::Uuid;

use super::{Error, ledger::Ledger};
use crate::{
    db::{
        Connection,
        jobs::{self, End, Job, New},
        shards,
    },
    domain::{
        job::{self, Failure, Payload},
        retry::{LOST_ATTEMPTS_MAX, Tried},
        run::{self, Phase},
        stage::{Outcome, Stage},
    },
};

/// Queue of everything that isn't agent work.
pub const DEFAULT_QUEUE: &str = "default";

/// Queues the next attempt of a stage.
pub async fn enqueue(connection: &mut Connection, ledger: &mut Ledger, stage: Stage, payload: Payload) -> Result<(), Error> {
    let attempts = jobs::of_run(connection, ledger.run.id)
        .await?
        .iter()
        .filter(|job| job.stage == stage)
        .count();
    let queue = match stage {
        Stage::Submit => ledger.run.codex_queue.as_deref().unwrap_or(DEFAULT_QUEUE),
        Stage::Discover | Stage::Publish => DEFAULT_QUEUE,
    };
    let new = New {
        id: Uuid::now_v7(),
        run_id: ledger.run.id,
        stage,
        attempt: i32::try_from(attempts).unwrap_or(i32::MAX - 1) + 1,
        queue,
        hold_reason: shards::hold_reason(connection, queue).await?,
        priority: ledger.run.options().priority,
        payload: serde_json::to_value(payload)?,
    };
    let job = jobs::insert(connection, &new).await?;
    ledger.record_job(&job);
    Ok(())
}

/// Takes in what a stage reported: the run goes to the next stage, or ends.
pub async fn after_success(connection: &mut Connection, ledger: &mut Ledger, job: &Job, outcome: Outcome) -> Result<(), Error> {
    let mut payload = job.payload();
    match outcome {
        Outcome::Discover(discovered) => {
            ledger.change.base_ref = Some(discovered.base_ref.clone());
            if discovered.phase.is_none() {
                return end_without_work(connection, ledger).await;
            }
            payload.discover = Some(discovered);
        }
        Outcome::Submit(submitted) => {
            ledger.change.codex_task_id = Some(submitted.codex_task_id.clone());
            payload.submit = Some(submitted);
        }
        Outcome::Publish(published) => {
            if !published.pr_url.is_empty() {
                ledger.change.pr_url = Some(published.pr_url);
            }
        }
    }
    match run::stages(ledger.run.force_phase).iter().find(|stage| **stage > job.stage) {
        Some(next) => {
            ledger.move_to(run::Status::Running, Phase::from(*next), None)?;
            enqueue(connection, ledger, *next, payload).await
        }
        None => ledger.move_to(run::Status::Succeeded, Phase::Complete, None),
    }
}

/// Queues the next attempt of a job that was lost with its worker. A stage that keeps losing its workers fails the run in the end.
pub async fn after_loss(connection: &mut Connection, ledger: &mut Ledger, lost: &Job, failure: Failure) -> Result<(), Error> {
    let lost_attempts = u32::try_from(jobs::lost_attempts(connection, lost.run_id, lost.stage).await?).unwrap_or(u32::MAX);
    if lost_attempts >= LOST_ATTEMPTS_MAX {
        return fail(
            ledger,
            failure.for_good(Tried {
                lost: lost_attempts,
                environment: 0,
            }),
        );
    }
    enqueue(connection, ledger, lost.stage, lost.payload()).await
}

/// Ends the run with a failure.
pub fn fail(ledger: &mut Ledger, failure: Failure) -> Result<(), Error> {
    let phase = ledger.run.phase;
    ledger.move_to(run::Status::Failed, phase, Some(failure))
}

/// Ends a run whose task list is done: the stages that were not needed are on record as skipped.
async fn end_without_work(connection: &mut Connection, ledger: &mut Ledger) -> Result<(), Error> {
    for stage in run::stages(ledger.run.force_phase).iter().filter(|stage| **stage > Stage::Discover) {
        enqueue(connection, ledger, *stage, Payload::default()).await?;
    }
    for queued in jobs::of_run(connection, ledger.run.id)
        .await?
        .iter()
        .filter(|job| job.status == job::Status::Queued)
    {
        end(connection, ledger, queued, job::Status::Skipped, None).await?;
    }
    ledger.move_to(run::Status::NoWork, Phase::Complete, None)
}

/// Ends a job without a result, and records it.
pub async fn end(
    connection: &mut Connection,
    ledger: &mut Ledger,
    job: &Job,
    status: job::Status,
    failure: Option<&Failure>,
) -> Result<(), Error> {
    let failure = failure.map(serde_json::to_value).transpose()?;
    let ended = jobs::end(
        connection,
        job.id,
        &End {
            status,
            result: None,
            failure,
            finished_at: ledger.now,
        },
    )
    .await?;
    ledger.record_job(&ended);
    Ok(())
}
