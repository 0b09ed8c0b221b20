//! The routes of the system that Moorline replaces, under the same paths, in the same words and with the same status codes.
//!
//! Their types are their own: what clients of the old system read must not change when the contract of the new one does.

mod artifacts;
mod names;
mod preflight;
mod retry;
mod run;
mod runs;
mod shards;
mod tasks;

use axum::{
    Router,
    routing::{get, post},
};
use serde_json::Value;
use utoipa::OpenApi;

use super::health;
use crate::flow::Flow;

/// All of them.
pub fn router() -> Router<Flow> {
    let routes = Router::new()
        .route("/codex/shards", get(shards::list))
        .route("/runs", get(runs::list).post(runs::create))
        .route("/runs/{run_id}", get(runs::show))
        .route("/runs/{run_id}/codex/preflight", post(preflight::check))
        .route("/runs/{run_id}/retry", post(retry::retry))
        .route("/runs/{run_id}/tasks", get(tasks::list))
        .route("/runs/{run_id}/artifacts", get(artifacts::list))
        .route("/artifacts/{artifact_id}", get(artifacts::content));
    Router::new().nest("/api/workflows/speckit", routes)
}

/// What an old route refuses a call with.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct Refused {
    /// What happened.
    detail: Detail,
}

/// Why, and what to do next. Facts such as `runId` stand beside these.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct Detail {
    /// Stable upper-case name.
    code: String,
    /// For people.
    message: String,
}

#[derive(OpenApi)]
#[openapi(
    paths(
        shards::list, runs::list, runs::create, runs::show, preflight::check, retry::retry, tasks::list, artifacts::list, artifacts::content,
        health::healthz, health::readyz,
    ),
    components(schemas(Refused)),
    tags(
        (name = "workflows", description = "The routes of the replaced system"),
        (name = "health", description = "For those who watch the server"),
    ),
)]
struct Description;

/// Their description, with that of the health routes.
///
/// # Errors
///
/// When it can't be written as JSON.
pub fn description() -> serde_json::Result<Value> {
    serde_json::to_value(Description::openapi())
}
