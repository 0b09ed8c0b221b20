//! The gate of a shard: its jobs are offered while it is in service and its login is known good. What can't be offered waits, and says why; or
//! fails with the words of the check, as its run asks.
//!
//! No claim passes a shut gate: the database looks at it in the claim itself. This only tells people, and ends what would wait in vain.

use std::time::Duration;

use diesel_async::AsyncConnection as _;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    Error, Flow, advance, command,
    ledger::{Ledger, Ledgers},
};
use crate::{
    db::{
        commands, jobs,
        shards::{self, Gate},
        volumes,
    },
    domain::{
        command::Order,
        event::Event,
        job::{self, Failure, FailureClass, HoldReason},
        login::Login,
        preflight,
        run::OnAuthFailure,
        shard,
    },
};

/// Most jobs that are settled in one transaction.
const BATCH: i64 = 200;

/// How often a worker is asked about a login of which nothing recent is known, while a job waits for it.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// How long a worker has for its answer.
const ANSWER: Duration = Duration::from_secs(180);

/// Settles every shard that jobs wait for.
///
/// # Errors
///
/// When the database fails; the next pass goes on.
pub async fn pass(flow: &Flow) -> Result<(), Error> {
    let gates = shards::gates(&mut *flow.connection().await?).await?;
    for gate in gates.iter().filter(|gate| gate.waiting) {
        // One shard that can't be settled must not keep the others waiting.
        let settled = async {
            settle(flow, &gate.queue, gate.hold_reason()).await?;
            ask(flow, gate).await
        };
        if let Err(error) = settled.await {
            warn!(queue = gate.queue, %error, "what waits for a shard could not be settled; the next pass goes on");
        }
    }
    Ok(())
}

/// Gives every waiting job of a queue its reason, or its end.
async fn settle(flow: &Flow, queue: &str, hold: Option<HoldReason>) -> Result<(), Error> {
    loop {
        let mut connection = flow.connection().await?;
        let ids = jobs::held_otherwise(&mut connection, queue, hold, BATCH).await?;
        if ids.is_empty() {
            return Ok(());
        }
        let (written, settled) = connection
            .transaction(async |connection| {
                let mut ledgers = Ledgers::lock_of_jobs(connection, &ids, flow.timers).await?;
                // Locked after the runs, as everywhere: what is decided holds until it is written.
                let gate = shards::lock_gate(connection, queue).await?;
                let mut settled = 0;
                for ledger in &mut ledgers.0 {
                    settled += decide(ledger, &gate)?;
                }
                ledgers.0.retain(Ledger::is_touched);
                Ok::<_, Error>((ledgers.write(connection).await?, settled))
            })
            .await?;
        drop(connection);
        written.announce(&flow.hints);
        // Otherwise the gate has moved meanwhile, and whoever moved it looks again.
        if settled < ids.len() {
            return Ok(());
        }
    }
}

/// Returns how many jobs of the run were settled.
fn decide(ledger: &mut Ledger, gate: &Gate) -> Result<usize, Error> {
    let hold = gate.hold_reason();
    let waits = |job: &&jobs::Job| job.queue == gate.queue && job.status == job::Status::Queued && job.lease_instance_id.is_none();
    let waiting: Vec<Uuid> = ledger
        .jobs
        .iter()
        .filter(waits)
        .filter(|job| job.hold_reason != hold)
        .map(|job| job.id)
        .collect();
    for id in &waiting {
        if hold == Some(HoldReason::WaitingAuth) && ledger.run.options().on_auth_failure == OnAuthFailure::Fail {
            refuse(ledger, *id, gate)?;
        } else {
            ledger.move_job(*id, |job| job.hold_reason = hold);
        }
    }
    Ok(waiting.len())
}

/// Fails a job, and its run, with what is known of the login.
fn refuse(ledger: &mut Ledger, job_id: Uuid, gate: &Gate) -> Result<(), Error> {
    let failure = failure(gate);
    ledger.run.codex_preflight_status = Some(preflight::Status::Failed);
    ledger.run.codex_preflight_message = Some(failure.message.clone());
    ledger.record(Event::Diagnostics {
        queue: gate.queue.clone(),
        volume: gate.volume.clone(),
        shard_index: ledger.run.codex_shard_index,
        worker_name: None,
        preflight_status: Some(preflight::Status::Failed),
    });
    ledger.end_job(job_id, job::Status::Failed, Some(&failure))?;
    advance::fail(ledger, failure)
}

fn failure(gate: &Gate) -> Failure {
    let known = gate.known();
    Failure {
        code: known.rung.map_or_else(|| "NOT_LOGGED_IN".to_owned(), |rung| rung.to_string()),
        message: known.message,
        class: FailureClass::Login,
        details: [("queue", &gate.queue), ("volume", &gate.volume)]
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .into(),
    }
}

/// Asks the worker that holds the volume to check its login, where that may open the gate.
async fn ask(flow: &Flow, gate: &Gate) -> Result<(), Error> {
    let every = match gate.known().login(gate.now) {
        Login::Stale => ASK_AGAIN.min(flow.timers.login_recheck),
        // Somebody may have renewed it without telling anybody.
        Login::Bad => flow.timers.login_recheck,
        Login::Good | Login::CoolingDown => return Ok(()),
    };
    let Some(instance_id) = gate.owner_instance_id.filter(|_| gate.status == shard::Status::Active) else {
        return Ok(());
    };
    let mut connection = flow.connection().await?;
    if commands::is_checking(&mut connection, instance_id).await?
        || !volumes::ask(&mut connection, &gate.volume, every.as_secs_f64()).await?
    {
        return Ok(());
    }
    drop(connection);
    let asked = command::Request {
        instance_id,
        session_id: None,
        order: Order::CheckVolume {
            volume: gate.volume.clone(),
            probe: false,
            run_id: None,
        },
        requested_by: "gate",
        deadline: ANSWER,
    };
    info!(
        queue = gate.queue,
        volume = gate.volume,
        "jobs wait for this login: its worker is asked to check it"
    );
    if let Err(error) = command::send(flow, &asked).await {
        warn!(%error, "a worker could not be asked to check its login; it is asked again later");
    }
    Ok(())
}
