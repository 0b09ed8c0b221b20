//! `/runs`: lists them, starts one, shows one.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use moorline_telemetry::trace::Place;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    names::{given, maybe, one_of},
    run::Run,
};
use crate::{
    api::{Caller, page},
    db::runs::Filter,
    domain::{
        self,
        run::{Agent, Options, Phase, Status},
    },
    flow::{Flow, start, view},
    http::{
        body::{Asked, Body, Id},
        refusal::Refusal,
    },
    wire,
};

const PAGE_DEFAULT: u16 = 50;
const PAGE_MAX: u16 = 500;

/// Which runs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only with this status.
    #[param(schema_with = one_of::<Status>, required = false)]
    status: Option<Status>,
    /// Only of this repository.
    repository: Option<String>,
    /// Only of this feature.
    feature_key: Option<String>,
    /// Only on this queue.
    codex_queue: Option<String>,
    /// At most this many; 50 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u16>,
    /// `nextCursor` of the page before; the filters must be the same.
    cursor: Option<String>,
}

/// One page of runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Runs {
    /// Newest first.
    runs: Vec<Run>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Lists runs, newest first.
#[utoipa::path(get, path = "/api/workflows/speckit/runs", tag = "workflows", operation_id = "list_runs", params(Which),
    responses((status = 200, body = Runs), (status = 422, body = super::Refused)))]
pub async fn list(State(flow): State<Flow>, Asked(which): Asked<Which>) -> Result<Json<Runs>, Refusal> {
    let limit = which.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = "limit must be between 1 and 500: give one that is, or leave it out";
        return Err(domain::Error::invalid("limit", "INVALID_QUERY", message).into());
    }
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let filter = Filter {
        statuses: which.status.into_iter().collect(),
        repository: text(which.repository),
        feature_key: text(which.feature_key),
        codex_queue: text(which.codex_queue),
        created_after: None,
    };
    let begin = page::begin(&filter, &which.cursor.unwrap_or_default())?;
    let mut runs = view::runs(&flow, filter.clone(), begin, i64::from(limit) + 1).await?;
    let next = page::next(&mut runs, i64::from(limit), |last| page::after(&filter, last.created_at, last.id));
    let next_cursor = given(&next);
    let mut failures = view::failures(&flow, &runs).await?;
    let runs = runs
        .into_iter()
        .map(|run| {
            let failure = failures.remove(&run.id);
            Run::new(run, failure)
        })
        .collect();
    Ok(Json(Runs { runs, next_cursor }))
}

/// What to do, and for which feature of which repository.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields of the proto message CreateRunRequest, documented there")]
pub struct Create {
    /// `owner/name`, or a git URL.
    #[schema(example = "octo/hello")]
    repository: String,
    /// A folder under `specs/`.
    #[schema(example = "001-greeting", max_length = 120, min_length = 1)]
    feature_key: String,
    affinity_key: Option<String>,
    base_ref: Option<String>,
    task_id: Option<String>,
    codex_queue: Option<String>,
    #[schema(schema_with = maybe::<Phase>)]
    force_phase: Option<Phase>,
    #[schema(schema_with = maybe::<Agent>)]
    agent: Option<Agent>,
    #[schema(max_length = 4096)]
    notes: Option<String>,
    #[schema(max_length = 200)]
    idempotency_key: Option<String>,
}

/// Starts a run. With an `idempotencyKey`, the same key and content give the same run.
#[utoipa::path(post, path = "/api/workflows/speckit/runs", tag = "workflows", operation_id = "create_run", request_body = Create,
    responses((status = 202, body = Run, headers(("location" = String))), (status = 409, body = super::Refused), (status = 422, body = super::Refused)))]
pub async fn create(
    State(flow): State<Flow>,
    Extension(caller): Extension<Caller>,
    Extension(place): Extension<Place>,
    Body(create): Body<Create>,
) -> Result<impl IntoResponse, Refusal> {
    let request = start::Request {
        repository: create.repository.trim().to_owned(),
        feature_key: create.feature_key,
        affinity_key: create.affinity_key.unwrap_or_default(),
        base_ref: create.base_ref.unwrap_or_default(),
        task_id: create.task_id.unwrap_or_default(),
        codex_queue: create.codex_queue.unwrap_or_default(),
        force_phase: create.force_phase,
        agent: create.agent.unwrap_or(Agent::Codex),
        notes: create.notes.unwrap_or_default(),
        idempotency_key: create.idempotency_key.unwrap_or_default(),
        options: Options::default(),
        requested_by: caller.name().to_owned(),
        traceparent: place.to_string(),
    };
    let (run, already_existed) = start::start(&flow, request).await?;
    // One that has just begun is as it was written; one that was there may have come far.
    let run = match already_existed {
        true => shown(&flow, run.id).await?,
        false => Run::new(run, None),
    };
    let location = HeaderValue::try_from(format!("/api/workflows/speckit/runs/{}", run.run_id));
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location.unwrap_or(HeaderValue::from_static("/")))],
        Json(run),
    ))
}

/// Shows a run.
#[utoipa::path(get, path = "/api/workflows/speckit/runs/{run_id}", tag = "workflows", operation_id = "get_run",
    params(("run_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Run), (status = 404, body = super::Refused), (status = 422, body = super::Refused)))]
pub async fn show(State(flow): State<Flow>, Id(id): Id) -> Result<Json<Run>, Refusal> {
    Ok(Json(shown(&flow, id).await?))
}

/// A run as it is now.
pub async fn shown(flow: &Flow, id: uuid::Uuid) -> Result<Run, Refusal> {
    let view = view::run(flow, id).await?;
    let failure = wire::run::failure_of(&view.jobs);
    Ok(Run::new(view.run, failure))
}
