//! What the stand-in answers about shards and volumes.

use futures::{StreamExt, stream};
use moorline_proto::v1::{self, shard_service_server::ShardService};
use prost_types::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Answers, Fake, Login, Watch};
use crate::samples;

impl Fake {
    fn found(&self) -> v1::Preflight {
        self.found.clone().unwrap_or_else(samples::preflight)
    }

    fn volume(&self) -> Option<v1::AuthVolume> {
        Some(samples::volume())
    }

    fn first_shard(&self, change: impl FnOnce(&mut v1::Shard)) -> Option<v1::Shard> {
        let mut shard = samples::shards().into_iter().next()?;
        change(&mut shard);
        Some(shard)
    }

    /// All shards, then the first one twice: unchanged but for its heartbeat, and with its last job done.
    fn shard_changes(&self) -> Vec<v1::Shard> {
        let heard = self.first_shard(|shard| shard.last_heartbeat_at = samples::at(80));
        let idle = self.first_shard(|shard| shard.running_jobs = 0);
        samples::shards().into_iter().chain(heard).chain(idle).collect()
    }

    fn login_steps(&self, method: v1::LoginMethod) -> Vec<v1::LoginVolumeResponse> {
        let step = |state: v1::LoginState| v1::LoginVolumeResponse {
            state: state.into(),
            ..Default::default()
        };
        let wait = v1::LoginVolumeResponse {
            verification_url: "https://issuer.example/codex/device".into(),
            user_code: "ABCD-12345\u{1b}[2J".into(),
            expires_at: samples::at(900),
            expires_in: Some(Duration { seconds: 900, nanos: 0 }),
            ..step(v1::LoginState::WaitingForUser)
        };
        let done = v1::LoginVolumeResponse {
            preflight: Some(self.found()),
            volume: self.volume(),
            ..step(v1::LoginState::Done)
        };
        let (starting, checking) = (step(v1::LoginState::Starting), step(v1::LoginState::Checking));
        match method {
            v1::LoginMethod::ApiKey => vec![starting, checking, done],
            v1::LoginMethod::Unspecified | v1::LoginMethod::Device => vec![starting, wait, checking, done],
        }
    }
}

/// Notes that it is dropped.
struct Gone(CancellationToken);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn refused(reason: &str, message: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "moorline", []);
    Status::with_error_details(tonic::Code::FailedPrecondition, message, details)
}

#[tonic::async_trait]
impl ShardService for Fake {
    type WatchShardsStream = Answers<v1::WatchShardsResponse>;
    type LoginVolumeStream = Answers<v1::LoginVolumeResponse>;

    async fn list_shards(&self, request: Request<v1::ListShardsRequest>) -> Result<Response<v1::ListShardsResponse>, Status> {
        self.answer(&request, |_| v1::ListShardsResponse { shards: samples::shards() })
    }

    async fn get_shard(&self, request: Request<v1::GetShardRequest>) -> Result<Response<v1::GetShardResponse>, Status> {
        self.answer(&request, |asked| v1::GetShardResponse {
            shard: samples::shards().into_iter().find(|shard| shard.queue == asked.queue),
        })
    }

    async fn resolve_route(&self, request: Request<v1::ResolveRouteRequest>) -> Result<Response<v1::ResolveRouteResponse>, Status> {
        if request.get_ref().agent() == v1::Agent::Gemini {
            return self.answer(&request, |asked| v1::ResolveRouteResponse {
                affinity_key: asked.affinity_key.clone(),
                queue: "gemini".into(),
                hash_prefix: "0011223344556677".into(),
                reason: v1::RouteReason::Agent.into(),
                volume: "gemini_auth".into(),
                shard_status: v1::ShardStatus::Offline.into(),
                ..Default::default()
            });
        }
        self.answer(&request, |asked| v1::ResolveRouteResponse {
            affinity_key: asked.affinity_key.clone(),
            queue: "codex-1".into(),
            shard_index: Some(1),
            hash_modulo: Some(3),
            hash_prefix: "0011223344556677".into(),
            reason: v1::RouteReason::Hash.into(),
            volume: "codex_auth_1".into(),
            shard_status: v1::ShardStatus::Active.into(),
        })
    }

    /// Sends all shards and their changes, as far as `watches` says, and stays open.
    async fn watch_shards(&self, request: Request<v1::WatchShardsRequest>) -> Result<Response<Self::WatchShardsStream>, Status> {
        let changes = stream::iter(self.shard_changes()).map(|shard| Ok(v1::WatchShardsResponse { shard: Some(shard) }));
        let begun = self.watched.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let answers = match self.watches.get(begun).copied() {
            None => changes.chain(stream::pending()).boxed(),
            Some(Watch::Silence(n)) => changes.take(n).chain(stream::pending()).boxed(),
            Some(Watch::End(n)) => changes.take(n).boxed(),
            Some(Watch::Farewell(n)) => {
                let gone = stream::iter([Err(Status::unavailable("the server is shutting down"))]);
                changes.take(n).chain(gone).boxed()
            }
        };
        self.answer(&request, |_| answers)
    }

    async fn drain_shard(&self, request: Request<v1::DrainShardRequest>) -> Result<Response<v1::DrainShardResponse>, Status> {
        self.answer(&request, |asked| v1::DrainShardResponse {
            shard: self.first_shard(|shard| {
                shard.status = v1::ShardStatus::Draining.into();
                shard.hold_reason = v1::HoldReason::ShardDraining.into();
                shard.drain_reason = asked.reason.clone();
                shard.drained_at = samples::at(30);
            }),
        })
    }

    async fn activate_shard(&self, request: Request<v1::ActivateShardRequest>) -> Result<Response<v1::ActivateShardResponse>, Status> {
        self.answer(&request, |_| v1::ActivateShardResponse {
            shard: self.first_shard(|_| {}),
        })
    }

    async fn check_volume(&self, request: Request<v1::CheckVolumeRequest>) -> Result<Response<v1::CheckVolumeResponse>, Status> {
        self.answer(&request, |_| v1::CheckVolumeResponse {
            preflight: Some(self.found()),
            volume: self.volume(),
        })
    }

    async fn preflight_run(&self, request: Request<v1::PreflightRunRequest>) -> Result<Response<v1::PreflightRunResponse>, Status> {
        self.answer(&request, |asked| v1::PreflightRunResponse {
            preflight: Some(self.found()),
            run: self.run(),
            reused: !asked.force_refresh,
        })
    }

    async fn login_volume(&self, request: Request<v1::LoginVolumeRequest>) -> Result<Response<Self::LoginVolumeStream>, Status> {
        let steps = stream::iter(self.login_steps(request.get_ref().method())).map(Ok);
        let gone = Gone(self.login_stopped.clone());
        let answers = match self.login {
            Login::Entered => steps.boxed(),
            Login::Denied => {
                let denied = stream::iter([Err(refused("LOGIN_DENIED", "the issuer refused the login of codex_auth_0"))]);
                steps.take(2).chain(denied).boxed()
            }
            // The guard goes when the client does.
            Login::Awaited => steps
                .take(2)
                .chain(stream::pending())
                .inspect(move |_| {
                    let _ = &gone;
                })
                .boxed(),
        };
        self.answer(&request, |_| answers)
    }

    async fn logout_volume(&self, request: Request<v1::LogoutVolumeRequest>) -> Result<Response<v1::LogoutVolumeResponse>, Status> {
        self.answer(&request, |_| v1::LogoutVolumeResponse {
            volume: Some(v1::AuthVolume {
                status: v1::VolumeStatus::NeedsAuth.into(),
                rung: v1::PreflightRung::NotLoggedIn.into(),
                status_message: "nobody is logged in".into(),
                fresh_until: None,
                ..samples::volume()
            }),
        })
    }

    async fn clean_volume(&self, request: Request<v1::CleanVolumeRequest>) -> Result<Response<v1::CleanVolumeResponse>, Status> {
        self.answer(&request, |_| v1::CleanVolumeResponse {
            freed_bytes: 4 << 20,
            volume: self.volume(),
        })
    }

    async fn get_volume_diagnostics(
        &self,
        request: Request<v1::GetVolumeDiagnosticsRequest>,
    ) -> Result<Response<v1::GetVolumeDiagnosticsResponse>, Status> {
        if !request.get_ref().volume.starts_with("codex_auth_") {
            let details = ErrorDetails::with_error_info("VOLUME_NOT_FOUND", "moorline", []);
            return Err(Status::with_error_details(
                tonic::Code::NotFound,
                "no shard has this volume",
                details,
            ));
        }
        self.answer(&request, |_| v1::GetVolumeDiagnosticsResponse {
            diagnostics: Some(samples::diagnostics()),
            reported_at: samples::at(13),
        })
    }

    async fn update_volume_notes(
        &self,
        request: Request<v1::UpdateVolumeNotesRequest>,
    ) -> Result<Response<v1::UpdateVolumeNotesResponse>, Status> {
        self.answer(&request, |asked| v1::UpdateVolumeNotesResponse {
            volume: Some(v1::AuthVolume {
                notes: asked.notes.clone(),
                ..samples::volume()
            }),
        })
    }

    /// Page tokens are the number of the next check.
    async fn list_preflights(&self, request: Request<v1::ListPreflightsRequest>) -> Result<Response<v1::ListPreflightsResponse>, Status> {
        self.answer(&request, |asked| {
            let all = [samples::bad_preflight(), samples::preflight()];
            let first = asked.page_token.parse().unwrap_or(0);
            let last = all.len().min(first + usize::try_from(asked.page_size).expect("not negative"));
            v1::ListPreflightsResponse {
                preflights: all[first..last].to_vec(),
                next_page_token: if last < all.len() { last.to_string() } else { String::new() },
            }
        })
    }

    async fn set_shard_count(&self, request: Request<v1::SetShardCountRequest>) -> Result<Response<v1::SetShardCountResponse>, Status> {
        self.answer(&request, |_| v1::SetShardCountResponse { shards: samples::shards() })
    }
}
