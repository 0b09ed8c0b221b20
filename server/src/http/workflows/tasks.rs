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
}

impl From<Job> for Task {
    fn from(job: Job) -> Self {
        Self {
            error: job.failure().map(Failure::from),
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
    Ok(Json(Tasks {
        tasks: view.jobs.into_iter().map(Task::from).collect(),
    }))
}
