//! What runs tell of the ways that their stages went.

use std::time::Duration;

use moorline_proto::v1::{self, ArtifactType, Stage};

use crate::support::TestApp;

/// A run at its end, which it must come to.
pub async fn ended(app: &TestApp, run_id: &str) -> v1::GetRunResponse {
    const PATIENCE: Duration = Duration::from_secs(120);
    match tokio::time::timeout(PATIENCE, app.finished(run_id)).await {
        Ok(view) => view,
        Err(_) => panic!("it never ended: {:#?}", app.get(run_id).await),
    }
}

/// The last attempt of a stage.
pub fn job(view: &v1::GetRunResponse, stage: Stage) -> &v1::Job {
    let of_stage = view.jobs.iter().filter(|job| job.stage() == stage);
    of_stage
        .max_by_key(|job| job.attempt)
        .unwrap_or_else(|| panic!("{stage:?} in {view:?}"))
}

/// How it went.
pub fn execution(view: &v1::GetRunResponse, stage: Stage) -> v1::StageExecution {
    let job = job(view, stage);
    job.execution.clone().unwrap_or_else(|| panic!("nothing is told of {job:?}"))
}

/// `skill used=true fallback=false`: the way that it went, in short.
pub fn way(view: &v1::GetRunResponse, stage: Stage) -> String {
    let execution = execution(view, stage);
    let path = execution
        .execution_path()
        .as_str_name()
        .trim_start_matches("EXECUTION_PATH_")
        .to_lowercase();
    format!("{path} used={} fallback={}", execution.used_skills, execution.used_fallback)
}

/// A run's failure.
pub fn failure(view: &v1::GetRunResponse) -> v1::Failure {
    let run = view.run.as_ref().expect("a run");
    run.failure.clone().unwrap_or_else(|| panic!("{:?} is no failure", run.status()))
}

/// The content of an artifact, through the API.
pub async fn content(app: &TestApp, artifact_id: &str) -> Vec<u8> {
    let request = v1::DownloadArtifactRequest {
        artifact_id: artifact_id.to_owned(),
    };
    let mut pieces = app.runs().download_artifact(request).await.expect("an artifact").into_inner();
    let mut content = Vec::new();
    while let Some(piece) = pieces.message().await.expect("a piece") {
        content.extend_from_slice(&piece.content);
    }
    content
}

/// The comparison that a stage's shadow has left.
pub async fn drift(app: &TestApp, view: &v1::GetRunResponse, stage: Stage) -> serde_json::Value {
    let shadow = execution(view, stage)
        .shadow
        .unwrap_or_else(|| panic!("no shadow of {stage:?}: {view:?}"));
    let known = view.artifacts.iter().find(|artifact| artifact.artifact_id == shadow.artifact_id);
    assert_eq!(known.expect("the run's artifact").r#type(), ArtifactType::ShadowDrift);
    serde_json::from_slice(&content(app, &shadow.artifact_id).await).expect("a document")
}
