//! Which queue and volume a run's Codex work goes to, and why.

use std::num::NonZeroU32;

use super::{Error, Flow};
use crate::{
    db::shards::{self, Routing},
    domain::{self, routing, run::Agent, shard},
};

/// What is to be routed.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// The key; when blank it is made of the parts.
    pub affinity_key: &'a str,
    /// First part.
    pub repository: &'a str,
    /// Second part.
    pub feature_key: &'a str,
    /// Third part.
    pub task_id: &'a str,
    /// An explicit queue; wins over the hash.
    pub queue: &'a str,
    /// The agent; Gemini has one queue of its own.
    pub agent: Option<Agent>,
}

/// Where it goes.
#[derive(Debug, Clone)]
pub struct Route {
    /// The key that was hashed, or would have been.
    pub affinity_key: String,
    /// The queue.
    pub queue: String,
    /// Number of the shard, where the queue has one.
    pub shard_index: Option<i32>,
    /// The modulo; `None` for an explicit queue.
    pub hash_modulo: Option<i32>,
    /// What the modulo is taken of.
    pub hash: u64,
    /// The queue's volume, where it has one.
    pub volume: Option<String>,
    /// Whether the shard takes work now.
    pub shard_status: Option<shard::Status>,
}

/// Queue of Gemini work.
pub const GEMINI_QUEUE: &str = "gemini";

/// Resolves a route. Changes nothing.
///
/// # Errors
///
/// `AFFINITY_KEY_EMPTY`, `UNKNOWN_QUEUE`.
pub async fn resolve(flow: &Flow, request: &Request<'_>) -> Result<Route, Error> {
    let routing = shards::routing(&mut *flow.connection().await?).await?;
    resolve_in(&routing, request)
}

/// Resolves a route in what was read.
pub(super) fn resolve_in(routing: &Routing, request: &Request<'_>) -> Result<Route, Error> {
    let affinity_key = routing::affinity_key(request.affinity_key, request.repository, request.feature_key, request.task_id)?;
    let explicit = request.queue.trim();
    let modulo = routing
        .hash_modulo
        .and_then(|modulo| u32::try_from(modulo).ok())
        .and_then(NonZeroU32::new);
    let hashed = routing::route(&affinity_key, modulo.unwrap_or(NonZeroU32::MIN));
    if request.agent == Some(Agent::Gemini) && (explicit.is_empty() || explicit == GEMINI_QUEUE) {
        return Ok(Route {
            affinity_key,
            queue: GEMINI_QUEUE.to_owned(),
            shard_index: None,
            hash_modulo: None,
            hash: hashed.hash,
            volume: Some(GEMINI_QUEUE.to_owned()),
            shard_status: None,
        });
    }
    let (queue, hash_modulo) = if explicit.is_empty() {
        (hashed.queue, i32::try_from(hashed.hash_modulo).ok())
    } else {
        (explicit.to_owned(), None)
    };
    let Some(shard) = routing.shards.iter().find(|shard| shard.queue_name == queue) else {
        let message = format!("there is no queue {queue:?} for Codex work: `moorline shard list` shows those that there are");
        return Err(domain::Error::invalid("codex_queue", "UNKNOWN_QUEUE", message)
            .with("queue", queue)
            .into());
    };
    Ok(Route {
        affinity_key,
        queue,
        shard_index: Some(shard.shard_index),
        hash_modulo,
        hash: hashed.hash,
        volume: Some(shard.volume_name.clone()),
        shard_status: Some(shard.status),
    })
}
