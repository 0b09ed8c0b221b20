//! `moorline route`: which shard a key goes to, asked of the server or worked out on the spot.

use std::num::NonZeroU32;

use moorline_proto::v1::{self, ResolveRouteRequest};
use moorline_server::domain::routing;

use crate::{
    args::{Global, one_of},
    client,
    console::Console,
    error::Error,
    exit::Exit,
    view::Route,
};

/// Say which shard a key goes to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The affinity key; when not given it is made of repository, feature and task, as for a run.
    key: Option<String>,
    /// First part of a made key.
    #[arg(long, short)]
    repository: Option<String>,
    /// Second part of a made key.
    #[arg(long, short, value_name = "KEY")]
    feature: Option<String>,
    /// Third part of a made key.
    #[arg(long, value_name = "ID")]
    task_id: Option<String>,
    /// An explicit queue, as in `run create`: it wins over the hash.
    #[arg(long, conflicts_with = "shards")]
    queue: Option<String>,
    /// The agent, as in `run create`: Gemini has one queue.
    #[arg(long, conflicts_with = "shards", value_parser = one_of::<v1::Agent, 2>(["codex", "gemini"]))]
    agent: Option<v1::Agent>,
    /// Work it out for this many shards, without a server.
    #[arg(long, value_name = "N")]
    shards: Option<NonZeroU32>,
}

/// Says which shard a key goes to.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let route = match args.shards {
        Some(shards) => work_out(args, shards)?,
        None => client::shards(global)?.resolve_route(request(args)).await?.into_inner().into(),
    };
    console.show(&route)?;
    Ok(Exit::Ok)
}

fn work_out(args: &Args, shards: NonZeroU32) -> Result<Route, Error> {
    let request = request(args);
    let key = routing::affinity_key(&request.affinity_key, &request.repository, &request.feature_key, &request.task_id)
        .map_err(|refusal| Error::Usage(refusal.to_string()))?;
    let route = routing::route(&key, shards);
    Ok(Route {
        affinity_key: key,
        queue: route.queue,
        shard_index: Some(route.shard_index),
        hash_modulo: Some(route.hash_modulo),
        hash_prefix: Some(format!("{:016x}", route.hash)),
        reason: Some("hash".to_owned()),
        served: None,
    })
}

fn request(args: &Args) -> ResolveRouteRequest {
    ResolveRouteRequest {
        affinity_key: args.key.clone().unwrap_or_default(),
        repository: args.repository.clone().unwrap_or_default(),
        feature_key: args.feature.clone().unwrap_or_default(),
        task_id: args.task_id.clone().unwrap_or_default(),
        codex_queue: args.queue.clone().unwrap_or_default(),
        agent: args.agent.unwrap_or_default().into(),
    }
}
