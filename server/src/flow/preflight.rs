//! Login checks: one for a run now, and those that were made.

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use super::{
    Error, Flow,
    ledger::{Ledgers, not_found},
    route, volume,
};
use crate::{
    db::{
        jobs,
        preflights::{self, Filter},
        runs::{self, Run},
    },
    domain::{
        self,
        event::Event,
        job,
        preflight::{self, Preflight},
        run::Phase,
        stage::Stage,
    },
};

/// Which run's login to check.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The run.
    pub run_id: Uuid,
    /// Another key than the run's own, to choose the shard by; blank for the run's shard.
    pub affinity_key: &'a str,
    /// Check even though the last check is recent.
    pub force_refresh: bool,
    /// Who asks, for the record.
    pub requested_by: &'a str,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The check.
    pub check: preflights::Row,
    /// The run with it.
    pub run: Run,
    /// Whether the volume's last check was recent enough and stands.
    pub reused: bool,
}

/// Checks the login that a run needs, and notes the result on the run.
///
/// # Errors
///
/// `RUN_NOT_FOUND`, `RUN_ENDED`, `RUN_IN_SUBMIT`, `NO_LOGIN_NEEDED`, and those of [`volume::check`].
pub async fn of_run(flow: &Flow, request: &Request<'_>) -> Result<Outcome, Error> {
    let run = open_run(flow, request.run_id).await?;
    let name = match request.affinity_key.trim() {
        "" => run.codex_volume.clone(),
        key => {
            let key = route::Request {
                affinity_key: key,
                agent: Some(run.agent),
                ..route::Request::default()
            };
            route::resolve(flow, &key).await?.volume
        }
    };
    let Some(name) = name else {
        let message = format!("run {} goes to no volume, so there is no login to check: watch the run", run.id);
        return Err(domain::Error::precondition("NO_LOGIN_NEEDED", message).into());
    };
    let known = volume::find(flow, &name).await?;
    let latest = preflights::latest_of_volume(&mut *flow.connection().await?, &name).await?;
    let reusable = latest.filter(|check| check.status == preflight::Status::Passed && !request.force_refresh);
    let now = runs::now(&mut *flow.connection().await?).await?;
    let reused = reusable.is_some() && known.open_until.is_some_and(|until| until > now);
    let check = match reusable.filter(|_| reused) {
        Some(row) => row,
        None => {
            let counts = volume::check(flow, &name, false, Some(run.id), request.requested_by).await?.check;
            let made = preflights::latest_of_run(&mut *flow.connection().await?, run.id).await?;
            // The worker's own check passes where another volume has the same login; what the server makes of it counts.
            preflights::Row {
                status: counts.status,
                rung: counts.rung,
                message: counts.message,
                ..made.ok_or_else(|| not_found(run.id))?
            }
        }
    };
    let run = note(flow, request.run_id, check.check()).await?;
    Ok(Outcome { check, run, reused })
}

async fn open_run(flow: &Flow, run_id: Uuid) -> Result<Run, Error> {
    let mut connection = flow.connection().await?;
    let run = runs::find(&mut connection, run_id).await?.ok_or_else(|| not_found(run_id))?;
    // A failed run may be retried, and whoever renews its login wants to see whether that helped.
    if run.status.is_terminal() && run.status != crate::domain::run::Status::Failed {
        let message = format!(
            "run {run_id} has ended, {}: check its volume instead, with `moorline volume check`",
            run.status
        );
        return Err(domain::Error::precondition("RUN_ENDED", message)
            .with("run_id", run_id.to_string())
            .with("status", run.status.to_string())
            .into());
    }
    let jobs = jobs::of_run(&mut connection, run_id).await?;
    let in_submit = |job: &jobs::Job| job.stage == Stage::Submit && job.status == job::Status::Running;
    if run.phase == Phase::Submit && jobs.iter().any(in_submit) {
        let message = format!("the agent of run {run_id} is at work with the login: wait for its end, or cancel the run");
        return Err(domain::Error::precondition("RUN_IN_SUBMIT", message)
            .with("run_id", run_id.to_string())
            .into());
    }
    Ok(run)
}

/// Notes a check on its run, unless that has ended meanwhile.
async fn note(flow: &Flow, run_id: Uuid, check: Preflight) -> Result<Run, Error> {
    let mut connection = flow.connection().await?;
    let written = connection
        .transaction(async |connection| {
            let mut ledger = Ledgers::lock_one(connection, run_id, flow.timers).await?;
            let frozen = ledger.run.status.is_terminal() && ledger.run.status != crate::domain::run::Status::Failed;
            if !frozen {
                ledger.run.codex_preflight_status = Some(check.status);
                ledger.run.codex_preflight_message = Some(check.message.clone());
                ledger.record(Event::Preflight(check));
            }
            ledger.write(connection).await
        })
        .await?;
    super::ledger::the_run(written.announce(&flow.hints), run_id)
}

/// Lists checks, newest first, after the one that `after` names by its time and id.
///
/// # Errors
///
/// When the database fails.
pub async fn list(flow: &Flow, filter: &Filter, after: Option<(DateTime<Utc>, Uuid)>, limit: i64) -> Result<Vec<preflights::Row>, Error> {
    Ok(preflights::list(&mut *flow.connection().await?, filter, after, limit).await?)
}
