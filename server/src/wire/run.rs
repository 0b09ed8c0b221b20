//! Runs, their events and artifacts.

use moorline_proto::v1;

use super::{job, known, moment, names, names::number, preflight, skill, timestamp};
use crate::{
    db::{artifacts, events, jobs::Job, runs::Run},
    domain::{self, event::Event, job::Failure, run},
};

/// A run as a message. `failure` is that of its last failed job.
pub fn message(run: &Run, failure: Option<Failure>) -> v1::Run {
    let failed = run.status == run::Status::Failed;
    let decisions = run.decisions();
    v1::Run {
        run_id: run.id.to_string(),
        repository: run.repository.clone(),
        feature_key: run.feature_key.clone(),
        affinity_key: run.affinity_key.clone(),
        status: v1::RunStatus::from(run.status).into(),
        phase: v1::Phase::from(run.phase).into(),
        branch_name: run.branch_name.clone(),
        pr_url: run.pr_url.clone().unwrap_or_default(),
        base_ref: run.base_ref.clone().unwrap_or_default(),
        task_id: run.task_id.clone().unwrap_or_default(),
        codex_task_id: run.codex_task_id.clone().unwrap_or_default(),
        codex_queue: run.codex_queue.clone().unwrap_or_default(),
        codex_volume: run.codex_volume.clone().unwrap_or_default(),
        codex_shard_index: run.codex_shard_index,
        hash_modulo: run.hash_modulo,
        codex_preflight_status: number::<_, v1::PreflightStatus>(run.codex_preflight_status),
        codex_preflight_message: run.codex_preflight_message.clone().unwrap_or_default(),
        codex_logs_path: run.codex_logs_path.clone().unwrap_or_default(),
        codex_patch_path: run.codex_patch_path.clone().unwrap_or_default(),
        artifacts_path: run.artifacts_path.clone(),
        force_phase: number::<_, v1::Phase>(run.force_phase),
        agent: v1::Agent::from(run.agent).into(),
        requested_by: run.requested_by.clone(),
        notes: run.notes.clone(),
        idempotency_key: run.idempotency_key.clone().unwrap_or_default(),
        options: Some(options(&run.options())),
        failure: failure.filter(|_| failed).map(job::failure),
        created_at: Some(timestamp(run.created_at)),
        started_at: run.started_at.map(timestamp),
        finished_at: run.finished_at.map(timestamp),
        updated_at: Some(timestamp(run.updated_at)),
        last_event_sequence: run.last_event_sequence,
        skill_policy_version: decisions.first().map_or(0, |decision| decision.policy_version),
        stage_decisions: decisions.into_iter().map(skill::decision).collect(),
    }
}

/// Why a run failed: why its last failed job did.
pub fn failure_of(jobs: &[Job]) -> Option<Failure> {
    jobs.iter().rev().find_map(Job::failure)
}

fn options(options: &run::Options) -> v1::RunOptions {
    v1::RunOptions {
        priority: options.priority,
        on_shard_unavailable: v1::ShardUnavailablePolicy::from(options.on_shard_unavailable).into(),
        on_auth_failure: v1::AuthFailurePolicy::from(options.on_auth_failure).into(),
        agent_timeout: options.agent_timeout_seconds.map(seconds),
        not_before: options.not_before.map(timestamp),
        queue_timeout: options.queue_timeout_seconds.map(seconds),
        stage_skills: options.stage_skills.iter().map(skill::choice).collect(),
    }
}

fn seconds(seconds: u32) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::from(seconds),
        nanos: 0,
    }
}

/// The client's choices out of a message.
///
/// # Errors
///
/// `INVALID_AGENT_TIMEOUT`, unless it is between a second and a day; `INVALID_QUEUE_TIMEOUT`, unless it is between a second and 30 days;
/// `INVALID_TIME`; `INVALID_STAGE_SKILLS`, `INVALID_SKILL_NAME`; `UNKNOWN_VALUE`.
pub fn options_of(wire: &v1::RunOptions) -> Result<run::Options, domain::Error> {
    const DAY: i64 = 86_400;
    let agent_timeout_seconds = within(wire.agent_timeout, DAY).map_err(|()| {
        let message = "agent_timeout must be between one second and one day";
        domain::Error::invalid("options.agent_timeout", "INVALID_AGENT_TIMEOUT", message)
    })?;
    let queue_timeout_seconds = within(wire.queue_timeout, 30 * DAY).map_err(|()| {
        let message = "queue_timeout must be between one second and 30 days: leave it out for the server's default";
        domain::Error::invalid("options.queue_timeout", "INVALID_QUEUE_TIMEOUT", message)
    })?;
    let not_before = moment("options.not_before", wire.not_before.as_ref())?;
    Ok(run::Options {
        priority: wire.priority,
        on_shard_unavailable: known::<_, v1::ShardUnavailablePolicy>("options.on_shard_unavailable", wire.on_shard_unavailable)?
            .unwrap_or_default(),
        on_auth_failure: known::<_, v1::AuthFailurePolicy>("options.on_auth_failure", wire.on_auth_failure)?.unwrap_or_default(),
        agent_timeout_seconds,
        not_before,
        queue_timeout_seconds,
        stage_skills: skill::choices_of("options.stage_skills", &wire.stage_skills)?,
        request_digest: String::new(),
    })
}

/// Whole seconds of a duration from one second to `most` seconds.
fn within(duration: Option<prost_types::Duration>, most: i64) -> Result<Option<u32>, ()> {
    match duration {
        None => Ok(None),
        Some(duration) if (1..=most).contains(&duration.seconds) => u32::try_from(duration.seconds).map(Some).map_err(|_| ()),
        Some(_) => Err(()),
    }
}

/// An artifact as a message.
pub fn artifact(row: &artifacts::Row) -> v1::Artifact {
    v1::Artifact {
        artifact_id: row.id.to_string(),
        run_id: row.run_id.to_string(),
        r#type: names::artifact_type_number(&row.kind),
        path: row.path.clone(),
        content_type: row.content_type.clone(),
        size_bytes: row.size_bytes,
        digest: row.digest.clone(),
        created_at: Some(timestamp(row.created_at)),
    }
}

/// An event as a message; `None` for one that this version doesn't know, which only a newer server could have written.
pub fn event(row: &events::Row) -> Option<v1::RunEvent> {
    use v1::run_event::Event as Wire;
    let event = match serde_json::from_value(row.body.clone()).ok()? {
        Event::RunChanged {
            status,
            phase,
            failure,
            reason,
        } => Wire::RunChanged(v1::RunChanged {
            status: v1::RunStatus::from(status).into(),
            phase: v1::Phase::from(phase).into(),
            failure: failure.map(job::failure),
            reason: reason.unwrap_or_default(),
        }),
        Event::JobChanged {
            job_id,
            stage,
            attempt,
            status,
            queue,
            worker_name,
            hold_reason,
            failure,
            decision,
            execution,
        } => Wire::JobChanged(v1::JobChanged {
            job_id: job_id.to_string(),
            stage: v1::Stage::from(stage).into(),
            attempt,
            status: v1::JobStatus::from(status).into(),
            queue,
            worker_name: worker_name.unwrap_or_default(),
            hold_reason: number::<_, v1::HoldReason>(hold_reason),
            failure: failure.map(job::failure),
            decision: decision.map(|decision| skill::decision(*decision)),
            execution: execution.map(|execution| skill::execution(*execution)),
        }),
        Event::Preflight(check) => Wire::Preflight(v1::Preflight {
            checked_at: Some(timestamp(row.created_at)),
            ..preflight::check_message(check)
        }),
        Event::CredentialAudit(audit) => Wire::CredentialAudit(v1::CredentialAudit {
            checked_at: Some(timestamp(row.created_at)),
            ..super::audit::message(audit)
        }),
        Event::ArtifactStored {
            artifact_id,
            artifact_type,
            path,
            content_type,
            size_bytes,
            digest,
        } => Wire::ArtifactStored(v1::Artifact {
            artifact_id: artifact_id.to_string(),
            run_id: row.run_id.to_string(),
            r#type: names::artifact_type_number(&artifact_type),
            path,
            content_type,
            size_bytes,
            digest,
            created_at: Some(timestamp(row.created_at)),
        }),
        Event::Diagnostics {
            queue,
            volume,
            shard_index,
            worker_name,
            preflight_status,
        } => Wire::Diagnostics(v1::RunDiagnostics {
            queue,
            volume,
            shard_index,
            worker_name: worker_name.unwrap_or_default(),
            preflight_status: number::<_, v1::PreflightStatus>(preflight_status),
        }),
        Event::Progress { job_id, stage, message } => Wire::Progress(v1::StageProgress {
            job_id: job_id.to_string(),
            stage: v1::Stage::from(stage).into(),
            message,
        }),
    };
    Some(v1::RunEvent {
        run_id: row.run_id.to_string(),
        sequence: row.sequence,
        created_at: Some(timestamp(row.created_at)),
        event: Some(event),
    })
}
