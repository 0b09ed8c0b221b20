//! Runs: one, one with everything that belongs to it, many.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    names, table, time,
    view::{Artifact, CredentialAudit, Decision, Failure, Job, Preflight, set, shown, way},
};

/// A run.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `Run`, described there")]
pub struct Run {
    pub run_id: String,
    pub status: Option<String>,
    pub phase: Option<String>,
    pub repository: String,
    pub feature_key: String,
    pub task_id: Option<String>,
    pub affinity_key: String,
    pub agent: Option<String>,
    pub force_phase: Option<String>,
    pub base_ref: Option<String>,
    pub branch_name: Option<String>,
    pub pr_url: Option<String>,
    pub codex_queue: Option<String>,
    pub codex_volume: Option<String>,
    pub codex_shard_index: Option<i32>,
    pub hash_modulo: Option<i32>,
    pub codex_task_id: Option<String>,
    pub codex_preflight_status: Option<String>,
    pub codex_preflight_message: Option<String>,
    pub codex_logs_path: Option<String>,
    pub codex_patch_path: Option<String>,
    pub artifacts_path: Option<String>,
    pub requested_by: Option<String>,
    pub notes: Option<String>,
    pub idempotency_key: Option<String>,
    pub options: Option<Options>,
    pub failure: Option<Failure>,
    pub created_at: Option<String>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub updated_at: Option<String>,
    pub last_event_sequence: i64,
    pub skill_policy_version: Option<i64>,
    pub stage_decisions: Vec<Decision>,
    /// `created_at` and the time from start to end, for people.
    #[serde(skip)]
    times: [String; 2],
}

impl From<v1::Run> for Run {
    fn from(run: v1::Run) -> Self {
        Self {
            status: names::of::<v1::RunStatus>(run.status),
            phase: names::of::<v1::Phase>(run.phase),
            agent: names::of::<v1::Agent>(run.agent),
            force_phase: names::of::<v1::Phase>(run.force_phase),
            codex_preflight_status: names::of::<v1::PreflightStatus>(run.codex_preflight_status),
            options: run.options.map(Options::from),
            failure: run.failure.map(Failure::from),
            created_at: time::rfc3339(run.created_at.as_ref()),
            started_at: time::rfc3339(run.started_at.as_ref()),
            finished_at: time::rfc3339(run.finished_at.as_ref()),
            updated_at: time::rfc3339(run.updated_at.as_ref()),
            times: [
                time::short(run.created_at.as_ref()),
                time::between(run.started_at.as_ref(), run.finished_at.as_ref()),
            ],
            run_id: run.run_id,
            repository: run.repository,
            feature_key: run.feature_key,
            task_id: set(run.task_id),
            affinity_key: run.affinity_key,
            base_ref: set(run.base_ref),
            branch_name: set(run.branch_name),
            pr_url: set(run.pr_url),
            codex_queue: set(run.codex_queue),
            codex_volume: set(run.codex_volume),
            codex_shard_index: run.codex_shard_index,
            hash_modulo: run.hash_modulo,
            codex_task_id: set(run.codex_task_id),
            codex_preflight_message: set(run.codex_preflight_message),
            codex_logs_path: set(run.codex_logs_path),
            codex_patch_path: set(run.codex_patch_path),
            artifacts_path: set(run.artifacts_path),
            requested_by: set(run.requested_by),
            notes: set(run.notes),
            idempotency_key: set(run.idempotency_key),
            last_event_sequence: run.last_event_sequence,
            skill_policy_version: Some(run.skill_policy_version).filter(|version| *version > 0),
            stage_decisions: run.stage_decisions.into_iter().map(Decision::from).collect(),
        }
    }
}

/// The client's choices.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `RunOptions`, described there")]
pub struct Options {
    pub priority: i32,
    pub on_shard_unavailable: Option<String>,
    pub on_auth_failure: Option<String>,
    pub agent_timeout_seconds: Option<f64>,
    pub not_before: Option<String>,
    pub queue_timeout_seconds: Option<f64>,
}

impl From<v1::RunOptions> for Options {
    fn from(options: v1::RunOptions) -> Self {
        Self {
            priority: options.priority,
            on_shard_unavailable: names::of::<v1::ShardUnavailablePolicy>(options.on_shard_unavailable),
            on_auth_failure: names::of::<v1::AuthFailurePolicy>(options.on_auth_failure),
            agent_timeout_seconds: options.agent_timeout.as_ref().map(time::seconds),
            not_before: time::rfc3339(options.not_before.as_ref()),
            queue_timeout_seconds: options.queue_timeout.as_ref().map(time::seconds),
        }
    }
}

impl Run {
    /// What was decided of its stages, and by which policy, for people.
    fn ways(&self) -> String {
        let policy = self.skill_policy_version.map(|version| format!(" (policy {version})"));
        format!("{}{}", way::of_run(&self.stage_decisions), shown(policy))
    }
}

impl View for Run {
    fn table(&self, color: bool) -> String {
        let [created, took] = &self.times;
        table::card(
            [
                ("run id", self.run_id.clone()),
                ("status", shown(self.status.as_ref())),
                ("phase", shown(self.phase.as_ref())),
                ("failure", self.failure.as_ref().map(Failure::line).unwrap_or_default()),
                ("repository", self.repository.clone()),
                ("feature", self.feature_key.clone()),
                ("base", shown(self.base_ref.as_ref())),
                ("branch", shown(self.branch_name.as_ref())),
                ("pull request", shown(self.pr_url.as_ref())),
                ("agent", shown(self.agent.as_ref())),
                ("affinity key", self.affinity_key.clone()),
                ("queue", shown(self.codex_queue.as_ref())),
                ("volume", shown(self.codex_volume.as_ref())),
                ("preflight", shown(self.codex_preflight_status.as_ref())),
                ("login check", shown(self.codex_preflight_message.as_ref())),
                ("stages by", self.ways()),
                ("notes", shown(self.notes.as_ref())),
                ("created", created.clone()),
                ("took", took.clone()),
            ],
            color,
        )
    }
}

/// A run as CreateRun answered.
#[derive(Debug, Serialize)]
pub struct CreatedRun {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Whether an earlier call with the same idempotency key had made it.
    pub already_existed: bool,
}

impl View for CreatedRun {
    fn table(&self, color: bool) -> String {
        self.run.table(color)
    }
}

/// A run with everything that belongs to it.
#[derive(Debug, Serialize)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Every attempt of every stage.
    pub jobs: Vec<Job>,
    /// What it has stored.
    pub artifacts: Vec<Artifact>,
    /// Its latest login check.
    pub preflight: Option<Preflight>,
    /// What was last known of its credentials.
    pub credential_audit: Option<CredentialAudit>,
}

impl TryFrom<v1::GetRunResponse> for RunDetail {
    type Error = crate::error::Error;

    fn try_from(answer: v1::GetRunResponse) -> Result<Self, Self::Error> {
        Ok(Self {
            run: answer.run.map(Run::from).ok_or(Self::Error::Incomplete("run"))?,
            jobs: answer.jobs.into_iter().map(Job::from).collect(),
            artifacts: answer.artifacts.into_iter().map(Artifact::from).collect(),
            preflight: answer.preflight.map(Preflight::from),
            credential_audit: answer.credential_audit.map(CredentialAudit::from),
        })
    }
}

impl View for RunDetail {
    fn table(&self, color: bool) -> String {
        let mut parts = vec![self.run.table(color)];
        if let Some(audit) = &self.credential_audit {
            let checked = time::plain(audit.checked_at.as_deref());
            parts.push(table::card([("credentials", audit.line()), ("looked at", checked)], color));
        }
        if !self.jobs.is_empty() {
            let rows = self.jobs.iter().map(|job| {
                let said = job
                    .failure
                    .as_ref()
                    .map(Failure::line)
                    .or_else(|| job.result.as_ref().map(|result| result.line()))
                    .or_else(|| job.waits.clone());
                let [stage, status, worker] = [&job.stage, &job.status, &job.worker_name].map(|text| shown(text.as_ref()));
                [
                    stage,
                    job.attempt.to_string(),
                    status,
                    job.queue.clone(),
                    worker,
                    job.took.clone(),
                    job.way(),
                    shown(said),
                ]
            });
            parts.push(table::grid(
                ["STAGE", "ATTEMPT", "STATUS", "QUEUE", "WORKER", "TOOK", "WAY", "RESULT"],
                rows,
                color,
            ));
        }
        if !self.artifacts.is_empty() {
            let rows = self
                .artifacts
                .iter()
                .map(|a| [shown(a.r#type.as_ref()), a.artifact_id.clone(), a.size_bytes.to_string()]);
            parts.push(table::grid(["ARTIFACT", "ID", "BYTES"], rows, color));
        }
        parts.join("\n\n")
    }
}

/// Some runs.
#[derive(Debug, Serialize)]
pub struct Runs {
    /// Newest first.
    pub runs: Vec<Run>,
    /// For the runs after these; unset when there are none.
    pub next_page_token: Option<String>,
}

impl View for Runs {
    fn table(&self, color: bool) -> String {
        if self.runs.is_empty() {
            return "No runs.".to_owned();
        }
        let rows = self.runs.iter().map(|run| {
            let [created, took] = run.times.clone();
            let [status, phase, queue] = [&run.status, &run.phase, &run.codex_queue].map(|text| shown(text.as_ref()));
            [
                run.run_id.clone(),
                status,
                phase,
                run.repository.clone(),
                run.feature_key.clone(),
                queue,
                way::of_run(&run.stage_decisions),
                created,
                took,
            ]
        });
        table::grid(
            [
                "RUN ID",
                "STATUS",
                "PHASE",
                "REPOSITORY",
                "FEATURE",
                "QUEUE",
                "STAGES BY",
                "CREATED",
                "TOOK",
            ],
            rows,
            color,
        )
    }
}
