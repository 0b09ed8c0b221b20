//! `POST /runs/{run_id}/retry`: queues a failed run again.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{run::Run, runs::shown};
use crate::{
    flow::{Flow, retry as flow_retry},
    http::{
        body::{Body, Id},
        refusal::Refusal,
    },
};

/// How to retry.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Retry {
    /// Where to begin; `resume_failed_stage` when left out.
    mode: Option<Mode>,
}

/// Where a retry begins.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// At the stage that failed, with what the stages before it have stored.
    ResumeFailedStage,
    /// At the first stage.
    RestartFromDiscovery,
}

/// Queues a failed run again.
#[utoipa::path(post, path = "/api/workflows/speckit/runs/{run_id}/retry", tag = "workflows", operation_id = "retry_run",
    params(("run_id" = Uuid, Path)), request_body = Retry,
    responses((status = 202, body = Run), (status = 404, body = super::Refused), (status = 409, body = super::Refused),
        (status = 422, body = super::Refused)))]
pub async fn retry(State(flow): State<Flow>, Id(id): Id, Body(retry): Body<Retry>) -> Result<impl IntoResponse, Refusal> {
    let mode = match retry.mode {
        None | Some(Mode::ResumeFailedStage) => flow_retry::Mode::ResumeFailedStage,
        Some(Mode::RestartFromDiscovery) => flow_retry::Mode::RestartFromDiscovery,
    };
    let run = flow_retry::retry(&flow, id, mode).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(&flow, run.id).await?)))
}
