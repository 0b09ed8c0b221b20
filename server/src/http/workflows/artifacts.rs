//! What a run has stored: the list, and the content of each.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    db::artifacts::Row,
    flow::{Flow, artifact, view},
    http::{body::Id, refusal::Refusal},
};

/// The artifacts of a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct Artifacts {
    /// Oldest first.
    artifacts: Vec<Artifact>,
}

/// Something that a run has stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Its id.
    artifact_id: Uuid,
    /// The run.
    run_id: Uuid,
    /// The task that made it.
    job_id: Uuid,
    /// Such as `codex_patch`.
    artifact_type: String,
    /// Path below the artifact root.
    path: String,
    /// Media type.
    content_type: String,
    /// Bytes.
    size_bytes: i64,
    /// SHA-256 in lower-case hex.
    digest: String,
    /// When it was stored.
    created_at: DateTime<Utc>,
}

impl From<Row> for Artifact {
    fn from(row: Row) -> Self {
        Self {
            artifact_id: row.id,
            run_id: row.run_id,
            job_id: row.job_id,
            artifact_type: row.kind,
            path: row.path,
            content_type: row.content_type,
            size_bytes: row.size_bytes,
            digest: row.digest,
            created_at: row.created_at,
        }
    }
}

/// Lists what a run has stored.
#[utoipa::path(get, path = "/api/workflows/speckit/runs/{run_id}/artifacts", tag = "workflows", operation_id = "list_run_artifacts",
    params(("run_id" = Uuid, Path)),
    responses((status = 200, body = Artifacts), (status = 404, body = super::Refused), (status = 422, body = super::Refused)))]
pub async fn list(State(flow): State<Flow>, Id(id): Id) -> Result<Json<Artifacts>, Refusal> {
    let view = view::run(&flow, id).await?;
    Ok(Json(Artifacts {
        artifacts: view.artifacts.into_iter().map(Artifact::from).collect(),
    }))
}

/// Sends the content of an artifact.
#[utoipa::path(get, path = "/api/workflows/speckit/artifacts/{artifact_id}", tag = "workflows", operation_id = "get_artifact_content",
    params(("artifact_id" = Uuid, Path)),
    responses((status = 200, description = "The content, of the media type that it was stored with", content_type = "*/*", body = Vec<u8>),
        (status = 404, body = super::Refused), (status = 422, body = super::Refused)))]
pub async fn content(State(flow): State<Flow>, Id(id): Id) -> Result<impl IntoResponse, Refusal> {
    let (row, pieces) = artifact::fetch(&flow, id).await?;
    Ok((headers(&row), Body::from_stream(pieces)))
}

/// A browser must save it, whatever it is: an agent wrote it, and here it could call this server.
fn headers(row: &Row) -> HeaderMap {
    let file = row.path.rsplit('/').next().unwrap_or_default().replace(['"', '\\'], "_");
    let text = |text: &str, otherwise| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(otherwise));
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, text(&row.content_type, "application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(row.size_bytes)),
        (
            header::CONTENT_DISPOSITION,
            text(&format!("attachment; filename=\"{file}\""), "attachment"),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
        (header::ETAG, text(&format!("\"{}\"", row.digest), "\"\"")),
    ])
}
