//! Which queue and volume the work of a run's agent goes to, and why.

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
    /// The agent, which must be the queue's; `None` for whichever that is.
    pub agent: Option<Agent>,
}

/// How a route came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// By the hash of the affinity key.
    Hash,
    /// By the explicit queue.
    ExplicitQueue,
    /// By the agent, which has one queue only.
    Agent,
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
    /// The modulo; `None` for an explicit queue and for Gemini's.
    pub hash_modulo: Option<i32>,
    /// What the modulo is taken of.
    pub hash: u64,
    /// How it came about.
    pub reason: Reason,
    /// The queue's volume, where it has one.
    pub volume: Option<String>,
    /// Whether the shard takes work now.
    pub shard_status: Option<shard::Status>,
}

/// Queue of Gemini work: one for all, with one login.
pub const GEMINI_QUEUE: &str = "gemini";

/// Resolves a route. Changes nothing.
///
/// # Errors
///
/// `AFFINITY_KEY_EMPTY`, `UNKNOWN_QUEUE`, `QUEUE_OF_OTHER_AGENT`.
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
    let hash = hashed.hash;
    let (queue, hash_modulo, reason) = match (explicit, request.agent) {
        ("", Some(Agent::Gemini)) => (GEMINI_QUEUE.to_owned(), None, Reason::Agent),
        ("", Some(Agent::Codex) | None) => (hashed.queue, i32::try_from(hashed.hash_modulo).ok(), Reason::Hash),
        (explicit, _) => (explicit.to_owned(), None, Reason::ExplicitQueue),
    };
    let Some(shard) = routing.shards.iter().find(|shard| shard.queue_name == queue) else {
        let message = format!("there is no queue {queue:?} for an agent's work: `moorline shard list` shows those that there are");
        return Err(domain::Error::invalid("codex_queue", "UNKNOWN_QUEUE", message)
            .with("queue", queue)
            .into());
    };
    if let Some(agent) = request.agent.filter(|agent| *agent != agent_of(&queue)) {
        return Err(of_other_agent(&queue, agent));
    }
    Ok(Route {
        affinity_key,
        shard_index: shard.index(),
        hash_modulo,
        hash,
        reason,
        volume: Some(shard.volume_name.clone()),
        shard_status: Some(shard.status),
        queue,
    })
}

/// The agent whose work a queue is for.
fn agent_of(queue: &str) -> Agent {
    match queue {
        GEMINI_QUEUE => Agent::Gemini,
        _ => Agent::Codex,
    }
}

fn of_other_agent(queue: &str, agent: Agent) -> Error {
    let other = agent_of(queue);
    let message = format!(
        "queue {queue} is for {other} runs, and this one is for {agent}: leave the queue out, or make it a run of {other} (`--agent {other}`)"
    );
    domain::Error::invalid("codex_queue", "QUEUE_OF_OTHER_AGENT", message)
        .with("queue", queue)
        .with("agent", agent.to_string())
        .into()
}
