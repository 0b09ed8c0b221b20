//! The way from one job to the server.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use moorline_proto::v1::{self, report::News};
use moorline_telemetry::step;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::{Handle, Lease, refusal, transfer};
use crate::{
    metrics,
    redact::one_line,
    stage::{Outlet, RunFolder, failure, plain},
    told::Told,
};

/// What a stage sends of its job.
#[derive(Debug)]
pub struct JobOutlet {
    handle: Handle,
    lease: Lease,
    stage: v1::Stage,
    told: Arc<Told>,
    folder: RunFolder,
    stop: CancellationToken,
}

/// Characters of a line of progress that are sent.
const LONGEST_LINE: usize = 512;

impl JobOutlet {
    /// The outlet of a job. When `stop` is cancelled, transfers are tried once more but not again.
    pub fn new(handle: Handle, (lease, stage): (Lease, v1::Stage), told: Arc<Told>, folder: RunFolder, stop: CancellationToken) -> Self {
        Self {
            handle,
            lease,
            stage,
            told,
            folder,
            stop,
        }
    }

    fn failed(&self, doing: &str, status: &tonic::Status) -> v1::Failure {
        tracing::warn!(%status, "could not {doing}");
        let reason = refusal::reason(status);
        let name = if reason.is_empty() {
            format!("{:?}", status.code())
        } else {
            reason
        };
        let message = format!(
            "the worker could not {doing} ({name}: {}): see the server's log, then retry the run",
            status.message()
        );
        failure("TRANSFER_FAILED", v1::FailureClass::Environment, message)
    }
}

#[async_trait]
impl Outlet for JobOutlet {
    async fn progress(&self, message: &str) {
        let message = one_line(message, LONGEST_LINE);
        tracing::info!("{message}");
        let progress = v1::StageProgress {
            job_id: self.lease.job_id.clone(),
            stage: self.stage.into(),
            message,
        };
        self.handle.ledger.report(&self.lease, News::Progress(progress));
    }

    async fn preflight(&self, preflight: v1::Preflight) {
        let status = plain(preflight.status().as_str_name(), "PREFLIGHT_STATUS_");
        let rung = preflight.rung().as_str_name().trim_start_matches("PREFLIGHT_RUNG_").to_owned();
        self.told.checked(&preflight);
        step!(info, self.told.about(), rung = rung.as_str(), found = preflight.message.as_str(); "login checked");
        metrics::PREFLIGHTS.count([preflight.volume.clone().into(), status.into(), rung.into()]);
        if let Some(holding) = &self.handle.holding {
            holding.note_preflight(preflight.clone());
        }
        self.handle.ledger.report(&self.lease, News::Preflight(preflight));
    }

    async fn credential_audit(&self, audit: v1::CredentialAudit) {
        let codex = plain(audit.codex_status().as_str_name(), "CODEX_CREDENTIAL_STATUS_");
        let github = plain(audit.github_status().as_str_name(), "GITHUB_CREDENTIAL_STATUS_");
        tracing::info!(%codex, %github, "credentials looked at: {}", audit.notes);
        self.handle.ledger.report(&self.lease, News::CredentialAudit(audit));
    }

    async fn volume_diagnostics(&self, diagnostics: v1::VolumeDiagnostics) {
        self.handle.ledger.report(&self.lease, News::VolumeDiagnostics(diagnostics));
    }

    async fn upload_artifact(&self, kind: v1::ArtifactType, file: &Path, content_type: &str) -> Result<v1::Artifact, v1::Failure> {
        let header = v1::ArtifactHeader {
            job_id: self.lease.job_id.clone(),
            lease_token: self.lease.token,
            r#type: kind.into(),
            file_name: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            content_type: content_type.to_owned(),
            digest: String::new(),
        };
        transfer::upload(&self.handle.bulk, &self.folder, file, header, &self.stop)
            .await
            .map_err(|status| self.failed(&format!("store the artifact {}", file.display()), &status))
    }

    async fn download_artifact(&self, artifact_id: &str, to: &Path) -> Result<(), v1::Failure> {
        transfer::download(&self.handle.bulk, artifact_id, to, &self.stop)
            .await
            .map_err(|status| match status.code() {
                Code::NotFound => {
                    let message = format!("the artifact {artifact_id} is no longer stored: retry the run from discovery");
                    failure("ARTIFACT_MISSING", v1::FailureClass::Job, message)
                }
                _ => self.failed(&format!("fetch the artifact {artifact_id}"), &status),
            })
    }

    async fn foresee(&self, finished: v1::Finished) -> bool {
        self.handle.ledger.foresee(&self.lease, finished).await
    }

    async fn follow_output(&self, file: &Path, done: CancellationToken) -> Result<(), v1::Failure> {
        transfer::follow(&self.handle.bulk, &self.folder, file, &self.lease, &done, &self.stop)
            .await
            .map_err(|status| self.failed("send the job's output", &status))
    }
}
