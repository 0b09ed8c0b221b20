//! `ShardService`: shows shards and their logins, and explains routing.

use moorline_proto::v1;
use tonic::{Request, Response, Status};

use crate::{
    flow::{Flow, route, view},
    session::Sessions,
    wire::{self, names::number, status::status},
};

/// See the module.
pub struct Service {
    flow: Flow,
}

impl Service {
    pub(super) fn new(sessions: &Sessions) -> Self {
        Self {
            flow: sessions.flow.clone(),
        }
    }
}

#[tonic::async_trait]
impl v1::shard_service_server::ShardService for Service {
    async fn list_shards(&self, _: Request<v1::ListShardsRequest>) -> Result<Response<v1::ListShardsResponse>, Status> {
        let views = view::shards(&self.flow, None).await.map_err(status)?;
        Ok(Response::new(v1::ListShardsResponse {
            shards: views.iter().map(wire::shard::message).collect(),
        }))
    }

    async fn get_shard(&self, request: Request<v1::GetShardRequest>) -> Result<Response<v1::GetShardResponse>, Status> {
        let views = view::shards(&self.flow, Some(&request.into_inner().queue)).await.map_err(status)?;
        Ok(Response::new(v1::GetShardResponse {
            shard: views.first().map(wire::shard::message),
        }))
    }

    async fn resolve_route(&self, request: Request<v1::ResolveRouteRequest>) -> Result<Response<v1::ResolveRouteResponse>, Status> {
        let wire = request.into_inner();
        let request = route::Request {
            affinity_key: &wire.affinity_key,
            repository: &wire.repository,
            feature_key: &wire.feature_key,
            task_id: &wire.task_id,
            queue: &wire.codex_queue,
            agent: None,
        };
        let route = route::resolve(&self.flow, &request).await.map_err(status)?;
        let reason = if route.hash_modulo.is_some() {
            v1::RouteReason::Hash
        } else {
            v1::RouteReason::ExplicitQueue
        };
        Ok(Response::new(v1::ResolveRouteResponse {
            affinity_key: route.affinity_key,
            queue: route.queue,
            shard_index: route.shard_index,
            hash_modulo: route.hash_modulo,
            hash_prefix: format!("{:016x}", route.hash),
            reason: reason.into(),
            volume: route.volume.unwrap_or_default(),
            shard_status: number::<_, v1::ShardStatus>(route.shard_status),
        }))
    }
}
