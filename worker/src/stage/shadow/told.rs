//! What is told of a comparison: an artifact, a line of progress, a line of the log, a metric.

use std::{io, path::PathBuf, time::Duration};

use moorline_proto::v1::{self, ArtifactType, ExecutionPath};
use moorline_telemetry::step;
use tokio::time::timeout;

use super::super::{Context, plain};
use crate::{drift::Document, metrics, redact::one_line, told::Told};

/// Longest time that the artifact may take: the stage's end waits for it.
const STORING: Duration = Duration::from_secs(60);
/// Longest line about it, in characters.
const DETAIL: usize = 400;

/// Tells of it, and returns what the attempt's record says. An artifact that can't be stored is missing there.
pub(super) async fn tell(ctx: &Context, path: ExecutionPath, document: &Document) -> v1::ShadowOutcome {
    let status = plain(document.shadow_status().as_str_name(), "SHADOW_STATUS_");
    let detail = one_line(&document.detail, DETAIL);
    let artifact_id = store(ctx, document).await.unwrap_or_default();
    let about = Told::of(&ctx.offer, &ctx.config.name);
    step!(info, about.about(), status = "shadowed", shadow = status.as_str(), detail = detail.as_str(); "shadow compared");
    metrics::SHADOWS.count([document.stage.clone().into(), status.clone().into()]);
    ctx.outlet
        .progress(&format!("in the shadow it went {}: {status}, {detail}", way(path)))
        .await;
    v1::ShadowOutcome {
        execution_path: path.into(),
        status: document.shadow_status().into(),
        files: document.files_differing(),
        artifact_id,
        detail,
        duration_ms: 0,
    }
}

/// How a way is called in a sentence.
pub(super) fn way(path: ExecutionPath) -> &'static str {
    match path {
        ExecutionPath::Skill => "by its skill",
        _ => "the built-in way",
    }
}

async fn store(ctx: &Context, document: &Document) -> Option<String> {
    let file = write(ctx, document)
        .inspect_err(|error| tracing::warn!(%error, "what a shadow has shown could not be written"))
        .ok()?;
    let stored = ctx.outlet.upload_artifact(ArtifactType::ShadowDrift, &file, "application/json");
    match timeout(STORING, stored).await {
        Ok(Ok(artifact)) => Some(artifact.artifact_id),
        Ok(Err(failure)) => {
            tracing::warn!(code = %failure.code, "what a shadow has shown could not be stored: {}", failure.message);
            None
        }
        Err(_) => {
            tracing::warn!("what a shadow has shown could not be stored in {} s", STORING.as_secs());
            None
        }
    }
}

fn write(ctx: &Context, document: &Document) -> io::Result<PathBuf> {
    let file = ctx.folder.private().join("shadow-drift.json");
    std::fs::write(&file, serde_json::to_vec_pretty(document)?)?;
    Ok(file)
}
