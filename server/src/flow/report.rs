//! A worker reports on a job that it runs. Each report counts once, in its order, and only under the job's lease.

use tracing::info;
use uuid::Uuid;

use super::{
    Error, Flow,
    accept::fenced,
    finish,
    frame::{Frame, Said},
    ledger::{Also, Ledger},
};
use crate::{
    db::jobs::Job,
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
    let said = Said::Report(sequence, Box::new(news));
    flow.frames.take(Frame::new(None, job_id, lease_token, said)).await
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
        News::VolumeDiagnostics(volume, diagnostics) => ledger.store(Also::VolumeDiagnostics(volume, diagnostics)),
        News::Succeeded(outcome) => finish::succeeded(ledger, &job, outcome)?,
        News::Failed(failure) => finish::failed(ledger, &job, failure)?,
        News::Stopped(how) => finish::stopped(ledger, &job, &how)?,
    }
    Ok(sequence)
}

/// A login check goes on the run's record, the volume's, and into the event stream.
fn preflight(ledger: &mut Ledger, job: &Job, check: Preflight) {
    let check = check.normalised();
    info!(run_id = %ledger.run.id, job_id = %job.id, queue = job.queue, volume = check.volume, shard_index = ledger.run.codex_shard_index,
        worker = job.worker_name, preflight = %check.status, message = check.message, "login checked");
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
