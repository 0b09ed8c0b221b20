//! Whether this process is there, and whether it can do anything.

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde::Serialize;
use utoipa::ToSchema;

use super::refusal::Refusal;
use crate::{domain, flow::view, session::Sessions};

/// How it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
}

/// The two questions.
pub fn router() -> Router<Sessions> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Health)))]
pub async fn healthz() -> impl IntoResponse {
    (StatusCode::OK, Json(Health { status: "ok" }))
}

/// The database answers, and the server is not about to go.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Health)))]
pub async fn readyz(State(sessions): State<Sessions>) -> Result<Json<Health>, Refusal> {
    if sessions.shutdown.is_cancelled() {
        let message = "this server is shutting down: call another, or call again when it is back";
        return Err(domain::Error::leaving("SHUTTING_DOWN", message).into());
    }
    view::alive(&sessions.flow).await?;
    Ok(Json(Health { status: "ok" }))
}
