//! Jobs, failures and results.

use moorline_proto::v1;
use uuid::Uuid;

use super::{
    names::{FromWire as _, number},
    skill, timestamp,
};
use crate::{
    db::jobs::Job,
    domain::{
        self,
        job::{self, Failure, FailureClass},
        stage::{Checklist, Discovered, Outcome, Published, Submitted, Task, TaskPhase},
    },
};

/// A job as a message. `lacking` is the skill that it waits for since no worker has it.
pub fn message(job: &Job, lacking: Option<&str>) -> v1::Job {
    v1::Job {
        job_id: job.id.to_string(),
        run_id: job.run_id.to_string(),
        stage: v1::Stage::from(job.stage).into(),
        attempt: job.attempt,
        queue: job.queue.clone(),
        status: v1::JobStatus::from(job.status).into(),
        hold_reason: number::<_, v1::HoldReason>(job.hold_reason),
        priority: job.priority,
        worker_name: job.worker_name.clone().unwrap_or_default(),
        failure: job.failure().map(failure),
        result: job.outcome().map(result),
        created_at: Some(timestamp(job.created_at)),
        not_before: Some(timestamp(job.not_before)),
        started_at: job.started_at.map(timestamp),
        finished_at: job.finished_at.map(timestamp),
        expires_at: job.expires_at.filter(|_| job.status == job::Status::Queued).map(timestamp),
        decision: job.decision().map(skill::decision),
        execution: job.execution().map(skill::execution),
        waits_for_skill: lacking.unwrap_or_default().to_owned(),
    }
}

/// A failure as a message.
pub fn failure(failure: Failure) -> v1::Failure {
    v1::Failure {
        code: failure.code,
        message: failure.message,
        class: v1::FailureClass::from(failure.class).into(),
        details: failure.details.into_iter().collect(),
    }
}

/// A failure out of a message. One without a code still has to be told from others.
pub fn failure_of(wire: v1::Failure) -> Failure {
    Failure {
        class: FailureClass::from_wire(wire.class()).unwrap_or(FailureClass::Job),
        code: if wire.code.is_empty() { "UNKNOWN".to_owned() } else { wire.code },
        message: if wire.message.is_empty() {
            "the worker gave no reason: see its log".to_owned()
        } else {
            wire.message
        },
        details: wire.details.into_iter().collect(),
    }
}

/// A result as a message.
pub fn result(outcome: Outcome) -> v1::JobResult {
    let result = match outcome {
        Outcome::Discover(discovered) => v1::job_result::Result::Discover(discover_message(discovered)),
        Outcome::Submit(submitted) => v1::job_result::Result::Submit(submit_message(submitted)),
        Outcome::Publish(published) => v1::job_result::Result::Publish(v1::PublishResult {
            branch_name: published.branch_name,
            commit: published.commit,
            pr_url: published.pr_url,
            pr_existed: published.pr_existed,
        }),
    };
    v1::JobResult { result: Some(result) }
}

/// A result out of a message.
///
/// # Errors
///
/// `INVALID_RESULT`, when there is none or its patch has no id.
pub fn outcome(wire: v1::JobResult) -> Result<Outcome, domain::Error> {
    let invalid = |message: &'static str| domain::Error::invalid("finished.result", "INVALID_RESULT", message);
    Ok(
        match wire
            .result
            .ok_or_else(|| invalid("a finished job needs a result: update the worker"))?
        {
            v1::job_result::Result::Discover(wire) => Outcome::Discover(Discovered {
                base_ref: wire.base_ref,
                base_commit: wire.base_commit,
                phase: wire.phase.map(task_phase),
                checklists: wire.checklists.into_iter().map(checklist).collect(),
            }),
            v1::job_result::Result::Submit(wire) => Outcome::Submit(Submitted {
                codex_task_id: wire.codex_task_id,
                base_commit: wire.base_commit,
                patch_artifact_id: Uuid::try_parse(&wire.patch_artifact_id)
                    .map_err(|_| invalid("patch_artifact_id is no UUID: update the worker"))?,
                files_changed: wire.files_changed,
                insertions: wire.insertions,
                deletions: wire.deletions,
                input_tokens: wire.input_tokens,
                output_tokens: wire.output_tokens,
                tasks_done: wire.tasks_done,
            }),
            v1::job_result::Result::Publish(wire) => Outcome::Publish(Published {
                branch_name: wire.branch_name,
                commit: wire.commit,
                pr_url: wire.pr_url,
                pr_existed: wire.pr_existed,
            }),
        },
    )
}

/// What discover found, as a message.
pub fn discover_message(discovered: Discovered) -> v1::DiscoverResult {
    let task = |task: Task| v1::Task {
        task_id: task.id,
        description: task.description,
        parallel: task.parallel,
        story: task.story,
        line: task.line,
    };
    let phase = |phase: TaskPhase| v1::TaskPhase {
        number: phase.number,
        title: phase.title,
        tasks: phase.tasks.into_iter().map(task).collect(),
        depends_on: phase.depends_on,
    };
    let checklist = |checklist: Checklist| v1::Checklist {
        name: checklist.name,
        total: checklist.total,
        done: checklist.done,
    };
    v1::DiscoverResult {
        base_ref: discovered.base_ref,
        base_commit: discovered.base_commit,
        phase: discovered.phase.map(phase),
        checklists: discovered.checklists.into_iter().map(checklist).collect(),
    }
}

/// What submit left, as a message.
pub fn submit_message(submitted: Submitted) -> v1::SubmitResult {
    v1::SubmitResult {
        codex_task_id: submitted.codex_task_id,
        base_commit: submitted.base_commit,
        patch_artifact_id: submitted.patch_artifact_id.to_string(),
        files_changed: submitted.files_changed,
        insertions: submitted.insertions,
        deletions: submitted.deletions,
        input_tokens: submitted.input_tokens,
        output_tokens: submitted.output_tokens,
        tasks_done: submitted.tasks_done,
    }
}

fn task_phase(wire: v1::TaskPhase) -> TaskPhase {
    let task = |task: v1::Task| Task {
        id: task.task_id,
        description: task.description,
        parallel: task.parallel,
        story: task.story,
        line: task.line,
    };
    TaskPhase {
        number: wire.number,
        title: wire.title,
        tasks: wire.tasks.into_iter().map(task).collect(),
        depends_on: wire.depends_on,
    }
}

fn checklist(wire: v1::Checklist) -> Checklist {
    Checklist {
        name: wire.name,
        total: wire.total,
        done: wire.done,
    }
}
