//! The shadow's way to the server: what it finds is stored under names of its own, and nothing that it says is taken for the stage's.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use moorline_proto::v1::{self, ArtifactType, PreflightStatus};
use tokio_util::sync::CancellationToken;

use super::super::Outlet;

/// See the module.
#[derive(Debug)]
pub(super) struct Muted(pub(super) Arc<dyn Outlet>);

#[async_trait]
impl Outlet for Muted {
    async fn progress(&self, message: &str) {
        tracing::debug!("in the shadow: {message}");
    }

    async fn preflight(&self, preflight: v1::Preflight) {
        // A login that is dead is dead for all.
        if preflight.status() == PreflightStatus::Failed {
            self.0.preflight(preflight).await;
        }
    }

    async fn credential_audit(&self, _: v1::CredentialAudit) {}

    async fn volume_diagnostics(&self, diagnostics: v1::VolumeDiagnostics) {
        self.0.volume_diagnostics(diagnostics).await;
    }

    async fn upload_artifact(&self, kind: ArtifactType, file: &Path, content_type: &str) -> Result<v1::Artifact, v1::Failure> {
        let kind = match kind {
            ArtifactType::CodexPatch => ArtifactType::ShadowPatch,
            ArtifactType::CodexLogs | ArtifactType::ShadowLogs => ArtifactType::ShadowLogs,
            // What git has said is of no use without a push.
            _ => return Ok(v1::Artifact::default()),
        };
        self.0.upload_artifact(kind, file, content_type).await
    }

    async fn download_artifact(&self, artifact_id: &str, to: &Path) -> Result<(), v1::Failure> {
        self.0.download_artifact(artifact_id, to).await
    }

    /// The job's output is the first way's. The shadow's log is stored when it has ended.
    async fn follow_output(&self, _: &Path, done: CancellationToken) -> Result<(), v1::Failure> {
        done.cancelled().await;
        Ok(())
    }

    async fn foresee(&self, _: v1::Finished) -> bool {
        false
    }
}
