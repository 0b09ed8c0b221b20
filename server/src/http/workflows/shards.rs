//! `GET /codex/shards`: every shard with the health of its login. Of Codex only, as its name says: whoever asks here knows no other queues.
//! `/v1` lists all of them.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::names::{given, maybe, one_of};
use crate::{
    domain::{preflight, run, shard, volume},
    flow::{
        Flow,
        view::{self, ShardView},
    },
    http::refusal::Refusal,
};

/// All shards of Codex.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shards {
    /// In the order of their numbers.
    shards: Vec<Shard>,
}

/// A shard, its volume, its latest run and its latest login check.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shard {
    /// Such as `codex-0`.
    queue_name: String,
    /// Where in its life the shard is.
    #[schema(schema_with = one_of::<shard::Status>)]
    shard_status: shard::Status,
    /// The modulo that it was made for.
    hash_modulo: i32,
    /// Host of its worker.
    worker_hostname: Option<String>,
    /// Its volume.
    volume_name: String,
    /// Where in its life the volume is.
    #[schema(schema_with = one_of::<volume::Status>)]
    volume_status: volume::Status,
    /// When its login last passed a check.
    volume_last_verified_at: Option<DateTime<Utc>>,
    /// The worker that the volume belongs to.
    volume_worker_affinity: Option<String>,
    /// The operators' notes on the volume.
    volume_notes: Option<String>,
    /// Its latest run.
    latest_run_id: Option<Uuid>,
    /// Status of that run.
    #[schema(schema_with = maybe::<run::Status>)]
    latest_run_status: Option<run::Status>,
    /// Result of the latest login check.
    #[schema(schema_with = maybe::<preflight::Status>)]
    latest_preflight_status: Option<preflight::Status>,
    /// What that check said.
    latest_preflight_message: Option<String>,
    /// When it was made.
    latest_preflight_checked_at: Option<DateTime<Utc>>,
}

impl From<ShardView> for Shard {
    fn from(view: ShardView) -> Self {
        let (shard, volume, check) = (view.shard, view.volume, view.preflight);
        Self {
            queue_name: shard.queue_name,
            shard_status: shard.status,
            hash_modulo: shard.hash_modulo,
            worker_hostname: shard.worker_hostname,
            volume_name: volume.name,
            volume_status: volume.status,
            volume_last_verified_at: volume.last_verified_at,
            volume_worker_affinity: volume.worker_affinity,
            volume_notes: given(&volume.notes),
            latest_run_id: view.latest_run.map(|(id, _)| id),
            latest_run_status: view.latest_run.map(|(_, status)| status),
            latest_preflight_status: check.as_ref().map(|check| check.status),
            latest_preflight_checked_at: check.as_ref().map(|check| check.checked_at),
            latest_preflight_message: check.map(|check| check.message),
        }
    }
}

/// Lists every shard of Codex with the health of its login.
#[utoipa::path(get, path = "/api/workflows/speckit/codex/shards", tag = "workflows", operation_id = "list_codex_shards",
    responses((status = 200, body = Shards)))]
pub async fn list(State(flow): State<Flow>) -> Result<Json<Shards>, Refusal> {
    let views = view::shards(&flow, None).await?;
    Ok(Json(Shards {
        shards: views
            .into_iter()
            .filter(|view| view.shard.index().is_some())
            .map(Shard::from)
            .collect(),
    }))
}
