//! Workers went away with their jobs: the next attempts are queued.

use std::collections::HashSet;

use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use super::{
    Error, Flow, advance,
    ledger::{Ledger, Ledgers},
};
use crate::{
    db::{Connection, instances, jobs::Job},
    domain::job::{self, Failure},
    metrics,
};

/// When jobs count as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Their worker has said so, or its stream has ended: now.
    Now,
    /// Once the lease of their instance has run out, which a worker that came back in the meantime has renewed.
    LeaseHasLapsed,
}

/// Ends jobs whose workers are gone, unless their leases have passed on meanwhile, and queues their next attempts.
///
/// Takes the caller's connection: a second one from the pool, asked for while the first is held, could be waited for without end.
pub(super) async fn give_up(connection: &mut Connection, flow: &Flow, lost: &[Job], when: When) -> Result<(), Error> {
    if lost.is_empty() {
        return Ok(());
    }
    let run_ids: Vec<Uuid> = lost.iter().map(|job| job.run_id).collect();
    let (written, ended) = connection
        .transaction(async |connection| {
            let mut ledgers = Ledgers::lock(connection, &run_ids, flow.timers).await?;
            let mut instance_ids: Vec<Uuid> = lost.iter().filter_map(|job| job.lease_instance_id).collect();
            // Asked under the jobs' locks: a worker that comes back takes those before it is told to go on.
            if when == When::LeaseHasLapsed {
                instance_ids = instances::lapsed(connection, &instance_ids).await?;
            }
            let gone: HashSet<Uuid> = instance_ids.into_iter().collect();
            let mut ended = 0;
            for ledger in &mut ledgers.0 {
                let of_run: Vec<&Job> = lost.iter().filter(|job| job.run_id == ledger.run.id).collect();
                for job in of_run {
                    ended += u64::from(end(ledger, job, &gone)?);
                }
            }
            ledgers.0.retain(Ledger::is_touched);
            Ok::<_, Error>((ledgers.write(connection).await?, ended))
        })
        .await?;
    if when == When::LeaseHasLapsed {
        metrics::LEASE_EXPIRIES.add(ended, ["job".into()]);
    }
    written.announce(&flow.hints);
    Ok(())
}

/// Whether it was still that worker's.
fn end(ledger: &mut Ledger, lost: &Job, gone: &HashSet<Uuid>) -> Result<bool, Error> {
    let still_lost = |job: &&Job| {
        job.status == job::Status::Running
            && job.lease_token == lost.lease_token
            && job.lease_instance_id == lost.lease_instance_id
            && job.lease_instance_id.is_some_and(|instance_id| gone.contains(&instance_id))
    };
    let Some(job) = ledger.job(lost.id).filter(still_lost).cloned() else {
        return Ok(false);
    };
    let failure = Failure::worker_lost(job.worker_name.as_deref().unwrap_or("unknown"));
    advance::after_failure(ledger, &job, failure)?;
    Ok(true)
}
