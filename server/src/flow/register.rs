//! A worker says hello: who it is, the login that it holds, and the jobs that it has in hand.

use std::time::Duration;

use diesel_async::AsyncConnection as _;
use tracing::info;
use uuid::Uuid;

use super::{
    Error, Flow, Topic,
    frame::{self, Frame},
    known::{self, Said},
    ledger::DEFAULT_QUEUE,
    lost::{self, When},
    names,
    route::GEMINI_QUEUE,
    steps,
};
use crate::{
    db::{
        Connection, commands, fingerprints,
        instances::{self, Worker},
        jobs::{self, Offered},
        runs, shards, volumes,
    },
    domain::{self, command::Answer, job, preflight::Preflight, shard, volume::Seen},
};

/// A worker as it introduces itself.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the proto message Hello, documented there")]
pub struct Hello {
    pub worker_name: String,
    pub instance_id: Uuid,
    pub hostname: String,
    pub version: String,
    pub queues: Vec<String>,
    pub slots: i32,
    pub profile: serde_json::Value,
    /// `skill:stage` for each stage that one of its skills is ready for, in order.
    pub skills: Vec<String>,
    pub volume: Option<Binding>,
    pub inventory: Vec<Held>,
    pub sealing_key: Option<[u8; 32]>,
}

/// The volume that a worker presents.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the proto message VolumeBinding, documented there")]
pub struct Binding {
    pub volume: String,
    pub queue: String,
    pub seen: Option<Seen>,
    pub preflight: Option<Preflight>,
}

/// A job that a worker has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the proto message HeldJob, documented there")]
pub struct Held {
    pub job_id: Uuid,
    pub lease_token: i64,
    pub finished: bool,
    pub last_sequence: i64,
}

/// What becomes of the worker's jobs.
#[derive(Debug, Clone, Default)]
pub struct Registered {
    /// Id of the session.
    pub session_id: Uuid,
    /// To go on with.
    pub keep: Vec<Held>,
    /// To stop: their lease has passed on.
    pub kill: Vec<Held>,
    /// Whose last report is stored.
    pub acknowledged: Vec<Held>,
    /// Sessions of this process on other live servers.
    pub moved_from: Vec<Uuid>,
    /// Offers of earlier processes that went back.
    pub returned: Vec<Offered>,
    /// Generation of the volume's lease; 0 without a volume.
    pub volume_generation: i64,
    /// Key of the fleet's fingerprints.
    pub fingerprint_key: Vec<u8>,
}

/// Registers a worker and begins its session.
///
/// # Errors
///
/// `INVALID_HELLO`, `UNKNOWN_QUEUE`, `VOLUME_MISMATCH`, `VOLUME_HELD`; [`Error::NameTaken`].
pub async fn register(flow: &Flow, hello: &Hello) -> Result<Registered, Error> {
    let mut connection = flow.connection().await?;
    check(&mut connection, hello).await?;
    let late = accepted_late(&mut connection, hello).await?;
    drop(connection);
    for held in late {
        let frame = Frame::new(Some(hello.instance_id), held.job_id, held.lease_token, frame::Said::Accept);
        // What can't be accepted any more is killed below.
        if let Err(error) = flow.frames.take(frame).await {
            info!(job_id = %held.job_id, %error, "an offer could not be accepted late");
        }
    }
    let mut connection = flow.connection().await?;
    let mut registered = connection
        .transaction(async |connection| write(connection, flow, hello).await)
        .await?;

    // What an earlier process of this worker ran, and this one doesn't have, is lost for good: no need to wait for the lease.
    let kept: Vec<Uuid> = registered.keep.iter().map(|held| held.job_id).collect();
    let mut lost = jobs::running_of_worker(&mut connection, &hello.worker_name).await?;
    lost.retain(|job| !kept.contains(&job.id));
    lost::give_up(&mut connection, flow, &lost, When::Now).await?;
    names::end_elsewhere(flow, hello.instance_id, &registered.moved_from).await?;
    info!(worker = hello.worker_name, instance_id = %hello.instance_id, session_id = %registered.session_id, queues = ?hello.queues,
        volume = hello.volume.as_ref().map(|binding| binding.volume.as_str()), kept = registered.keep.len(), "worker registered");
    flow.hints
        .wake_all(steps::of_returns(std::mem::take(&mut registered.returned), "worker_replaced"));
    flow.hints.wake_all(hello.queues.iter().cloned().map(Topic::Queue));
    if hello.volume.is_some() {
        flow.hints.wake(&Topic::Gates);
    }
    Ok(registered)
}

async fn check(connection: &mut Connection, hello: &Hello) -> Result<(), Error> {
    if hello.worker_name.trim().is_empty() || hello.slots < 1 || hello.queues.is_empty() {
        let message = "a Hello needs a worker_name, at least one queue and at least one slot: set MOORLINE_WORKER_NAME, MOORLINE_QUEUES, MOORLINE_SLOTS";
        return Err(domain::Error::invalid("hello", "INVALID_HELLO", message).into());
    }
    if let Some(binding) = hello.volume.as_ref().filter(|binding| !hello.queues.contains(&binding.queue)) {
        let message = format!(
            "volume {} is presented for queue {}, which the worker doesn't serve: set {} to it",
            binding.volume,
            binding.queue,
            queue_setting(&binding.queue)
        );
        return Err(domain::Error::precondition("VOLUME_MISMATCH", message)
            .with("queue", binding.queue.as_str())
            .into());
    }
    for queue in &hello.queues {
        let shard = shards::find(connection, queue).await?;
        if shard.is_none() && queue != DEFAULT_QUEUE {
            let message = format!(
                "there is no queue {queue:?}: set CODEX_QUEUE or MOORLINE_QUEUES to one that `moorline shard list` shows, or to default"
            );
            return Err(domain::Error::invalid("hello.queues", "UNKNOWN_QUEUE", message)
                .with("queue", queue)
                .into());
        }
        let Some(shard) = shard else { continue };
        let presented = hello
            .volume
            .as_ref()
            .filter(|binding| binding.queue == *queue)
            .map(|binding| binding.volume.as_str());
        if presented != Some(shard.volume_name.as_str()) {
            let message = format!(
                "queue {queue} belongs to volume {}, but worker {} presents {}: set {} to that volume",
                shard.volume_name,
                hello.worker_name,
                presented.unwrap_or("none"),
                volume_setting(queue)
            );
            return Err(domain::Error::precondition("VOLUME_MISMATCH", message)
                .with("queue", queue)
                .with("volume", shard.volume_name)
                .into());
        }
    }
    Ok(())
}

/// The worker's setting that names a queue of this kind.
fn queue_setting(queue: &str) -> &'static str {
    if queue == GEMINI_QUEUE { "MOORLINE_QUEUES" } else { "CODEX_QUEUE" }
}

/// The worker's setting that names the volume of such a queue.
fn volume_setting(queue: &str) -> &'static str {
    if queue == GEMINI_QUEUE {
        "MOORLINE_GEMINI_VOLUME"
    } else {
        "CODEX_VOLUME_NAME"
    }
}

async fn write(connection: &mut Connection, flow: &Flow, hello: &Hello) -> Result<Registered, Error> {
    let now = runs::now(connection).await?;
    let worker = Worker {
        name: &hello.worker_name,
        hostname: &hello.hostname,
        version: &hello.version,
        queues: &hello.queues,
        slots: hello.slots,
        profile: hello.profile.clone(),
        last_heartbeat_at: now,
    };
    // From here on the name's row is locked.
    instances::upsert_worker(connection, &worker).await?;
    let settled = names::settle(connection, flow, hello).await?;
    let lease = flow.timers.lease.as_secs_f64();
    instances::upsert_instance(connection, hello.instance_id, &hello.worker_name, lease, hello.sealing_key.as_ref()).await?;
    let session_id = Uuid::now_v7();
    instances::open_session(connection, session_id, hello.instance_id, flow.server_id, &hello.hostname).await?;
    // Jobs before the shard, as everywhere.
    let registered = take_stock(connection, hello, session_id).await?;
    let volume_generation = match &hello.volume {
        Some(binding) => bind(connection, flow, hello, binding, now).await?,
        None => 0,
    };
    Ok(Registered {
        moved_from: settled.moved_from,
        returned: settled.returned,
        volume_generation,
        fingerprint_key: fingerprints::key(connection).await?,
        ..registered
    })
}

/// Takes the volume for this worker, and its shard into service. Returns the generation of the volume's lease.
async fn bind(
    connection: &mut Connection,
    flow: &Flow,
    hello: &Hello,
    binding: &Binding,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<i64, Error> {
    let volume = volumes::lock(connection, &binding.volume)
        .await?
        .ok_or_else(|| unknown_volume(&binding.volume))?;
    // The volume's row is locked, so this statement sees whoever took it before.
    let holder = volumes::holder(connection, &volume.name).await?;
    if let Some(holder) = holder.filter(|holder| holder.worker != hello.worker_name) {
        return Err(held(&volume.name, holder));
    }
    if let Some(before) = volume.owner_instance_id.filter(|before| *before != hello.instance_id) {
        commands::abandon(connection, before, &serde_json::to_value(Answer::Expired)?).await?;
    }
    let generation = volumes::set_owner(connection, &volume, hello.instance_id, &hello.worker_name).await?;
    // A worker whose volume is in use by an agent that it adopts hasn't looked into it: what was seen last stands. A Hello repeats the worker's
    // last check at each redial; it counts once, with the time at which the server first heard of it.
    let said = Said {
        check: binding.preflight.clone(),
        seen: binding.seen.clone(),
        ..Said::default()
    };
    known::take(connection, &flow.timers, &volume.name, said, now).await?;
    let shard = shards::lock(connection, &binding.queue).await?;
    let status = match shard.and_then(|shard| shard.drained_at) {
        Some(_) => shard::Status::Draining,
        None => shard::Status::Active,
    };
    shards::set_status(connection, &binding.queue, status, Some(&hello.hostname)).await?;
    Ok(generation)
}

/// A standby should dial just when the holder's lease lapses, but look now and then whether the holder has said goodbye.
fn held(volume: &str, holder: volumes::Holder) -> Error {
    const SOONEST: Duration = Duration::from_millis(200);
    const LATEST: Duration = Duration::from_secs(5);
    let left = Duration::try_from_secs_f64(holder.lease_seconds).unwrap_or_default();
    let (holder, host) = (holder.worker, holder.hostname);
    let message = format!(
        "volume {volume} is held by worker {holder} on host {host}, and one volume means one worker, since its login can serve only one at a time: stop that \
         one first, or add a shard for this one, by `moorline shard resize N` with one more than there are, and the queue codex-<N-1> and a volume of its own"
    );
    domain::Error::already_exists("VOLUME_HELD", message)
        .with("volume", volume)
        .with("worker", holder)
        .with("hostname", host)
        .retry_after(left.clamp(SOONEST, LATEST))
        .into()
}

fn unknown_volume(volume: &str) -> Error {
    let message = format!(
        "no shard has the volume {volume:?}: set CODEX_VOLUME_NAME, or MOORLINE_GEMINI_VOLUME, to one that `moorline shard list` shows"
    );
    domain::Error::precondition("VOLUME_MISMATCH", message)
        .with("volume", volume)
        .into()
}

/// Jobs in the worker's hands that are still offers: it has accepted them on a line that ended before the server had read it.
async fn accepted_late(connection: &mut Connection, hello: &Hello) -> Result<Vec<Held>, Error> {
    let mut late = Vec::new();
    for held in &hello.inventory {
        let job = jobs::find_leased(connection, held.job_id, held.lease_token).await?;
        let offered = job.filter(|job| job.status == job::Status::Queued && job.lease_instance_id == Some(hello.instance_id));
        late.extend(offered.map(|_| *held));
    }
    Ok(late)
}

async fn take_stock(connection: &mut Connection, hello: &Hello, session_id: Uuid) -> Result<Registered, Error> {
    let mut registered = Registered {
        session_id,
        ..Registered::default()
    };
    for held in &hello.inventory {
        let job = jobs::find(connection, held.job_id)
            .await?
            .filter(|job| job.lease_token == Some(held.lease_token));
        let ours = job.filter(|job| job.worker_name.as_deref() == Some(hello.worker_name.as_str()));
        let Some(job) = ours else {
            registered.kill.push(*held);
            continue;
        };
        if let Some(last_sequence) = jobs::rehome(connection, job.id, held.lease_token, hello.instance_id).await? {
            registered.keep.push(Held { last_sequence, ..*held });
        } else if held.finished && job.last_report_sequence >= held.last_sequence {
            registered.acknowledged.push(*held);
        } else {
            registered.kill.push(*held);
        }
    }
    Ok(registered)
}
