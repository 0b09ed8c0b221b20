//! A client starts a run.

use std::collections::HashMap;

use diesel_async::AsyncConnection as _;
use sha2::{Digest as _, Sha256};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    Error, Flow, Hints, Timers,
    group::{self, Group, Item},
    ledger::{Ledger, Ledgers, Written},
    route,
    skill::{self, Policies},
};
use crate::{
    db::{
        self, Connection, jobs,
        runs::{self, Run},
        shards::{self, Routing},
    },
    domain::{
        self,
        event::Event,
        job::Payload,
        repository,
        run::{self, Agent, OnShardUnavailable, Options, Phase},
        shard,
        skill::Policy,
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
    /// The client's place in a trace; empty for none.
    #[serde(skip)]
    pub traceparent: String,
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
/// What is wrong with the request; `SKILL_NOT_ALLOWED`, `SKILL_UNKNOWN`; `QUEUE_OF_OTHER_AGENT`, `RUN_ALREADY_OPEN`, `IDEMPOTENCY_KEY_REUSED`, `SHARD_UNAVAILABLE`, `PATCH_MISSING`.
pub async fn start(flow: &Flow, mut request: Request) -> Result<(Run, bool), Error> {
    check(&request)?;
    request.options.request_digest = hex::encode(Sha256::digest(serde_json::to_vec(&request)?));

    if !request.idempotency_key.is_empty()
        && let Some(existing) = repeated(&mut *flow.connection().await?, &request).await?
    {
        return Ok((existing, true));
    }
    let asked = Asked {
        id: Uuid::now_v7(),
        payload: Payload {
            traceparent: request.traceparent.clone(),
            ..payload(flow, &request).await?
        },
        request: request.clone(),
    };
    let id = asked.id;
    match flow.starts.groups.take(asked).await {
        Ok(Some(run)) => return Ok((run, false)),
        Ok(None) => {}
        Err(error) if error.is("SKILL_NOT_ALLOWED") => return Err(skill::refused(flow, error).await),
        Err(error) => return Err(error),
    }
    // Another call was faster: with the same request, or with another one for the feature.
    let mut connection = flow.connection().await?;
    if let Some(existing) = repeated(&mut connection, &request).await? {
        return Ok((existing, true));
    }
    match runs::open_of_feature(&mut connection, &request.repository, &request.feature_key).await? {
        // The group was written twice, since the answer to the first commit was lost.
        Some(open) if open.id == id => Ok((open, false)),
        Some(open) => Err(already_open(&open)),
        // It has ended in the meantime.
        None => Err(constraint_of_open_runs()),
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
fn already_open(open: &Run) -> Error {
    let message = format!(
        "this feature has an open run already, {0}: watch it (moorline run watch {0}) or cancel it (moorline run cancel {0})",
        open.id
    );
    domain::Error::already_exists("RUN_ALREADY_OPEN", message)
        .with("run_id", open.id.to_string())
        .into()
}

fn constraint_of_open_runs() -> Error {
    let message = "this feature had an open run, which has just ended: create the run again";
    domain::Error::already_exists("RUN_ALREADY_OPEN", message).into()
}

/// The same for a run that is to be retried.
pub(super) async fn already_open_error(connection: &mut Connection, run_id: Uuid) -> Result<Option<Error>, Error> {
    let Some(run) = runs::find(connection, run_id).await? else {
        return Ok(None);
    };
    let open = runs::open_of_feature(connection, &run.repository, &run.feature_key).await?;
    Ok(open.as_ref().map(already_open))
}

/// What the first job works from. A forced publish takes the latest patch of the feature.
async fn payload(flow: &Flow, request: &Request) -> Result<Payload, Error> {
    if first_stage(request) != Stage::Publish {
        return Ok(Payload::default());
    }
    let mut connection = flow.connection().await?;
    let submit = jobs::latest_submit_of_feature(&mut connection, &request.repository, &request.feature_key).await?;
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

fn first_stage(request: &Request) -> Stage {
    run::stages(request.force_phase).first().copied().unwrap_or(Stage::Discover)
}

/// A run that is to be inserted.
#[derive(Debug, Clone)]
struct Asked {
    id: Uuid,
    request: Request,
    payload: Payload,
}

/// Where runs are brought to be inserted, group by group.
#[derive(Debug, Clone)]
pub struct Starts {
    /// The answer is `None` when an index refuses the run.
    groups: Group<Asked, Option<Run>>,
}

impl Starts {
    /// Starts the group.
    pub fn start(pool: &db::Pool, hints: &Hints, policies: &Policies, timers: Timers, tasks: &TaskTracker) -> Self {
        let (pool, hints, policies) = (pool.clone(), hints.clone(), policies.clone());
        let groups = Group::start("starts", tasks, move |group| {
            let (pool, hints, policies) = (pool.clone(), hints.clone(), policies.clone());
            async move { flush(&pool, &hints, &policies, timers, group).await }
        });
        Self { groups }
    }
}

async fn flush(pool: &db::Pool, hints: &Hints, policies: &Policies, timers: Timers, group: Vec<Item<Asked, Option<Run>>>) {
    let asked: Vec<Asked> = group.iter().map(|item| item.item.clone()).collect();
    let mut again = super::Again::default();
    let inserted = loop {
        match insert(pool, policies, timers, &asked).await {
            Err(error) if again.after(&error) => {}
            inserted => break inserted,
        }
    };
    match inserted {
        Ok((written, mut refused)) => {
            let mut runs: HashMap<Uuid, Run> = written.announce(hints).into_iter().map(|run| (run.id, run)).collect();
            for item in group {
                let id = item.item.id;
                let outcome = match (runs.remove(&id), refused.remove(&id)) {
                    (None, Some(error)) => Err(error),
                    (run, _) => Ok(run),
                };
                item.answer(outcome);
            }
        }
        // One run that the database can't take must not take the others with it.
        Err(Error::Database(_) | Error::Refused(_) | Error::Document(_)) if group.len() > 1 => {
            for item in group {
                Box::pin(flush(pool, hints, policies, timers, vec![item])).await;
            }
        }
        Err(error) => group::fail_all(group, error),
    }
}

/// Inserts runs, and says why some can't be: those have no queue to go to.
async fn insert(pool: &db::Pool, policies: &Policies, timers: Timers, asked: &[Asked]) -> Result<(Written, HashMap<Uuid, Error>), Error> {
    let mut connection = super::connection(pool).await?;
    let routing = shards::routing(&mut connection).await?;
    let policy = match routing.policy_version {
        Some(version) => Some(policies.of(&mut connection, version).await?),
        None => None,
    };
    let mut refused = HashMap::new();
    let mut ledgers = Vec::with_capacity(asked.len());
    for asked in asked {
        match begin(&routing, policy.as_deref(), timers, asked) {
            Ok(ledger) => ledgers.push(ledger),
            Err(error) => drop(refused.insert(asked.id, error)),
        }
    }
    let ledgers = Ledgers(ledgers);
    // What may be held needs the locks of the shards until it is committed; anything else is one statement.
    let written = if ledgers.may_hold() {
        connection.transaction(async |connection| ledgers.insert(connection).await).await?
    } else {
        ledgers.insert(&mut connection).await?
    };
    Ok((written, refused))
}

/// A run as it begins, with its first job.
fn begin(routing: &Routing, policy: Option<&Policy>, timers: Timers, asked: &Asked) -> Result<Ledger, Error> {
    let request = &asked.request;
    let route = route::resolve_in(
        routing,
        &route::Request {
            affinity_key: &request.affinity_key,
            repository: &request.repository,
            feature_key: &request.feature_key,
            task_id: &request.task_id,
            queue: &request.codex_queue,
            agent: Some(request.agent),
        },
    )?;
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
    let choices = &request.options.stage_skills;
    skill::check_stages(run::stages(request.force_phase), choices)?;
    policy.map_or(Ok(()), |policy| skill::check(policy, choices))?;
    let decisions = policy.map(|policy| skill::decide(policy, asked.id, run::stages(request.force_phase), choices));
    let stage = first_stage(request);
    let run = Run {
        id: asked.id,
        repository: request.repository.clone(),
        feature_key: request.feature_key.clone(),
        affinity_key: route.affinity_key,
        status: run::Status::Pending,
        phase: Phase::from(stage),
        branch_name: run::branch_name(&request.feature_key, asked.id),
        pr_url: None,
        base_ref: not_empty(&request.base_ref),
        task_id: not_empty(&request.task_id),
        codex_task_id: None,
        codex_queue: Some(route.queue.clone()),
        codex_volume: route.volume.clone(),
        codex_shard_index: route.shard_index,
        hash_modulo: route.hash_modulo,
        codex_preflight_status: None,
        codex_preflight_message: None,
        codex_logs_path: None,
        codex_patch_path: None,
        artifacts_path: format!("runs/{}", asked.id),
        force_phase: request.force_phase,
        agent: request.agent,
        requested_by: request.requested_by.clone(),
        notes: request.notes.clone(),
        idempotency_key: not_empty(&request.idempotency_key),
        options: serde_json::to_value(&request.options)?,
        last_event_sequence: 0,
        created_at: routing.now,
        started_at: None,
        finished_at: None,
        updated_at: routing.now,
        stage_decisions: decisions.map(serde_json::to_value).transpose()?,
    };
    let mut ledger = Ledger::new(run, Vec::new(), routing.now, timers);
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
    ledger.queue_job(stage, asked.payload.clone(), |job| {
        job.not_before = request.options.not_before.map_or(job.not_before, |asked| asked.max(job.not_before));
    })?;
    Ok(ledger)
}

fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
