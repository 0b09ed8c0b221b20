//! What operators do with shards: drain, activate, add.

use diesel_async::AsyncConnection as _;
use tracing::{info, warn};

use super::{Error, Flow, Topic, route::GEMINI_QUEUE};
use crate::{
    db::{
        Connection,
        shards::{self, Shard},
        volumes,
    },
    domain::{self, routing, shard, volume},
};

/// Most shards.
const SHARDS_MAX: i32 = 1024;

/// Longest reason, in characters.
const REASON_MAX: usize = 512;

/// Lets a shard take no new work until it is activated. Safe to repeat: the first reason stays unless there is a new one.
///
/// # Errors
///
/// `SHARD_NOT_FOUND`, `TOO_LONG`.
pub async fn drain(flow: &Flow, queue: &str, reason: &str) -> Result<(), Error> {
    if reason.chars().count() > REASON_MAX || reason.contains('\0') {
        let message = format!("a reason has at most {REASON_MAX} characters and no NUL: shorten it");
        return Err(domain::Error::invalid("reason", "TOO_LONG", message).into());
    }
    change(flow, queue, Some(reason.trim())).await?;
    info!(queue, reason, "shard drained");
    Ok(())
}

/// Lets a drained shard take work again.
///
/// # Errors
///
/// `SHARD_NOT_FOUND`.
pub async fn activate(flow: &Flow, queue: &str) -> Result<(), Error> {
    change(flow, queue, None).await?;
    info!(queue, "shard activated");
    Ok(())
}

async fn change(flow: &Flow, queue: &str, drained: Option<&str>) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    connection
        .transaction(async |connection| {
            let shard = shards::lock(connection, queue).await?.ok_or_else(|| not_found(queue))?;
            let reason = drained.map(|reason| if reason.is_empty() { shard.drain_reason.as_str() } else { reason });
            shards::set_drained(connection, queue, reason).await?;
            // A shard without a worker stays offline; it takes up what was asked for when one comes.
            let status = match (shard.status, drained) {
                (shard::Status::Offline, _) => shard::Status::Offline,
                (_, Some(_)) => shard::Status::Draining,
                (_, None) => shard::Status::Active,
            };
            shards::set_status(connection, queue, status, None).await?;
            Ok::<_, Error>(())
        })
        .await?;
    flow.hints.wake_all([Topic::Gates, Topic::Queue(queue.to_owned())]);
    Ok(())
}

/// Routes new runs over this many shards, and makes those that are missing. Runs keep their shard.
///
/// # Errors
///
/// `INVALID_SHARD_COUNT`, `VOLUME_TAKEN`.
pub async fn set_count(flow: &Flow, count: i32) -> Result<(), Error> {
    if !(1..=SHARDS_MAX).contains(&count) {
        let message = format!("there can be 1 to {SHARDS_MAX} shards, not {count}: name a number in between");
        return Err(domain::Error::invalid("count", "INVALID_SHARD_COUNT", message).into());
    }
    let prefix = &flow.volume_prefix;
    let mut connection = flow.connection().await?;
    connection
        .transaction(async |connection| {
            shards::set_hash_modulo(connection, count).await?;
            for index in 0..count {
                add(connection, index, count, prefix).await?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    info!(count, "shard count set");
    flow.hints.wake(&Topic::Gates);
    Ok(())
}

/// Makes a shard with its volume, where it is missing.
pub(super) async fn add(connection: &mut Connection, index: i32, modulo: i32, prefix: &str) -> Result<(), Error> {
    let queue_name = routing::queue_name(index.unsigned_abs());
    if shards::find(connection, &queue_name).await?.is_some() {
        return Ok(());
    }
    let volume_name = format!("{prefix}{index}");
    let taken = || {
        let message = format!(
            "volume {volume_name} belongs to another queue and can't be that of {queue_name}: set MOORLINE_GEMINI_VOLUME or MOORLINE_VOLUME_PREFIX so that the names differ"
        );
        domain::Error::already_exists("VOLUME_TAKEN", message).with("volume", &volume_name)
    };
    let shard = new(queue_name.clone(), index, volume_name.clone(), modulo);
    if !insert(connection, &shard, volume::Provider::Codex).await? {
        return Err(taken().into());
    }
    Ok(())
}

/// Inserts a queue with its volume; false when the volume's name is another's.
async fn insert(connection: &mut Connection, shard: &Shard, provider: volume::Provider) -> Result<bool, Error> {
    volumes::insert(connection, &shard.volume_name, provider).await?;
    let found = volumes::find(connection, &shard.volume_name).await?;
    Ok(found.is_some_and(|found| found.provider == provider) && shards::insert(connection, shard).await? == 1)
}

/// Makes Gemini's queue with its volume, where it is missing. One that is there keeps its volume, whatever the settings say.
pub(super) async fn add_gemini(connection: &mut Connection, modulo: i32, volume_name: &str) -> Result<(), Error> {
    if let Some(shard) = shards::find(connection, GEMINI_QUEUE).await? {
        if shard.volume_name != volume_name {
            warn!(
                stored = shard.volume_name,
                configured = volume_name,
                "MOORLINE_GEMINI_VOLUME differs from the database, which wins"
            );
        }
        return Ok(());
    }
    let shard = new(GEMINI_QUEUE.to_owned(), shards::NO_INDEX, volume_name.to_owned(), modulo);
    if !insert(connection, &shard, volume::Provider::Gemini).await? {
        let message = format!("volume {volume_name} has a Codex login already: set MOORLINE_GEMINI_VOLUME to a name of its own");
        return Err(domain::Error::already_exists("VOLUME_TAKEN", message)
            .with("volume", volume_name)
            .into());
    }
    info!(queue = GEMINI_QUEUE, volume = volume_name, "queue made");
    Ok(())
}

fn new(queue_name: String, shard_index: i32, volume_name: String, hash_modulo: i32) -> Shard {
    Shard {
        queue_name,
        shard_index,
        volume_name,
        status: shard::Status::Offline,
        hash_modulo,
        worker_hostname: None,
        last_heartbeat_at: None,
        drained_at: None,
        drain_reason: String::new(),
    }
}

/// There is no such shard.
pub(super) fn not_found(queue: &str) -> Error {
    let message = format!("there is no shard with queue {queue:?}: `moorline shard list` shows those that there are");
    domain::Error::not_found("SHARD_NOT_FOUND", message).with("queue", queue).into()
}
