//! A way to the server for what says nothing worth hearing.

use std::path::Path;

use async_trait::async_trait;
use moorline_proto::v1;
use tokio_util::sync::CancellationToken;

use crate::stage::Outlet;

/// Hears nothing, and stores nothing.
#[derive(Debug)]
pub(crate) struct Silent;

#[async_trait]
impl Outlet for Silent {
    async fn progress(&self, _: &str) {}
    async fn preflight(&self, _: v1::Preflight) {}
    async fn credential_audit(&self, _: v1::CredentialAudit) {}
    async fn volume_diagnostics(&self, _: v1::VolumeDiagnostics) {}
    async fn upload_artifact(&self, _: v1::ArtifactType, _: &Path, _: &str) -> Result<v1::Artifact, v1::Failure> {
        Ok(v1::Artifact::default())
    }
    async fn download_artifact(&self, _: &str, _: &Path) -> Result<(), v1::Failure> {
        Ok(())
    }
    async fn foresee(&self, _: v1::Finished) -> bool {
        true
    }
    async fn follow_output(&self, _: &Path, _: CancellationToken) -> Result<(), v1::Failure> {
        Ok(())
    }
}
