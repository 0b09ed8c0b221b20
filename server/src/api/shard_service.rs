//! `ShardService`: shows shards and their logins, looks after both, and explains routing.

use moorline_proto::v1;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    Caller, login, page,
    stream::{Stream, async_stream, wait},
};
use crate::{
    db::preflights::Filter,
    domain::{self, preflight, run::Agent},
    flow::{
        Flow, Topic, preflight as checks,
        route::{self, Reason},
        shard, view, volume,
    },
    session::Sessions,
    wire::{self, names::number, status::status},
};

/// See the module.
pub struct Service {
    flow: Flow,
    shutdown: CancellationToken,
}

impl Service {
    pub(super) fn new(sessions: &Sessions) -> Self {
        Self {
            flow: sessions.flow.clone(),
            shutdown: sessions.shutdown.clone(),
        }
    }

    async fn shard(&self, queue: &str) -> Result<v1::Shard, Status> {
        let views = view::shards(&self.flow, Some(queue)).await.map_err(status)?;
        Ok(views.first().map(wire::shard::message).unwrap_or_default())
    }

    async fn volume(&self, name: &str) -> Result<v1::AuthVolume, Status> {
        let view = view::shard_of_volume(&self.flow, name).await.map_err(status)?;
        Ok(wire::shard::volume(&view))
    }
}

fn refuse(refusal: domain::Error) -> Status {
    wire::status::refused(&refusal)
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
        let shard = Some(self.shard(&request.into_inner().queue).await?);
        Ok(Response::new(v1::GetShardResponse { shard }))
    }

    async fn resolve_route(&self, request: Request<v1::ResolveRouteRequest>) -> Result<Response<v1::ResolveRouteResponse>, Status> {
        let wire = request.into_inner();
        let request = route::Request {
            affinity_key: &wire.affinity_key,
            repository: &wire.repository,
            feature_key: &wire.feature_key,
            task_id: &wire.task_id,
            queue: &wire.codex_queue,
            agent: wire::known::<Agent, v1::Agent>("agent", wire.agent).map_err(refuse)?,
        };
        let route = route::resolve(&self.flow, &request).await.map_err(status)?;
        let reason = match route.reason {
            Reason::Hash => v1::RouteReason::Hash,
            Reason::ExplicitQueue => v1::RouteReason::ExplicitQueue,
            Reason::Agent => v1::RouteReason::Agent,
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

    type WatchShardsStream = Stream<v1::WatchShardsResponse>;
    type LoginVolumeStream = Stream<v1::LoginVolumeResponse>;

    async fn watch_shards(&self, _: Request<v1::WatchShardsRequest>) -> Result<Response<Self::WatchShardsStream>, Status> {
        let (flow, shutdown) = (self.flow.clone(), self.shutdown.clone());
        Ok(Response::new(async_stream(async move |out| {
            let subscription = flow.hints.subscribe([Topic::Gates]);
            let mut told: std::collections::HashMap<String, v1::Shard> = std::collections::HashMap::new();
            loop {
                for view in view::shards(&flow, None).await.map_err(status)? {
                    let shard = wire::shard::message(&view);
                    // A sign of life alone is no news.
                    let news = v1::Shard {
                        last_heartbeat_at: None,
                        ..shard.clone()
                    };
                    if told.insert(shard.queue.clone(), news.clone()).as_ref() != Some(&news) {
                        out.send(v1::WatchShardsResponse { shard: Some(shard) }).await?;
                    }
                }
                wait(&flow, &subscription, &shutdown, &out).await?;
            }
        })))
    }

    async fn drain_shard(&self, request: Request<v1::DrainShardRequest>) -> Result<Response<v1::DrainShardResponse>, Status> {
        let wire = request.into_inner();
        shard::drain(&self.flow, &wire.queue, &wire.reason).await.map_err(status)?;
        let shard = Some(self.shard(&wire.queue).await?);
        Ok(Response::new(v1::DrainShardResponse { shard }))
    }

    async fn activate_shard(&self, request: Request<v1::ActivateShardRequest>) -> Result<Response<v1::ActivateShardResponse>, Status> {
        let wire = request.into_inner();
        shard::activate(&self.flow, &wire.queue).await.map_err(status)?;
        let shard = Some(self.shard(&wire.queue).await?);
        Ok(Response::new(v1::ActivateShardResponse { shard }))
    }

    async fn set_shard_count(&self, request: Request<v1::SetShardCountRequest>) -> Result<Response<v1::SetShardCountResponse>, Status> {
        shard::set_count(&self.flow, request.into_inner().count).await.map_err(status)?;
        let views = view::shards(&self.flow, None).await.map_err(status)?;
        Ok(Response::new(v1::SetShardCountResponse {
            shards: views.iter().map(wire::shard::message).collect(),
        }))
    }

    async fn check_volume(&self, request: Request<v1::CheckVolumeRequest>) -> Result<Response<v1::CheckVolumeResponse>, Status> {
        let caller = Caller::of(&request).name();
        let wire = request.into_inner();
        let checked = volume::check(&self.flow, &wire.volume, wire.probe, None, caller)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::CheckVolumeResponse {
            preflight: Some(wire::preflight::check_message(checked.check)),
            volume: Some(self.volume(&wire.volume).await?),
        }))
    }

    async fn preflight_run(&self, request: Request<v1::PreflightRunRequest>) -> Result<Response<v1::PreflightRunResponse>, Status> {
        let caller = Caller::of(&request).name();
        let wire = request.into_inner();
        let asked = checks::Request {
            run_id: wire::id("run_id", &wire.run_id).map_err(refuse)?,
            affinity_key: &wire.affinity_key,
            force_refresh: wire.force_refresh,
            requested_by: caller,
        };
        let outcome = checks::of_run(&self.flow, &asked).await.map_err(status)?;
        let view = view::run(&self.flow, outcome.run.id).await.map_err(status)?;
        Ok(Response::new(v1::PreflightRunResponse {
            preflight: Some(wire::preflight::message(&outcome.check)),
            run: Some(wire::run::message(&view.run, wire::run::failure_of(&view.jobs))),
            reused: outcome.reused,
        }))
    }

    async fn login_volume(&self, request: Request<v1::LoginVolumeRequest>) -> Result<Response<Self::LoginVolumeStream>, Status> {
        let caller = Caller::of(&request).name();
        let wire = request.into_inner();
        let method = match wire.method() {
            v1::LoginMethod::ApiKey => volume::Method::ApiKey(SecretString::from(wire.api_key)),
            v1::LoginMethod::Device | v1::LoginMethod::Unspecified => volume::Method::Device,
        };
        let begun = volume::login(&self.flow, &wire.volume, method, caller).await.map_err(status)?;
        Ok(Response::new(login::stream(self.flow.clone(), self.shutdown.clone(), begun)))
    }

    async fn logout_volume(&self, request: Request<v1::LogoutVolumeRequest>) -> Result<Response<v1::LogoutVolumeResponse>, Status> {
        let caller = Caller::of(&request).name();
        let name = request.into_inner().volume;
        volume::logout(&self.flow, &name, caller).await.map_err(status)?;
        let volume = Some(self.volume(&name).await?);
        Ok(Response::new(v1::LogoutVolumeResponse { volume }))
    }

    async fn clean_volume(&self, request: Request<v1::CleanVolumeRequest>) -> Result<Response<v1::CleanVolumeResponse>, Status> {
        let caller = Caller::of(&request).name();
        let name = request.into_inner().volume;
        let freed_bytes = volume::clean(&self.flow, &name, caller).await.map_err(status)?;
        let volume = Some(self.volume(&name).await?);
        Ok(Response::new(v1::CleanVolumeResponse { freed_bytes, volume }))
    }

    async fn get_volume_diagnostics(
        &self,
        request: Request<v1::GetVolumeDiagnosticsRequest>,
    ) -> Result<Response<v1::GetVolumeDiagnosticsResponse>, Status> {
        let found = volume::find(&self.flow, &request.into_inner().volume).await.map_err(status)?;
        Ok(Response::new(v1::GetVolumeDiagnosticsResponse {
            diagnostics: found.diagnostics.map(wire::document::diagnostics_message),
            reported_at: found.reported_at.map(wire::timestamp),
        }))
    }

    async fn update_volume_notes(
        &self,
        request: Request<v1::UpdateVolumeNotesRequest>,
    ) -> Result<Response<v1::UpdateVolumeNotesResponse>, Status> {
        let wire = request.into_inner();
        volume::set_notes(&self.flow, &wire.volume, &wire.notes).await.map_err(status)?;
        let volume = Some(self.volume(&wire.volume).await?);
        Ok(Response::new(v1::UpdateVolumeNotesResponse { volume }))
    }

    async fn list_preflights(&self, request: Request<v1::ListPreflightsRequest>) -> Result<Response<v1::ListPreflightsResponse>, Status> {
        let wire = request.into_inner();
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let run_id = given(&wire.run_id).map(|run_id| wire::id("run_id", &run_id)).transpose();
        let filter = Filter {
            volume: given(&wire.volume),
            run_id: run_id.map_err(refuse)?,
            status: wire::known::<preflight::Status, v1::PreflightStatus>("status", wire.status).map_err(refuse)?,
        };
        let limit = page::size(wire.page_size);
        let after = page::begin(&filter, &wire.page_token).map_err(refuse)?;
        let mut rows = checks::list(&self.flow, &filter, after, limit + 1).await.map_err(status)?;
        let next = page::next(&mut rows, limit, |row| page::after(&filter, row.checked_at, row.id));
        Ok(Response::new(v1::ListPreflightsResponse {
            preflights: rows.iter().map(wire::preflight::message).collect(),
            next_page_token: next,
        }))
    }
}
