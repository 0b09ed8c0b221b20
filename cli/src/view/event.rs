//! Events of a run: one JSON line, or one line for people.

use moorline_proto::v1::{self, run_event::Event as Kind};
use serde::Serialize;

use crate::{
    names,
    table::one_line,
    time,
    view::{Artifact, CredentialAudit, Decision, Execution, Failure, Preflight, set, shown},
};

/// An event.
#[derive(Debug, Serialize)]
pub struct Event {
    /// The run.
    pub run_id: String,
    /// Position among the run's events, from 1.
    pub sequence: i64,
    /// When it was recorded.
    pub created_at: Option<String>,
    /// What happened: its name as `event`, the rest as `data`.
    #[serde(flatten)]
    pub what: What,
    /// `created_at` for people.
    #[serde(skip)]
    at: String,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "the variants and fields are those of the message `RunEvent`, described there"
)]
pub enum What {
    RunChanged {
        status: Option<String>,
        phase: Option<String>,
        failure: Option<Failure>,
        reason: Option<String>,
    },
    JobChanged(Box<JobChanged>),
    Preflight(Preflight),
    CredentialAudit(CredentialAudit),
    ArtifactStored(Artifact),
    Diagnostics(RunDiagnostics),
    Progress {
        job_id: String,
        stage: Option<String>,
        message: String,
    },
    /// Something that a newer server knows and this program doesn't.
    Unknown,
}

/// A job moved in its life.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `JobChanged`, described there")]
pub struct JobChanged {
    pub job_id: String,
    pub stage: Option<String>,
    pub attempt: i32,
    pub status: Option<String>,
    pub queue: String,
    pub worker_name: Option<String>,
    pub hold_reason: Option<String>,
    pub failure: Option<Failure>,
    pub decision: Option<Decision>,
    pub execution: Option<Execution>,
}

/// Queue, volume, shard, worker and login of a Codex run.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `RunDiagnostics`, described there")]
pub struct RunDiagnostics {
    pub queue: Option<String>,
    pub volume: Option<String>,
    pub shard_index: Option<i32>,
    pub worker_name: Option<String>,
    pub preflight_status: Option<String>,
}

impl From<v1::RunEvent> for Event {
    fn from(event: v1::RunEvent) -> Self {
        Self {
            run_id: event.run_id,
            sequence: event.sequence,
            created_at: time::rfc3339(event.created_at.as_ref()),
            at: time::short(event.created_at.as_ref()),
            what: event.event.map_or(What::Unknown, What::from),
        }
    }
}

impl From<Kind> for What {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::RunChanged(run) => Self::RunChanged {
                status: names::of::<v1::RunStatus>(run.status),
                phase: names::of::<v1::Phase>(run.phase),
                failure: run.failure.map(Failure::from),
                reason: set(run.reason),
            },
            Kind::JobChanged(job) => Self::JobChanged(Box::new(JobChanged {
                job_id: job.job_id,
                stage: names::of::<v1::Stage>(job.stage),
                attempt: job.attempt,
                status: names::of::<v1::JobStatus>(job.status),
                queue: job.queue,
                worker_name: set(job.worker_name),
                hold_reason: names::of::<v1::HoldReason>(job.hold_reason),
                failure: job.failure.map(Failure::from),
                decision: job.decision.map(Decision::from),
                execution: job.execution.map(Execution::from),
            })),
            Kind::Preflight(check) => Self::Preflight(check.into()),
            Kind::ArtifactStored(artifact) => Self::ArtifactStored(artifact.into()),
            Kind::Diagnostics(found) => Self::Diagnostics(RunDiagnostics {
                queue: set(found.queue),
                volume: set(found.volume),
                shard_index: found.shard_index,
                worker_name: set(found.worker_name),
                preflight_status: names::of::<v1::PreflightStatus>(found.preflight_status),
            }),
            Kind::Progress(progress) => Self::Progress {
                job_id: progress.job_id,
                stage: names::of::<v1::Stage>(progress.stage),
                message: progress.message,
            },
            Kind::CredentialAudit(audit) => Self::CredentialAudit(audit.into()),
        }
    }
}

impl Event {
    /// One line for people: when, of what, what.
    pub fn line(&self) -> String {
        let (of, what) = self.what.describe();
        format!("{}  {of:<9}  {what}", self.at)
    }
}

impl What {
    /// Of what it speaks (the run, a stage, the login, …) and what it says, for people.
    pub fn describe(&self) -> (&str, String) {
        let (of, what) = match self {
            Self::RunChanged {
                status,
                phase,
                failure,
                reason,
            } => {
                let why = failure
                    .as_ref()
                    .map(Failure::line)
                    .or_else(|| reason.clone())
                    .map(|why| format!(": {why}"));
                (
                    "run",
                    format!("{} (phase {}){}", shown(status.as_ref()), shown(phase.as_ref()), shown(why)),
                )
            }
            Self::JobChanged(job) => (stage_or_job(&job.stage), job.line()),
            Self::Preflight(check) => ("preflight", check.line()),
            Self::CredentialAudit(audit) => ("logins", audit.line()),
            Self::ArtifactStored(artifact) => (
                "artifact",
                format!("{}, {} bytes", shown(artifact.r#type.as_ref()), artifact.size_bytes),
            ),
            Self::Diagnostics(found) => ("route", found.line()),
            Self::Progress { stage, message, .. } => (stage_or_job(stage), message.clone()),
            Self::Unknown => ("unknown", "an event that this version of moorline doesn't know".to_owned()),
        };
        (of, one_line(&what))
    }
}

impl JobChanged {
    fn line(&self) -> String {
        let attempt = (self.attempt > 1).then(|| format!(", attempt {}", self.attempt));
        let place = match (&self.worker_name, &self.hold_reason) {
            (_, Some(reason)) => format!(" on {}, held: {reason}", self.queue),
            (Some(worker), None) => format!(" on {worker}"),
            (None, None) => format!(" on {}", self.queue),
        };
        let failure = self.failure.as_ref().map(|failure| format!(": {}", failure.line()));
        let decided = self.decision.as_ref().map(Decision::words);
        let way = self
            .execution
            .as_ref()
            .map(Execution::words)
            .or(decided)
            .map(|way| format!(", {way}"));
        let status = shown(self.status.as_ref());
        format!("{status}{place}{}{}{}", shown(attempt), shown(way), shown(failure))
    }
}

impl RunDiagnostics {
    fn line(&self) -> String {
        let facts = [
            ("queue", self.queue.clone()),
            ("volume", self.volume.clone()),
            ("worker", self.worker_name.clone()),
            ("preflight", self.preflight_status.clone()),
        ];
        facts
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn stage_or_job(stage: &Option<String>) -> &str {
    stage.as_deref().unwrap_or("job")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_end_says_which_way_it_went_and_why() {
        let failure = |code: &str| v1::Failure {
            code: code.into(),
            message: "why".into(),
            ..Default::default()
        };
        let event = v1::JobChanged {
            stage: v1::Stage::Submit.into(),
            attempt: 2,
            status: v1::JobStatus::Failed.into(),
            queue: "codex-1".into(),
            worker_name: "w1".into(),
            failure: Some(failure("SKILL_AND_FALLBACK_FAILED")),
            execution: Some(v1::StageExecution {
                selected_skill: "speckit".into(),
                execution_path: v1::ExecutionPath::DirectFallback.into(),
                skill_failure: Some(failure("SKILL_TIMED_OUT")),
                ..Default::default()
            }),
            ..Default::default()
        };
        let What::JobChanged(job) = What::from(Kind::JobChanged(event)) else {
            panic!("it is of a job")
        };
        insta::assert_snapshot!(job.line(), @"failed on w1, attempt 2, direct_fallback from speckit (SKILL_TIMED_OUT): SKILL_AND_FALLBACK_FAILED: why");
    }
}
