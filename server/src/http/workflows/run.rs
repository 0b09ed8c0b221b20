//! A run as clients of the replaced system read it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::names::{given, maybe, one_of};
use crate::{
    db::runs,
    domain::{
        job, preflight,
        run::{Agent, Phase, Status},
    },
};

/// One request to advance one feature of one repository.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields of the proto message Run, documented there")]
pub struct Run {
    pub run_id: Uuid,
    pub repository: String,
    pub feature_key: String,
    pub affinity_key: String,
    #[schema(schema_with = one_of::<Status>)]
    pub status: Status,
    #[schema(schema_with = one_of::<Phase>)]
    pub phase: Phase,
    pub branch_name: String,
    pub pr_url: Option<String>,
    pub base_ref: Option<String>,
    pub task_id: Option<String>,
    pub codex_task_id: Option<String>,
    pub codex_queue: Option<String>,
    pub codex_volume: Option<String>,
    pub codex_shard_index: Option<i32>,
    pub hash_modulo: Option<i32>,
    #[schema(schema_with = maybe::<preflight::Status>)]
    pub codex_preflight_status: Option<preflight::Status>,
    pub codex_preflight_message: Option<String>,
    pub codex_logs_path: Option<String>,
    pub codex_patch_path: Option<String>,
    pub artifacts_path: String,
    #[schema(schema_with = maybe::<Phase>)]
    pub force_phase: Option<Phase>,
    #[schema(schema_with = one_of::<Agent>)]
    pub agent: Agent,
    pub requested_by: String,
    pub notes: Option<String>,
    /// Why it failed; null unless it did.
    pub error: Option<Failure>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
}

/// Why something failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// Stable upper-case name.
    code: String,
    /// What happened and what to do next.
    message: String,
}

impl From<job::Failure> for Failure {
    fn from(failure: job::Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
        }
    }
}

impl Run {
    /// A run, and why its last failed job did.
    pub fn new(run: runs::Run, failure: Option<job::Failure>) -> Self {
        let failed = run.status == Status::Failed;
        Self {
            run_id: run.id,
            repository: run.repository,
            feature_key: run.feature_key,
            affinity_key: run.affinity_key,
            status: run.status,
            phase: run.phase,
            branch_name: run.branch_name,
            pr_url: run.pr_url,
            base_ref: run.base_ref,
            task_id: run.task_id,
            codex_task_id: run.codex_task_id,
            codex_queue: run.codex_queue,
            codex_volume: run.codex_volume,
            codex_shard_index: run.codex_shard_index,
            hash_modulo: run.hash_modulo,
            codex_preflight_status: run.codex_preflight_status,
            codex_preflight_message: run.codex_preflight_message,
            codex_logs_path: run.codex_logs_path,
            codex_patch_path: run.codex_patch_path,
            artifacts_path: run.artifacts_path,
            force_phase: run.force_phase,
            agent: run.agent,
            requested_by: run.requested_by,
            notes: given(&run.notes),
            error: failure.filter(|_| failed).map(Failure::from),
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            updated_at: run.updated_at,
        }
    }
}
