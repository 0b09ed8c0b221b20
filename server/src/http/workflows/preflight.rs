//! `POST /runs/{run_id}/codex/preflight`: checks the login that a run needs.

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::names::{maybe, one_of};
use crate::{
    api::Caller,
    domain::preflight::{Rung, Status},
    flow::{
        Flow,
        preflight::{Outcome, Request, of_run},
    },
    http::{
        body::{Body, Id},
        refusal::Refusal,
    },
};

/// How to check.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Another key than the run's own, to choose the shard by.
    #[schema(max_length = 4096)]
    affinity_key: Option<String>,
    /// Check even though the last check is recent.
    force_refresh: Option<bool>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The run.
    run_id: Uuid,
    /// Whether the login is good.
    #[schema(schema_with = one_of::<Status>)]
    codex_preflight_status: Status,
    /// On failure: volume, shard, worker and remedy.
    codex_preflight_message: String,
    /// What exactly was found.
    #[schema(schema_with = maybe::<Rung>)]
    codex_preflight_rung: Option<Rung>,
    /// The shard's queue.
    codex_queue: String,
    /// The volume that was checked.
    codex_volume: String,
    /// Its number.
    codex_shard_index: Option<i32>,
    /// The worker that checked.
    worker_name: String,
    /// Exit code of the CLI, when it ran.
    exit_code: Option<i32>,
    /// How long it took.
    duration_ms: i64,
    /// When it was made.
    checked_at: DateTime<Utc>,
    /// Whether the last check was recent enough and stands.
    reused: bool,
}

impl From<Outcome> for Checked {
    fn from(Outcome { check, run, reused }: Outcome) -> Self {
        Self {
            run_id: run.id,
            codex_preflight_status: check.status,
            codex_preflight_message: check.message,
            codex_preflight_rung: check.rung,
            codex_volume: check.volume_name,
            // Another key than the run's may have chosen it.
            codex_shard_index: check.queue.strip_prefix("codex-").and_then(|index| index.parse().ok()),
            codex_queue: check.queue,
            worker_name: check.worker_name,
            exit_code: check.exit_code,
            duration_ms: check.duration_ms,
            checked_at: check.checked_at,
            reused,
        }
    }
}

/// Checks the login that a run needs, and notes the result on the run.
#[utoipa::path(post, path = "/api/workflows/speckit/runs/{run_id}/codex/preflight", tag = "workflows", operation_id = "preflight_run",
    params(("run_id" = Uuid, Path)), request_body = Check,
    responses((status = 202, body = Checked), (status = 404, body = super::Refused), (status = 409, body = super::Refused),
        (status = 422, body = super::Refused)))]
pub async fn check(
    State(flow): State<Flow>,
    Extension(caller): Extension<Caller>,
    Id(run_id): Id,
    Body(check): Body<Check>,
) -> Result<impl IntoResponse, Refusal> {
    let request = Request {
        run_id,
        affinity_key: check.affinity_key.as_deref().unwrap_or_default(),
        force_refresh: check.force_refresh.unwrap_or_default(),
        requested_by: caller.name(),
    };
    let outcome = of_run(&flow, &request).await?;
    Ok((StatusCode::ACCEPTED, Json(Checked::from(outcome))))
}
