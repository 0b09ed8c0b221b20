//! The way to the server, ending in memory.

use std::{path::Path, sync::Mutex};

use async_trait::async_trait;
use moorline_proto::v1;
use moorline_worker::stage::Outlet;
use tokio_util::sync::CancellationToken;

/// Keeps all that a stage sends.
#[derive(Debug, Default)]
pub struct Kept {
    pub progress: Mutex<Vec<String>>,
    pub preflights: Mutex<Vec<v1::Preflight>>,
    pub audits: Mutex<Vec<v1::CredentialAudit>>,
    pub volumes: Mutex<Vec<v1::VolumeDiagnostics>>,
    pub artifacts: Mutex<Vec<(v1::ArtifactType, String)>>,
    pub output: Mutex<String>,
    /// What is there to be downloaded.
    pub patch: Mutex<Option<String>>,
    /// Cancelled once a line of progress begins with a dollar sign, or is the one that is waited for: the agent is at work.
    pub at_work: CancellationToken,
    line: Option<&'static str>,
}

impl Kept {
    /// Waits for this line.
    pub fn of_line(line: &'static str) -> Self {
        Self {
            line: Some(line),
            ..Self::default()
        }
    }

    pub fn artifact(&self, kind: v1::ArtifactType) -> Option<String> {
        let artifacts = self.artifacts.lock().unwrap();
        artifacts
            .iter()
            .find(|(stored, _)| *stored == kind)
            .map(|(_, content)| content.clone())
    }
}

#[async_trait]
impl Outlet for Kept {
    async fn progress(&self, message: &str) {
        self.progress.lock().unwrap().push(message.to_owned());
        if self.line.map_or(message.starts_with('$'), |line| message == line) {
            self.at_work.cancel();
        }
    }

    async fn preflight(&self, preflight: v1::Preflight) {
        self.preflights.lock().unwrap().push(preflight);
    }

    async fn credential_audit(&self, audit: v1::CredentialAudit) {
        self.audits.lock().unwrap().push(audit);
    }

    async fn volume_diagnostics(&self, diagnostics: v1::VolumeDiagnostics) {
        self.volumes.lock().unwrap().push(diagnostics);
    }

    async fn upload_artifact(&self, kind: v1::ArtifactType, file: &Path, _: &str) -> Result<v1::Artifact, v1::Failure> {
        let content = std::fs::read_to_string(file).unwrap();
        self.artifacts.lock().unwrap().push((kind, content));
        Ok(v1::Artifact {
            artifact_id: kind.as_str_name().to_owned(),
            ..v1::Artifact::default()
        })
    }

    async fn download_artifact(&self, id: &str, to: &Path) -> Result<(), v1::Failure> {
        let patch = self.patch.lock().unwrap().clone();
        std::fs::write(to, patch.unwrap_or_else(|| panic!("submit downloads nothing, not even {id}"))).unwrap();
        Ok(())
    }

    async fn foresee(&self, _: v1::Finished) -> bool {
        true
    }

    async fn follow_output(&self, file: &Path, done: CancellationToken) -> Result<(), v1::Failure> {
        assert!(file.exists(), "it is there before it is followed");
        done.cancelled().await;
        *self.output.lock().unwrap() = std::fs::read_to_string(file).unwrap();
        Ok(())
    }
}
