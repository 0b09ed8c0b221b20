//! What a run has stored.

use moorline_proto::v1;
use serde::Serialize;

use crate::{console::View, names, table, time, view::shown};

/// An artifact.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `Artifact`, described there")]
pub struct Artifact {
    pub artifact_id: String,
    pub run_id: String,
    pub r#type: Option<String>,
    pub path: String,
    pub content_type: String,
    pub size_bytes: i64,
    pub digest: String,
    pub created_at: Option<String>,
}

impl From<v1::Artifact> for Artifact {
    fn from(artifact: v1::Artifact) -> Self {
        Self {
            r#type: names::of::<v1::ArtifactType>(artifact.r#type),
            created_at: time::rfc3339(artifact.created_at.as_ref()),
            artifact_id: artifact.artifact_id,
            run_id: artifact.run_id,
            path: artifact.path,
            content_type: artifact.content_type,
            size_bytes: artifact.size_bytes,
            digest: artifact.digest,
        }
    }
}

/// The artifacts of a run.
#[derive(Debug, Serialize)]
pub struct Artifacts {
    /// Oldest first.
    pub artifacts: Vec<Artifact>,
}

impl View for Artifacts {
    fn table(&self, color: bool) -> String {
        if self.artifacts.is_empty() {
            return "The run has stored nothing.".to_owned();
        }
        let rows = self.artifacts.iter().map(|a| {
            [
                a.artifact_id.clone(),
                shown(a.r#type.as_ref()),
                a.size_bytes.to_string(),
                a.path.clone(),
            ]
        });
        table::grid(["ARTIFACT ID", "TYPE", "BYTES", "PATH"], rows, color)
    }
}
