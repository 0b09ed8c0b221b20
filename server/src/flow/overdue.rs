//! Jobs that have waited in their queue for longer than they may: their runs fail, with the reason for the wait.

use std::{collections::HashSet, time::Duration};

use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use super::{
    Error, Flow, advance, lacking,
    ledger::{Ledger, Ledgers},
};
use crate::{
    db::jobs::{self, Job},
    domain::{
        job,
        retry::{self, Wait},
    },
};

/// Most jobs that one pass ends; the next pass ends more.
const BATCH: i64 = 200;

/// Ends what has waited too long. A job that is offered at the moment is left to the worker's answer.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn fail(flow: &Flow) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    let overdue = jobs::overdue(&mut connection, BATCH).await?;
    if overdue.is_empty() {
        return Ok(());
    }
    let lacking = lacking::skill(&mut connection, &overdue).await?;
    let run_ids: Vec<Uuid> = overdue.iter().map(|job| job.run_id).collect();
    let written = connection
        .transaction(async |connection| {
            let mut ledgers = Ledgers::lock(connection, &run_ids, flow.timers).await?;
            for ledger in &mut ledgers.0 {
                end(ledger, &lacking)?;
            }
            ledgers.0.retain(Ledger::is_touched);
            ledgers.write(connection).await
        })
        .await?;
    written.announce(&flow.hints);
    Ok(())
}

/// Ends the run's job, unless it was offered or has ended since it was found.
fn end(ledger: &mut Ledger, lacking: &HashSet<Uuid>) -> Result<(), Error> {
    let now = ledger.now;
    let is_overdue = |job: &&Job| {
        job.status == job::Status::Queued && job.lease_instance_id.is_none() && job.expires_at.is_some_and(|expires_at| expires_at < now)
    };
    let Some(job) = ledger.jobs.iter().find(is_overdue).cloned() else {
        return Ok(());
    };
    let waited = (now - job.not_before.max(job.created_at)).to_std().unwrap_or(Duration::ZERO);
    let wait = match (job.hold_reason, job.skill.as_deref().filter(|_| lacking.contains(&job.id))) {
        (Some(hold), _) => Wait::Held(hold),
        (None, Some(skill)) => Wait::LacksSkill(skill, job.stage),
        (None, None) => Wait::NotTaken,
    };
    let failure = retry::queue_timeout(&job.queue, waited, wait);
    ledger.end_job(job.id, job::Status::Failed, Some(&failure))?;
    advance::fail(ledger, failure)
}
