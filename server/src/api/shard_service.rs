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

    type WatchShardsStream = futures::stream::Empty<Result<v1::WatchShardsResponse, Status>>;

    async fn watch_shards(&self, _: Request<v1::WatchShardsRequest>) -> Result<Response<Self::WatchShardsStream>, Status> {
        Err(not_yet())
    }

    type LoginVolumeStream = futures::stream::Empty<Result<v1::LoginVolumeResponse, Status>>;

    async fn login_volume(&self, _: Request<v1::LoginVolumeRequest>) -> Result<Response<Self::LoginVolumeStream>, Status> {
        Err(not_yet())
    }

    async fn drain_shard(&self, _: Request<v1::DrainShardRequest>) -> Result<Response<v1::DrainShardResponse>, Status> {
        Err(not_yet())
    }

    async fn activate_shard(&self, _: Request<v1::ActivateShardRequest>) -> Result<Response<v1::ActivateShardResponse>, Status> {
        Err(not_yet())
    }

    async fn check_volume(&self, _: Request<v1::CheckVolumeRequest>) -> Result<Response<v1::CheckVolumeResponse>, Status> {
        Err(not_yet())
    }

    async fn preflight_run(&self, _: Request<v1::PreflightRunRequest>) -> Result<Response<v1::PreflightRunResponse>, Status> {
        Err(not_yet())
    }

    async fn logout_volume(&self, _: Request<v1::LogoutVolumeRequest>) -> Result<Response<v1::LogoutVolumeResponse>, Status> {
        Err(not_yet())
    }

    async fn clean_volume(&self, _: Request<v1::CleanVolumeRequest>) -> Result<Response<v1::CleanVolumeResponse>, Status> {
        Err(not_yet())
    }

    async fn get_volume_diagnostics(
        &self,
        _: Request<v1::GetVolumeDiagnosticsRequest>,
    ) -> Result<Response<v1::GetVolumeDiagnosticsResponse>, Status> {
        Err(not_yet())
    }

    async fn update_volume_notes(
        &self,
        _: Request<v1::UpdateVolumeNotesRequest>,
    ) -> Result<Response<v1::UpdateVolumeNotesResponse>, Status> {
        Err(not_yet())
    }

    async fn list_preflights(&self, _: Request<v1::ListPreflightsRequest>) -> Result<Response<v1::ListPreflightsResponse>, Status> {
        Err(not_yet())
    }

    async fn set_shard_count(&self, _: Request<v1::SetShardCountRequest>) -> Result<Response<v1::SetShardCountResponse>, Status> {
        Err(not_yet())
    }
}

fn not_yet() -> Status {
    crate::wire::status::refused(&crate::domain::Error::unsupported("this server can't do that yet"))
}
