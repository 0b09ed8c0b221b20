//! A client starts a run.

use diesel_async::AsyncConnection as _;
use sha2::{Digest as _, Sha256};
use tracing::info;
use uuid::Uuid;

use super::{
    Error, Flow, advance,
    ledger::{Ledger, Written},
    route,
};
use crate::{
    db::{
        Connection, jobs,
        runs::{self, NewRun, Run},
    },
    domain::{
        self,
        event::Event,
        job::Payload,
        repository,
        run::{self, Agent, OnAuthFailure, OnShardUnavailable, Options, Phase},
        shard,
        stage::{Outcome, Stage},
    },
};

/// What a client asks for.
#[derive(Debug, Clone, serde::Serialize)]
#[allow(missing_docs, reason = "the fields of the proto message CreateRunRequest, documented there")]
pub struct Request {
    pub repository: String,
    pub feature_key: String,
    pub affinity_key: String,
    pub base_ref: String,
    pub task_id: String,
    pub codex_queue: String,
    pub force_phase: Option<Phase>,
    pub agent: Agent,
    pub notes: String,
    #[serde(skip)]
    pub idempotency_key: String,
    pub options: Options,
    #[serde(skip)]
    pub requested_by: String,
}

/// Longest notes and idempotency key, in characters; longest branch and task names as well.
const NOTES_MAX: usize = 4096;
const IDEMPOTENCY_KEY_MAX: usize = 200;
const NAME_MAX: usize = 255;
const PRIORITY_RANGE: std::ops::RangeInclusive<i32> = -100..=100;

/// Starts a run, or returns the one that an earlier call with the same idempotency key and content has started, with `true`.
///
/// # Errors
///
/// What is wrong with the request; `RUN_ALREADY_OPEN`, `IDEMPOTENCY_KEY_REUSED`, `SHARD_UNAVAILABLE`, `PATCH_MISSING`.
pub async fn start(flow: &Flow, mut request: Request) -> Result<(Run, bool), Error> {
    check(&request)?;
    request.options.request_digest = hex::encode(Sha256::digest(serde_json::to_vec(&request)?));

    let mut connection = flow.connection().await?;
    if let Some(existing) = repeated(&mut connection, &request).await? {
        return Ok((existing, true));
    }
    match connection.transaction(async |connection| insert(connection, &request).await).await {
        Ok(written) => {
            let run = written.announce(&flow.hints);
            info!(run_id = %run.id, repository = run.repository, feature_key = run.feature_key, queue = run.codex_queue,
                volume = run.codex_volume, shard_index = run.codex_shard_index, "run created");
            Ok((run, false))
        }
        // Another call was faster: either the same request, or another run of the feature.
        Err(error) if error.is("IDEMPOTENCY_KEY_REUSED") => repeated(&mut connection, &request).await?.map(|run| (run, true)).ok_or(error),
        Err(error) if error.is("RUN_ALREADY_OPEN") => {
            // The same request twice at once breaks this index as well.
            if let Some(existing) = repeated(&mut connection, &request).await? {
                return Ok((existing, true));
            }
            Err(already_open(&mut connection, &request.repository, &request.feature_key)
                .await?
                .unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}

fn check(request: &Request) -> Result<(), Error> {
    repository::check(&request.repository)?;
    run::check_feature_key(&request.feature_key)?;
    if request.force_phase == Some(Phase::Complete) {
        let message = "force_phase must be discover, submit or publish: leave it out for all of them";
        return Err(domain::Error::invalid("force_phase", "INVALID_PHASE", message).into());
    }
    let texts = [
        &request.affinity_key,
        &request.task_id,
        &request.codex_queue,
        &request.notes,
        &request.idempotency_key,
    ];
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(domain::Error::invalid(
            "request",
            "INVALID_TEXT",
            "a text holds a NUL character, which can't be stored: remove it",
        )
        .into());
    }
    if request.agent == Agent::Gemini {
        return Err(domain::Error::unsupported("Gemini runs are not served yet: leave agent at codex").into());
    }
    if request.options.on_auth_failure == OnAuthFailure::Wait {
        let message = "waiting for a renewed login is not served yet: leave on_auth_failure at fail, and retry the run after the login";
        return Err(domain::Error::unsupported(message).into());
    }
    let too_long = [
        ("notes", request.notes.chars().count() > NOTES_MAX),
        ("idempotency_key", request.idempotency_key.chars().count() > IDEMPOTENCY_KEY_MAX),
        ("affinity_key", request.affinity_key.chars().count() > NOTES_MAX),
        ("base_ref", request.base_ref.chars().count() > NAME_MAX),
        ("task_id", request.task_id.chars().count() > NAME_MAX),
    ];
    if let Some((field, _)) = too_long.iter().find(|(_, too_long)| *too_long) {
        return Err(domain::Error::invalid(field, "TOO_LONG", format!("{field} is too long: shorten it")).into());
    }
    if request.base_ref.starts_with('-') || request.base_ref.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = "base_ref is no branch name: give one such as main, or leave it empty for the remote's HEAD";
        return Err(domain::Error::invalid("base_ref", "INVALID_BASE_REF", message).into());
    }
    if !PRIORITY_RANGE.contains(&request.options.priority) {
        return Err(domain::Error::invalid("options.priority", "INVALID_PRIORITY", "priority must be between -100 and 100").into());
    }
    Ok(())
}

/// The run that an earlier call with the same key has made.
async fn repeated(connection: &mut Connection, request: &Request) -> Result<Option<Run>, Error> {
    if request.idempotency_key.is_empty() {
        return Ok(None);
    }
    let Some(existing) = runs::by_idempotency_key(connection, &request.idempotency_key).await? else {
        return Ok(None);
    };
    if existing.options().request_digest == request.options.request_digest {
        return Ok(Some(existing));
    }
    let message = "this idempotency key was used for another request: use a new key, or repeat the first request unchanged";
    Err(domain::Error::already_exists("IDEMPOTENCY_KEY_REUSED", message)
        .with("run_id", existing.id.to_string())
        .into())
}

/// The refusal that names the open run of a feature.
async fn already_open(connection: &mut Connection, repository: &str, feature_key: &str) -> Result<Option<Error>, Error> {
    let open = runs::open_of_feature(connection, repository, feature_key).await?;
    Ok(open.map(|open| {
        let message = format!(
            "this feature has an open run already, {0}: watch it (moorline run watch {0}) or cancel it (moorline run cancel {0})",
            open.id
        );
        domain::Error::already_exists("RUN_ALREADY_OPEN", message)
            .with("run_id", open.id.to_string())
            .into()
    }))
}

/// The same for a run that is to be retried.
pub(super) async fn already_open_error(connection: &mut Connection, run_id: Uuid) -> Result<Option<Error>, Error> {
    match runs::find(connection, run_id).await? {
        Some(run) => already_open(connection, &run.repository, &run.feature_key).await,
        None => Ok(None),
    }
}

async fn insert(connection: &mut Connection, request: &Request) -> Result<Written, Error> {
    let route = route::resolve_with(
        connection,
        &route::Request {
            affinity_key: &request.affinity_key,
            repository: &request.repository,
            feature_key: &request.feature_key,
            task_id: &request.task_id,
            queue: &request.codex_queue,
            agent: Some(request.agent),
        },
    )
    .await?;
    let refuses = request.options.on_shard_unavailable == OnShardUnavailable::Refuse;
    if refuses && let Some(status @ (shard::Status::Offline | shard::Status::Draining)) = route.shard_status {
        let message = format!(
            "shard {} is {status} and the run asked not to wait: start its worker or activate it, or leave on_shard_unavailable at wait",
            route.queue
        );
        return Err(domain::Error::precondition("SHARD_UNAVAILABLE", message)
            .with("queue", route.queue)
            .into());
    }

    let id = Uuid::now_v7();
    let stage = run::stages(request.force_phase).first().copied().unwrap_or(Stage::Discover);
    let payload = payload(connection, request, stage).await?;
    let run = runs::insert(
        connection,
        &NewRun {
            id,
            repository: &request.repository,
            feature_key: &request.feature_key,
            affinity_key: &route.affinity_key,
            phase: Phase::from(stage),
            branch_name: &run::branch_name(&request.feature_key, id),
            base_ref: not_empty(&request.base_ref),
            task_id: not_empty(&request.task_id),
            codex_queue: Some(&route.queue),
            codex_volume: route.volume.as_deref(),
            codex_shard_index: route.shard_index,
            hash_modulo: route.hash_modulo,
            artifacts_path: &format!("runs/{id}"),
            force_phase: request.force_phase,
            agent: request.agent,
            requested_by: &request.requested_by,
            notes: &request.notes,
            idempotency_key: not_empty(&request.idempotency_key),
            options: serde_json::to_value(&request.options)?,
        },
    )
    .await?;

    let mut ledger = Ledger::open(connection, run).await?;
    ledger.record(Event::RunChanged {
        status: ledger.run.status,
        phase: ledger.run.phase,
        failure: None,
        reason: None,
    });
    ledger.record(Event::Diagnostics {
        queue: route.queue,
        volume: route.volume.unwrap_or_default(),
        shard_index: route.shard_index,
        worker_name: None,
        preflight_status: None,
    });
    advance::enqueue(connection, &mut ledger, stage, payload).await?;
    ledger.write(connection).await
}

/// What the first job works from. A forced publish takes the latest patch of the feature.
async fn payload(connection: &mut Connection, request: &Request, stage: Stage) -> Result<Payload, Error> {
    if stage != Stage::Publish {
        return Ok(Payload::default());
    }
    let submit = jobs::latest_submit_of_feature(connection, &request.repository, &request.feature_key).await?;
    if let Some(job) = submit
        && let Some(Outcome::Submit(submitted)) = job.outcome()
    {
        return Ok(Payload {
            discover: job.payload().discover,
            submit: Some(submitted),
            ..Payload::default()
        });
    }
    let message = "there is no patch of this feature to publish: run it without force_phase, or with force_phase submit, first";
    Err(domain::Error::precondition("PATCH_MISSING", message).into())
}

fn not_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
