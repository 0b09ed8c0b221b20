//! `GET /runs/{run_id}/tasks`: every attempt of every stage of a run.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    names::{maybe, one_of},
    run::Failure,
};
use crate::{
    db::jobs::Job,
    domain::{
        job::{HoldReason, Status},
        skill::ExecutionPath,
        stage::Stage,
    },
    flow::{Flow, view},
    http::{body::Id, refusal::Refusal},
};

/// The tasks of a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tasks {
    /// In the order of their making.
    tasks: Vec<Task>,
}

/// One attempt of one stage.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id; a job's, in the new words.
    job_id: Uuid,
    /// Its stage.
    #[schema(schema_with = one_of::<Stage>)]
    stage: Stage,
    /// From 1.
    attempt: i32,
    /// Where it waits, or waited.
    queue: String,
    /// Where in its life it is.
    #[schema(schema_with = one_of::<Status>)]
    status: Status,
    /// Why it is offered to nobody, if so.
    #[schema(schema_with = maybe::<HoldReason>)]
    hold_reason: Option<HoldReason>,
    /// The worker that holds it.
    worker_name: Option<String>,
    /// Why it failed.
    error: Option<Failure>,
    /// When it was queued.
    created_at: DateTime<Utc>,
    /// Not offered before this time.
    not_before: DateTime<Utc>,
    /// When a worker accepted it.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// The skill that was chosen for the stage; null for an attempt from before there were skills, as everything below.
    selected_skill: Option<String>,
    /// The way that it went or, before its end, is to go.
    #[schema(schema_with = maybe::<ExecutionPath>)]
    execution_path: Option<ExecutionPath>,
    /// Whether a skill was run for the stage; null before the end.
    used_skills: Option<bool>,
    /// Whether the built-in code took over from a skill; null before the end.
    used_fallback: Option<bool>,
    /// Whether the other way is to be taken as well, and compared.
    shadow_mode_requested: Option<bool>,
    /// How long it took, in milliseconds, 0 when it never began; null before the end.
    duration_ms: Option<i64>,
    /// Why the skill failed, when it did, whatever came afterwards.
    skill_failure: Option<Failure>,
    /// The skill that it waits for, since no connected worker of its queue has it.
    waits_for_skill: Option<String>,
}

impl Task {
    fn new(job: Job, waits_for_skill: Option<String>) -> Self {
        let decision = job.decision();
        let (skill, path, shadow) = match &decision {
            Some(decision) => (
                Some(decision.selected_skill.clone()),
                Some(decision.execution_path),
                Some(decision.shadow_mode),
            ),
            None => (None, None, None),
        };
        let went = job.execution();
        Self {
            error: job.failure().map(Failure::from),
            selected_skill: went.as_ref().map(|went| went.selected_skill.clone()).or(skill),
            execution_path: went.as_ref().map(|went| went.execution_path).or(path),
            shadow_mode_requested: went.as_ref().map(|went| went.shadow_mode_requested).or(shadow),
            used_skills: went.as_ref().map(|went| went.used_skills),
            used_fallback: went.as_ref().map(|went| went.used_fallback),
            duration_ms: went.as_ref().map(|went| went.duration_ms),
            skill_failure: went.and_then(|went| went.skill_failure).map(Failure::from),
            waits_for_skill,
            job_id: job.id,
            stage: job.stage,
            attempt: job.attempt,
            queue: job.queue,
            status: job.status,
            hold_reason: job.hold_reason,
            worker_name: job.worker_name,
            created_at: job.created_at,
            not_before: job.not_before,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

/// Lists every attempt of every stage of a run.
#[utoipa::path(get, path = "/api/workflows/speckit/runs/{run_id}/tasks", tag = "workflows", operation_id = "list_run_tasks",
    params(("run_id" = Uuid, Path)),
    responses((status = 200, body = Tasks), (status = 404, body = super::Refused), (status = 422, body = super::Refused)))]
pub async fn list(State(flow): State<Flow>, Id(id): Id) -> Result<Json<Tasks>, Refusal> {
    let view = view::run(&flow, id).await?;
    let task = |job: &Job| Task::new(job.clone(), view.lacking(job).map(str::to_owned));
    Ok(Json(Tasks {
        tasks: view.jobs.iter().map(task).collect(),
    }))
}
