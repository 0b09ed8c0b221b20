//! What happens to a run, as stored in its numbered list of events.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use super::{
    audit::Audit,
    job::{self, Failure, HoldReason},
    preflight::{self, Preflight},
    run,
    skill::{Decision, Execution},
    stage::Stage,
};

/// One thing that happened. The name of the variant is the event's `kind` in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// The run's status or phase changed.
    RunChanged {
        /// From now on.
        status: run::Status,
        /// From now on.
        phase: run::Phase,
        /// Why, when it failed.
        failure: Option<Failure>,
        /// What the client gave as its reason, when it was cancelled.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A job changed.
    JobChanged {
        /// The job.
        job_id: Uuid,
        /// Its stage.
        stage: Stage,
        /// Its attempt, from 1.
        attempt: i32,
        /// From now on.
        status: job::Status,
        /// Its queue.
        queue: String,
        /// The worker that holds it.
        worker_name: Option<String>,
        /// Why it waits.
        hold_reason: Option<HoldReason>,
        /// Why, when it failed.
        failure: Option<Failure>,
        /// The way that it is to go, when it is queued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<Box<Decision>>,
        /// The way that it went, when it has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<Box<Execution>>,
    },
    /// The login was checked.
    Preflight(Preflight),
    /// Something was stored.
    ArtifactStored {
        /// The artifact.
        artifact_id: Uuid,
        /// Its type, such as `codex_patch`.
        artifact_type: String,
        /// Its path.
        path: String,
        /// Media type.
        content_type: String,
        /// Bytes.
        size_bytes: i64,
        /// SHA-256 in hex.
        digest: String,
    },
    /// Where the Codex work goes, and what is known of its login.
    Diagnostics {
        /// Queue of submit.
        queue: String,
        /// Its volume.
        volume: String,
        /// Its shard's number.
        shard_index: Option<i32>,
        /// The worker that holds it.
        worker_name: Option<String>,
        /// The latest login check.
        preflight_status: Option<preflight::Status>,
    },
    /// The run's credentials were looked at.
    CredentialAudit(Audit),
    /// A line of progress.
    Progress {
        /// The job.
        job_id: Uuid,
        /// Its stage.
        stage: Stage,
        /// One line.
        message: String,
    },
}

impl Event {
    /// The event's name, as stored.
    pub fn kind(&self) -> &'static str {
        self.into()
    }
}
