//! A worker has room: jobs are claimed for it, and their leases committed, before it hears of them.

use std::time::Duration;

use tracing::info;
use uuid::Uuid;

use super::{Error, Flow};
use crate::{
    db::{
        jobs::{self, Claimant, Job},
        runs::{self, Run},
    },
    domain::stage::Stage,
};

/// A claimed job with its run.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The job.
    pub job: Job,
    /// Its run.
    pub run: Run,
    /// Its lease.
    pub lease_token: i64,
    /// Longest time that the stage may take.
    pub timeout: Duration,
}

/// Claims up to `limit` jobs of a queue for an instance.
///
/// # Errors
///
/// When the database fails; then nothing was claimed.
pub async fn claim(flow: &Flow, queue: &str, limit: u32, instance_id: Uuid, worker_name: &str) -> Result<Vec<Claimed>, Error> {
    let mut connection = flow.connection().await?;
    let claimant = Claimant {
        instance_id,
        worker_name,
        accept_within: flow.timers.accept_deadline.as_secs_f64(),
    };
    let mut claimed = Vec::new();
    for job in jobs::claim(&mut connection, queue, i64::from(limit), claimant).await? {
        let (Some(lease_token), Some(run)) = (job.lease_token, runs::find(&mut connection, job.run_id).await?) else {
            continue;
        };
        info!(run_id = %run.id, job_id = %job.id, stage = %job.stage, attempt = job.attempt, queue, worker = worker_name, lease_token,
            "job claimed");
        let timeout = timeout(flow, job.stage, &run);
        claimed.push(Claimed {
            job,
            run,
            lease_token,
            timeout,
        });
    }
    Ok(claimed)
}

fn timeout(flow: &Flow, stage: Stage, run: &Run) -> Duration {
    let asked = (stage == Stage::Submit).then(|| run.options().agent_timeout_seconds).flatten();
    asked.map_or_else(
        || flow.timers.stage_timeout(stage),
        |seconds| Duration::from_secs(u64::from(seconds)),
    )
}

/// Gives an offer back that the worker refused: no attempt is spent, and it is offered again after a moment.
///
/// # Errors
///
/// When the database fails; then the offer lapses by itself.
pub async fn reject(flow: &Flow, instance_id: Uuid, job_id: Uuid, lease_token: i64) -> Result<(), Error> {
    const PAUSE_SECONDS: f64 = 1.0;
    let mut connection = flow.connection().await?;
    jobs::release_offers(&mut connection, instance_id, Some((job_id, lease_token)), PAUSE_SECONDS).await?;
    Ok(())
}
