//! A worker reports on a job that it runs. Each report counts once, in its order, and only under the job's lease.

use diesel_async::AsyncConnection as _;
use tracing::info;
use uuid::Uuid;

use super::{
    Error, Flow,
    accept::{fenced, run_of},
    finish,
    ledger::Ledger,
};
use crate::{
    db::{
        Connection,
        jobs::{self, Job},
        preflights, volumes,
    },
    domain::{
        event::Event,
        job::{self, Failure},
        preflight::Preflight,
        stage::Outcome,
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
    VolumeDiagnostics(String, serde_json::Value),
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
    let mut connection = flow.connection().await?;
    let run_id = run_of(&mut connection, job_id, lease_token).await?;
    let (written, acknowledged) = connection
        .transaction(async |connection| {
            let mut ledger = Ledger::lock(connection, run_id).await?;
            let Some(job) = jobs::lock_running(connection, job_id, lease_token).await? else {
                return ended_before(connection, job_id, lease_token, sequence)
                    .await
                    .map(|acknowledged| (None, acknowledged));
            };
            if sequence != job.last_report_sequence + 1 {
                return Ok((None, job.last_report_sequence));
            }
            jobs::set_report_sequence(connection, job_id, sequence).await?;
            take_in(connection, &mut ledger, &job, news).await?;
            Ok::<_, Error>((Some(ledger.write(connection).await?), sequence))
        })
        .await?;
    if let Some(written) = written {
        written.announce(&flow.hints);
    }
    Ok(acknowledged)
}

/// A job that this lease has ended: its last report was stored, only the acknowledgement was lost.
async fn ended_before(connection: &mut Connection, job_id: Uuid, lease_token: i64, sequence: i64) -> Result<i64, Error> {
    match jobs::find(connection, job_id).await? {
        Some(job) if job.lease_token == Some(lease_token) && job.status != job::Status::Queued && sequence <= job.last_report_sequence => {
            Ok(job.last_report_sequence)
        }
        _ => Err(fenced(job_id)),
    }
}

async fn take_in(connection: &mut Connection, ledger: &mut Ledger, job: &Job, news: News) -> Result<(), Error> {
    match news {
        News::Progress(message) => ledger.record(Event::Progress {
            job_id: job.id,
            stage: job.stage,
            message,
        }),
        News::Preflight(check) => preflight(connection, ledger, job, check).await?,
        News::VolumeDiagnostics(volume, diagnostics) => {
            volumes::set_diagnostics(connection, &volume, diagnostics).await?;
        }
        News::Succeeded(outcome) => finish::succeeded(connection, ledger, job, outcome).await?,
        News::Failed(failure) => finish::failed(connection, ledger, job, &failure).await?,
        News::Stopped(how) => finish::stopped(connection, ledger, job, &how).await?,
    }
    Ok(())
}

/// A login check goes on the run's record, the volume's, and into the event stream.
async fn preflight(connection: &mut Connection, ledger: &mut Ledger, job: &Job, check: Preflight) -> Result<(), Error> {
    let check = check.normalised();
    info!(run_id = %ledger.run.id, job_id = %job.id, queue = job.queue, volume = check.volume, shard_index = ledger.run.codex_shard_index,
        worker = job.worker_name, preflight = %check.status, message = check.message, "login checked");
    preflights::insert(connection, &check, Some(ledger.run.id), ledger.now).await?;
    store_check(connection, &check, ledger.now).await?;
    ledger.change.codex_preflight_status = Some(check.status);
    ledger.change.codex_preflight_message = Some(check.message.clone());
    ledger.record(Event::Diagnostics {
        queue: job.queue.clone(),
        volume: ledger.run.codex_volume.clone().unwrap_or_default(),
        shard_index: ledger.run.codex_shard_index,
        worker_name: job.worker_name.clone(),
        preflight_status: Some(check.status),
    });
    ledger.record(Event::Preflight(check));
    Ok(())
}

/// Moves the volume as the check says.
pub(super) async fn store_check(connection: &mut Connection, check: &Preflight, now: chrono::DateTime<chrono::Utc>) -> Result<(), Error> {
    if let Some(volume) = volumes::lock(connection, &check.volume).await? {
        volumes::checked(connection, &volume, check.status, now).await?;
    }
    Ok(())
}
