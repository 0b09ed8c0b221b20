//! Jobs, how they fail and what they leave.

use std::collections::BTreeMap;

use moorline_proto::v1::{self, job_result::Result as Outcome};
use serde::Serialize;

use crate::{
    names,
    table::one_line,
    time,
    view::{Decision, Execution, set},
};

/// Why something failed.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// Stable upper-case name.
    pub code: String,
    /// What happened and what to do next.
    pub message: String,
    /// Whose failure it is.
    pub class: Option<String>,
    /// Further facts.
    pub details: BTreeMap<String, String>,
}

impl Failure {
    /// One line for people.
    pub fn line(&self) -> String {
        one_line(&format!("{}: {}", self.code, self.message))
    }
}

impl From<v1::Failure> for Failure {
    fn from(failure: v1::Failure) -> Self {
        Self {
            class: names::of::<v1::FailureClass>(failure.class),
            code: failure.code,
            message: failure.message,
            details: failure.details.into_iter().collect(),
        }
    }
}

/// One attempt of one stage.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `Job`, described there")]
pub struct Job {
    pub job_id: String,
    pub run_id: String,
    pub stage: Option<String>,
    pub attempt: i32,
    pub queue: String,
    pub status: Option<String>,
    pub hold_reason: Option<String>,
    pub priority: i32,
    pub worker_name: Option<String>,
    pub failure: Option<Failure>,
    pub result: Option<Result>,
    pub created_at: Option<String>,
    pub not_before: Option<String>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub expires_at: Option<String>,
    pub decision: Option<Decision>,
    pub execution: Option<Execution>,
    pub waits_for_skill: Option<String>,
    /// What it waits for and until when, for people, while it is queued.
    #[serde(skip)]
    pub waits: Option<String>,
    /// From acceptance to the end, for people.
    #[serde(skip)]
    pub took: String,
}

impl From<v1::Job> for Job {
    fn from(job: v1::Job) -> Self {
        Self {
            stage: names::of::<v1::Stage>(job.stage),
            status: names::of::<v1::JobStatus>(job.status),
            hold_reason: names::of::<v1::HoldReason>(job.hold_reason),
            waits: (job.status() == v1::JobStatus::Queued).then(|| waits(&job)).flatten(),
            took: time::between(job.started_at.as_ref(), job.finished_at.as_ref()),
            job_id: job.job_id,
            run_id: job.run_id,
            attempt: job.attempt,
            queue: job.queue,
            priority: job.priority,
            worker_name: set(job.worker_name),
            failure: job.failure.map(Failure::from),
            result: job.result.and_then(|result| result.result).map(Result::from),
            created_at: time::rfc3339(job.created_at.as_ref()),
            not_before: time::rfc3339(job.not_before.as_ref()),
            started_at: time::rfc3339(job.started_at.as_ref()),
            finished_at: time::rfc3339(job.finished_at.as_ref()),
            expires_at: time::rfc3339(job.expires_at.as_ref()),
            decision: job.decision.map(Decision::from),
            execution: job.execution.map(Execution::from),
            waits_for_skill: set(job.waits_for_skill),
        }
    }
}

impl Job {
    /// The way that it went or, before its end, is to go, for people; nothing for one from before there were skills.
    pub fn way(&self) -> String {
        let went = self.execution.as_ref().map(Execution::words);
        went.or_else(|| self.decision.as_ref().map(Decision::words)).unwrap_or_default()
    }
}

fn waits(job: &v1::Job) -> Option<String> {
    let held = names::of::<v1::HoldReason>(job.hold_reason).map(|reason| format!("held: {reason}"));
    let lacking = set(job.waits_for_skill.clone()).map(|skill| format!("no connected worker of {} has the skill {skill}", job.queue));
    let later = |time: &&prost_types::Timestamp| job.created_at.as_ref().is_none_or(|created| time.seconds > created.seconds);
    let begins = job
        .not_before
        .as_ref()
        .filter(later)
        .map(|time| format!("not before {}", time::short(Some(time))));
    let ends = job
        .expires_at
        .as_ref()
        .map(|time| format!("fails if nobody takes it by {}", time::short(Some(time))));
    let parts: Vec<String> = [held, lacking, begins, ends].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What a stage left, as the messages `DiscoverResult`, `SubmitResult` and `PublishResult` describe it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "see above")]
pub enum Result {
    Discover {
        base_ref: String,
        base_commit: String,
        phase: Option<TaskPhase>,
    },
    Submit {
        codex_task_id: Option<String>,
        base_commit: String,
        patch_artifact_id: Option<String>,
        files_changed: i32,
        insertions: i32,
        deletions: i32,
        input_tokens: i64,
        output_tokens: i64,
    },
    Publish {
        branch_name: String,
        commit: String,
        pr_url: Option<String>,
        pr_existed: bool,
    },
}

impl Result {
    /// One line for people.
    pub fn line(&self) -> String {
        let line = match self {
            Self::Discover { phase: None, .. } => "no unchecked task".to_owned(),
            Self::Discover { phase: Some(phase), .. } => phase.line(),
            Self::Submit {
                files_changed,
                insertions,
                deletions,
                ..
            } => format!("{files_changed} files, +{insertions} -{deletions}"),
            Self::Publish {
                branch_name,
                commit,
                pr_url: None,
                ..
            } => format!("commit {commit} on {branch_name}"),
            Self::Publish {
                commit,
                pr_url: Some(pr_url),
                ..
            } => format!("commit {commit}, {pr_url}"),
        };
        one_line(&line)
    }
}

impl From<Outcome> for Result {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Discover(found) => Self::Discover {
                base_ref: found.base_ref,
                base_commit: found.base_commit,
                phase: found.phase.map(TaskPhase::from),
            },
            Outcome::Submit(work) => Self::Submit {
                codex_task_id: set(work.codex_task_id),
                base_commit: work.base_commit,
                patch_artifact_id: set(work.patch_artifact_id),
                files_changed: work.files_changed,
                insertions: work.insertions,
                deletions: work.deletions,
                input_tokens: work.input_tokens,
                output_tokens: work.output_tokens,
            },
            Outcome::Publish(made) => Self::Publish {
                branch_name: made.branch_name,
                commit: made.commit,
                pr_url: set(made.pr_url),
                pr_existed: made.pr_existed,
            },
        }
    }
}

/// A phase of a task list with its unchecked tasks.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `TaskPhase`, described there")]
pub struct TaskPhase {
    pub number: String,
    pub title: String,
    pub tasks: Vec<Task>,
}

impl TaskPhase {
    fn line(&self) -> String {
        let tasks = match self.tasks.len() {
            1 => "1 task".to_owned(),
            n => format!("{n} tasks"),
        };
        format!("phase {}: {} ({tasks})", self.number, self.title)
    }
}

impl From<v1::TaskPhase> for TaskPhase {
    fn from(phase: v1::TaskPhase) -> Self {
        Self {
            number: phase.number,
            title: phase.title,
            tasks: phase.tasks.into_iter().map(Task::from).collect(),
        }
    }
}

/// A task.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `Task`, described there")]
pub struct Task {
    pub task_id: String,
    pub description: String,
    pub parallel: bool,
    pub story: Option<String>,
    pub line: i32,
}

impl From<v1::Task> for Task {
    fn from(task: v1::Task) -> Self {
        Self {
            task_id: task.task_id,
            description: task.description,
            parallel: task.parallel,
            story: set(task.story),
            line: task.line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_job_says_what_it_waits_for_and_until_when() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let job = v1::Job {
            status: v1::JobStatus::Queued.into(),
            created_at: at(0),
            not_before: at(0),
            expires_at: at(86_400),
            ..Default::default()
        };
        let held = v1::Job {
            hold_reason: v1::HoldReason::ShardOffline.into(),
            ..job.clone()
        };
        let lacking = v1::Job {
            queue: "default".into(),
            waits_for_skill: "review".into(),
            ..job.clone()
        };
        let later = v1::Job {
            not_before: at(3_600),
            ..job.clone()
        };
        let running = v1::Job {
            status: v1::JobStatus::Running.into(),
            ..held.clone()
        };
        let told = [job, held, lacking, later, running].map(|job| Job::from(job).waits.unwrap_or_default());
        insta::assert_snapshot!(told.join("\n"), @r"
        fails if nobody takes it by 1970-01-02 00:00:00Z
        held: SHARD_OFFLINE; fails if nobody takes it by 1970-01-02 00:00:00Z
        no connected worker of default has the skill review; fails if nobody takes it by 1970-01-02 00:00:00Z
        not before 1970-01-01 01:00:00Z; fails if nobody takes it by 1970-01-02 00:00:00Z
        ");
    }
}
