//! Workers have room: jobs are claimed for them, and their leases committed, before they hear of them.

use std::time::Duration;

use moorline_telemetry::trace::Place;
use uuid::Uuid;

use super::{Error, Flow, steps};
pub use crate::db::jobs::Slot;
use crate::{
    db::{
        jobs::{self, Job},
        runs::Run,
        volumes,
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
    /// The instance that it was claimed for.
    pub instance_id: Uuid,
    /// Its lease.
    pub lease_token: i64,
    /// Longest time that the stage may take.
    pub timeout: Duration,
    /// Generation of the lease of the queue's volume; 0 where it has none.
    pub volume_generation: i64,
    /// Where the worker goes on with the run's trace.
    pub place: Place,
}

/// Claims jobs of a queue, at most one for each slot. They come in the order of the queue. The slots' workers are alike in their `skills`,
/// `skill:stage` for each stage that one of theirs is ready for: a job that needs another is not theirs.
///
/// # Errors
///
/// When the database fails; what was claimed without an answer lapses by itself.
pub async fn claim(flow: &Flow, queue: &str, slots: &[Slot<'_>], skills: &[String]) -> Result<Vec<Claimed>, Error> {
    let mut connection = flow.connection().await?;
    let claimed = jobs::claim(&mut connection, queue, slots, skills, flow.timers.accept_deadline.as_secs_f64()).await?;
    let volume_generation = match claimed.first() {
        Some((job, _)) if job.stage == Stage::Submit => volumes::generation_of_queue(&mut connection, queue).await?,
        _ => 0,
    };
    let offer = |(job, run): (Job, Run)| {
        let (lease_token, instance_id) = (job.lease_token?, job.lease_instance_id?);
        let offered_at = job.lease_expires_at? - flow.timers.accept_deadline;
        Some(Claimed {
            timeout: timeout(flow, job.stage, &run),
            place: steps::of_offer(&run, &job, offered_at),
            job,
            run,
            instance_id,
            lease_token,
            volume_generation,
        })
    };
    Ok(claimed.into_iter().filter_map(offer).collect())
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
    let returned = jobs::release_offers(&mut connection, instance_id, Some((job_id, lease_token)), PAUSE_SECONDS).await?;
    // Nobody is woken: it can't be claimed yet.
    steps::of_returns(returned, "rejected");
    Ok(())
}

/// Gives an offer back that could not be sent: it is offered again at once.
///
/// # Errors
///
/// When the database fails; then the offer lapses by itself.
pub async fn give_back(flow: &Flow, claimed: &Claimed) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    let only = Some((claimed.job.id, claimed.lease_token));
    let returned = jobs::release_offers(&mut connection, claimed.instance_id, only, 0.0).await?;
    flow.hints.wake_all(steps::of_returns(returned, "not_sent"));
    Ok(())
}
