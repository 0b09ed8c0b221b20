//! A worker reports on a job that it runs. Each report counts once, in its order, and only under the job's lease.

use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use super::{
    Error, Flow, Topic,
    accept::fenced,
    finish,
    frame::{self, Frame},
    known::{self, Said},
    ledger::{Also, Ledger},
};
use crate::{
    db::{jobs::Job, runs, volumes},
    domain::{
        audit::{Audit, CodexStatus},
        event::Event,
        job::{self, Failure},
        preflight::Preflight,
        skill::Execution,
        stage::Outcome,
        volume::Seen,
    },
};

/// News of a job.
#[derive(Debug, Clone)]
pub enum News {
    /// A line of progress.
    Progress(String),
    /// A login check made for the job.
    Preflight(Preflight),
    /// The volume as it is now: its name, and what the worker sees of it.
    Seen(String, Seen),
    /// The run's credentials, as the stage found them.
    Audit(Audit),
    /// It has ended, and by which way, where the worker says.
    Ended(End, Option<Box<Execution>>),
}

/// How a job ended.
#[derive(Debug, Clone)]
pub enum End {
    /// It succeeded.
    Succeeded(Outcome),
    /// It failed.
    Failed(Failure),
    /// It was stopped on request.
    Stopped(String),
}

/// Stores a report. Returns the number up to which reports are stored: one that came before is stored already, and one that came too
/// early isn't stored yet.
///
/// # Errors
///
/// `FENCED` when the lease has passed on.
pub async fn report(flow: &Flow, job_id: Uuid, lease_token: i64, sequence: i64, news: News) -> Result<i64, Error> {
    let said = frame::Said::Report(sequence, Box::new(news));
    flow.frames.take(Frame::new(None, job_id, lease_token, said)).await
}

/// Stores what the holder of a volume says of it outside of a job.
///
/// # Errors
///
/// When the database fails; the worker says it again.
pub async fn volume(flow: &Flow, instance_id: Uuid, name: &str, check: Option<Preflight>, seen: Option<Seen>) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    let moved = connection
        .transaction(async |connection| {
            // A process that has lost the volume meanwhile has no say in it.
            let held = volumes::lock(connection, name).await?;
            if held.is_none_or(|volume| volume.owner_instance_id != Some(instance_id)) {
                return Ok::<_, Error>(false);
            }
            let now = runs::now(connection).await?;
            let said = Said {
                check,
                seen,
                ..Said::default()
            };
            Ok(known::take(connection, &flow.timers, name, said, now).await?.moved)
        })
        .await?;
    if moved {
        flow.hints.wake(&Topic::Gates);
    }
    Ok(())
}

/// Decides on a report.
pub(super) fn apply(ledger: &mut Ledger, job_id: Uuid, lease_token: i64, sequence: i64, news: News) -> Result<i64, Error> {
    let leased = |job: &&Job| job.lease_token == Some(lease_token);
    let Some(job) = ledger.job(job_id).filter(leased).cloned() else {
        return Err(fenced(job_id));
    };
    match job.status {
        job::Status::Running => {}
        job::Status::Queued => return Err(fenced(job_id)),
        // This lease has ended the job: its last report was stored, only the acknowledgement was lost.
        _ if sequence <= job.last_report_sequence => return Ok(job.last_report_sequence),
        _ => return Err(fenced(job_id)),
    }
    if sequence != job.last_report_sequence + 1 {
        return Ok(job.last_report_sequence);
    }
    ledger.change_job(job_id, |job| job.last_report_sequence = sequence);
    match news {
        News::Progress(message) => ledger.record(Event::Progress {
            job_id,
            stage: job.stage,
            message,
        }),
        News::Preflight(check) => preflight(ledger, &job, check),
        News::Seen(volume, seen) => ledger.store(Also::Seen(volume, seen)),
        News::Audit(audit) => {
            // Who publishes has no login of the agent to look at; what the run's own check found still stands.
            let known = ledger.run.codex_preflight_status.and_then(CodexStatus::of_check);
            let audit = Audit {
                codex_status: audit.codex_status.or(known),
                ..audit
            };
            ledger.record(Event::CredentialAudit(audit.clone()));
            ledger.store(Also::Audit(audit));
        }
        News::Ended(end, execution) => {
            if let Some(said) = execution {
                ledger.went(&job, *said, matches!(end, End::Succeeded(_)))?;
            }
            match end {
                End::Succeeded(outcome) => finish::succeeded(ledger, &job, outcome)?,
                End::Failed(failure) => finish::failed(ledger, &job, failure)?,
                End::Stopped(how) => finish::stopped(ledger, &job, &how)?,
            }
        }
    }
    Ok(sequence)
}

/// A login check goes on the run's record, the volume's, and into the event stream.
fn preflight(ledger: &mut Ledger, job: &Job, check: Preflight) {
    let check = check.normalised();
    ledger.run.codex_preflight_status = Some(check.status);
    ledger.run.codex_preflight_message = Some(check.message.clone());
    ledger.record(Event::Diagnostics {
        queue: job.queue.clone(),
        volume: ledger.run.codex_volume.clone().unwrap_or_default(),
        shard_index: ledger.run.codex_shard_index,
        worker_name: job.worker_name.clone(),
        preflight_status: Some(check.status),
    });
    ledger.store(Also::Preflight(check.clone()));
    ledger.record(Event::Preflight(check));
}
