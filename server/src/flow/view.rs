//! What clients and operators look at.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Error, Flow, lacking, ledger::not_found};
use crate::{
    db::{
        artifacts, credential_audits, events,
        jobs::{self, Count, Job},
        preflights,
        runs::{self, Filter, Run},
        shards::{self, Shard},
        volumes::{self, Volume},
    },
    domain::{
        job::{Failure, HoldReason},
        run, shard,
    },
};

/// A run with everything that belongs to it.
#[derive(Debug, Clone)]
pub struct RunView {
    /// The run.
    pub run: Run,
    /// Its jobs, in the order of their making.
    pub jobs: Vec<Job>,
    /// What it has stored.
    pub artifacts: Vec<artifacts::Row>,
    /// Its latest login check.
    pub preflight: Option<preflights::Row>,
    /// What was last known of its credentials.
    pub audit: Option<credential_audits::Row>,
    /// Those of its jobs that wait for a skill which no connected worker of their queue has.
    pub lack_skill: HashSet<Uuid>,
}

impl RunView {
    /// The skill that a job waits for since no connected worker of its queue has it.
    pub fn lacking<'a>(&self, job: &'a Job) -> Option<&'a str> {
        job.skill.as_deref().filter(|_| self.lack_skill.contains(&job.id))
    }
}

/// Shows a run.
///
/// # Errors
///
/// `RUN_NOT_FOUND`.
pub async fn run(flow: &Flow, id: Uuid) -> Result<RunView, Error> {
    let mut connection = flow.connection().await?;
    let run = runs::find(&mut connection, id).await?.ok_or_else(|| not_found(id))?;
    let own = preflights::latest_of_run(&mut connection, id).await?;
    // A run that its gate refused was refused with the volume's own check.
    let differs = |own: &Option<preflights::Row>| own.as_ref().map(|own| own.status) != run.codex_preflight_status;
    let preflight = match (own, &run.codex_volume, run.codex_preflight_status) {
        (own, Some(volume), Some(_)) if differs(&own) => preflights::of_volume_until(&mut connection, volume, run.updated_at).await?,
        (own, ..) => own,
    };
    let jobs = jobs::of_run(&mut connection, id).await?;
    Ok(RunView {
        preflight,
        lack_skill: lacking::skill(&mut connection, &jobs).await?,
        jobs,
        artifacts: artifacts::of_run(&mut connection, id).await?,
        audit: credential_audits::latest_of_run(&mut connection, id).await?,
        run,
    })
}

/// Lists runs, newest first.
///
/// # Errors
///
/// When the database fails.
pub async fn runs(
    flow: &Flow,
    filter: Filter,
    after: Option<(chrono::DateTime<chrono::Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Run>, Error> {
    Ok(runs::list(&mut *flow.connection().await?, filter, after, limit).await?)
}

/// Why each of these runs failed, for those that did.
///
/// # Errors
///
/// When the database fails.
pub async fn failures(flow: &Flow, runs: &[Run]) -> Result<HashMap<Uuid, Failure>, Error> {
    let failed: Vec<Uuid> = runs
        .iter()
        .filter(|run| run.status == run::Status::Failed)
        .map(|run| run.id)
        .collect();
    let jobs = jobs::failed_of_runs(&mut *flow.connection().await?, &failed).await?;
    // Later attempts overwrite earlier ones.
    Ok(jobs
        .iter()
        .filter_map(|job| job.failure().map(|failure| (job.run_id, failure)))
        .collect())
}

/// Whether a run has ended.
///
/// # Errors
///
/// `RUN_NOT_FOUND`.
pub async fn has_ended(flow: &Flow, id: Uuid) -> Result<bool, Error> {
    let run = runs::find(&mut *flow.connection().await?, id).await?.ok_or_else(|| not_found(id))?;
    Ok(run.status.is_terminal())
}

/// Events of a run after a number, and whether the run has ended with the last of them.
///
/// # Errors
///
/// `RUN_NOT_FOUND`.
pub async fn events(flow: &Flow, id: Uuid, after: i64) -> Result<(Vec<events::Row>, bool), Error> {
    /// Most events that one look returns.
    const BATCH: i64 = 256;
    let mut connection = flow.connection().await?;
    // The run first: what it says of its end then covers the events that are read after it.
    let run = runs::find(&mut connection, id).await?.ok_or_else(|| not_found(id))?;
    let events = events::after(&mut connection, id, after, BATCH).await?;
    let seen = events.last().map_or(after, |event| event.sequence);
    Ok((events, run.status.is_terminal() && seen >= run.last_event_sequence))
}

/// A shard with the health of its login.
#[derive(Debug, Clone)]
pub struct ShardView {
    /// The shard.
    pub shard: Shard,
    /// Its login.
    pub volume: Volume,
    /// The worker that holds the login.
    pub owner_worker: Option<String>,
    /// How busy it is.
    pub count: Option<Count>,
    /// Its latest run.
    pub latest_run: Option<(Uuid, run::Status)>,
    /// Its latest login check.
    pub preflight: Option<preflights::Row>,
    /// Why its jobs are offered to nobody, if so.
    pub hold: Option<HoldReason>,
    /// Whether new runs are routed to it.
    pub routed: bool,
}

/// Shows all shards, or the one of a queue.
///
/// # Errors
///
/// `SHARD_NOT_FOUND`, when one was asked for by name.
pub async fn shards(flow: &Flow, queue: Option<&str>) -> Result<Vec<ShardView>, Error> {
    let mut connection = flow.connection().await?;
    let found = shards::with_volumes(&mut connection, queue).await?;
    if let (Some(queue), true) = (queue, found.is_empty()) {
        return Err(super::shard::not_found(queue));
    }
    let queues: Vec<String> = found.iter().map(|(shard, _)| shard.queue_name.clone()).collect();
    let counts = jobs::counts(&mut connection, &queues).await?;
    let (now, modulo) = (runs::now(&mut connection).await?, shards::hash_modulo(&mut connection).await?);
    let mut views = Vec::with_capacity(found.len());
    for (shard, volume) in found {
        views.push(ShardView {
            owner_worker: volumes::holder(&mut connection, &volume.name).await?.map(|holder| holder.worker),
            count: counts.iter().find(|count| count.queue == shard.queue_name).cloned(),
            latest_run: shards::latest_run(&mut connection, &shard.queue_name).await?,
            preflight: preflights::latest_of_volume(&mut connection, &volume.name).await?,
            hold: shard::hold_reason(shard.status, shard.drained_at.is_some(), volume.known().login(now)),
            routed: shard.index().is_none_or(|index| modulo.is_some_and(|modulo| index < modulo)),
            shard,
            volume,
        });
    }
    Ok(views)
}

/// Shows the shard of a volume.
///
/// # Errors
///
/// `VOLUME_NOT_FOUND`.
pub async fn shard_of_volume(flow: &Flow, name: &str) -> Result<ShardView, Error> {
    let all = shards(flow, None).await?;
    let found = all.into_iter().find(|view| view.volume.name == name);
    found.ok_or_else(|| super::volume::not_found(name))
}

/// Database time.
///
/// # Errors
///
/// When the database doesn't answer.
pub async fn now(flow: &Flow) -> Result<chrono::DateTime<chrono::Utc>, Error> {
    Ok(runs::now(&mut *flow.connection().await?).await?)
}

/// Whether the database answers.
///
/// # Errors
///
/// When it doesn't.
pub async fn alive(flow: &Flow) -> Result<(), Error> {
    runs::now(&mut *flow.connection().await?).await?;
    Ok(())
}
