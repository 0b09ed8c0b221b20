//! Frames of the worker stream.

use chrono::{DateTime, Utc};
use moorline_proto::v1;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::{document, duration, id, job, preflight, skill, timestamp};
use crate::{
    db::runs::Run,
    domain::{self, preflight::Preflight, routing, run::Phase, stage::Stage, volume::Seen},
    flow::{
        Timers,
        claim::Claimed,
        register::{Binding, Held, Hello, Registered},
        report::{End, News},
    },
};

/// The protocol that this server speaks.
pub const PROTOCOL_VERSION: i32 = 1;

/// A worker's introduction out of its first frame.
///
/// # Errors
///
/// `PROTOCOL_VERSION`, `INVALID_ID`.
pub fn hello(wire: v1::Hello) -> Result<Hello, domain::Error> {
    if wire.protocol_version != PROTOCOL_VERSION {
        let message = format!(
            "the worker speaks protocol {}, this server {PROTOCOL_VERSION}: run worker and server of the same release",
            wire.protocol_version
        );
        return Err(domain::Error::precondition("PROTOCOL_VERSION", message).with("supported", PROTOCOL_VERSION.to_string()));
    }
    let binding = |binding: v1::VolumeBinding| Binding {
        seen: binding.diagnostics.map(|seen| document::seen(seen, Some(binding.capacity))),
        preflight: binding.preflight.map(preflight::check),
        volume: binding.volume,
        queue: binding.queue,
    };
    let (profile, skills) = document::profile(wire.profile.unwrap_or_default());
    Ok(Hello {
        instance_id: id("instance_id", &wire.instance_id)?,
        sealing_key: <[u8; 32]>::try_from(&*wire.sealing_key).ok(),
        profile,
        skills,
        volume: wire.volume.map(binding),
        inventory: wire.inventory.iter().map(held).collect::<Result<_, _>>()?,
        worker_name: wire.worker_name,
        hostname: wire.hostname,
        version: wire.version,
        queues: wire.queues,
        slots: wire.slots,
    })
}

fn held(wire: &v1::HeldJob) -> Result<Held, domain::Error> {
    Ok(Held {
        job_id: id("job_id", &wire.job_id)?,
        lease_token: wire.lease_token,
        finished: wire.finished,
        last_sequence: wire.last_sequence,
    })
}

/// The answer to Hello.
pub fn welcome(registered: &Registered, timers: &Timers) -> v1::Welcome {
    let held = |held: &Held| v1::HeldJob {
        job_id: held.job_id.to_string(),
        lease_token: held.lease_token,
        finished: held.finished,
        last_sequence: held.last_sequence,
    };
    v1::Welcome {
        session_id: registered.session_id.to_string(),
        ping_interval: Some(duration(timers.ping_interval)),
        ping_timeout: Some(duration(timers.ping_timeout)),
        lease_duration: Some(duration(timers.lease)),
        accept_deadline: Some(duration(timers.accept_deadline)),
        keep: registered.keep.iter().map(held).collect(),
        kill: registered.kill.iter().map(held).collect(),
        acknowledged: registered.acknowledged.iter().map(held).collect(),
        volume_generation: registered.volume_generation,
        fingerprint_key: registered.fingerprint_key.clone().into(),
    }
}

/// An offer of a claimed job.
pub fn offer(claimed: &Claimed) -> v1::Offer {
    let Claimed {
        job,
        run,
        lease_token,
        timeout,
        place,
        ..
    } = claimed;
    let payload = job.payload();
    v1::Offer {
        job_id: job.id.to_string(),
        run_id: run.id.to_string(),
        lease_token: *lease_token,
        stage: v1::Stage::from(job.stage).into(),
        attempt: job.attempt,
        queue: job.queue.clone(),
        timeout: Some(duration(*timeout)),
        traceparent: place.to_string(),
        decision: job.decision().map(skill::decision),
        spec: Some(v1::JobSpec {
            repository: run.repository.clone(),
            feature_key: run.feature_key.clone(),
            base_ref: run.base_ref.clone().unwrap_or_default(),
            branch_name: run.branch_name.clone(),
            agent: v1::Agent::from(run.agent).into(),
            run_started_at: Some(timestamp(started_at(run))),
            discover: payload.discover.map(job::discover_message),
            submit: payload.submit.map(job::submit_message),
            volume: if job.stage == Stage::Submit {
                run.codex_volume.clone().unwrap_or_default()
            } else {
                String::new()
            },
            shard_index: routing::shard_index(&job.queue).and_then(|index| i32::try_from(index).ok()),
            volume_generation: claimed.volume_generation,
        }),
    }
}

/// The date of the run's commit, the same for every attempt. A run starts when its first job is accepted, and an offer is made before that:
/// where publish is that first job, the run's creation stands for its start.
fn started_at(run: &Run) -> DateTime<Utc> {
    let publish_is_first = run.force_phase == Some(Phase::Publish);
    run.started_at.filter(|_| !publish_is_first).unwrap_or(run.created_at)
}

/// What a worker says of its volume, as far as it is of this one.
pub fn volume_report(wire: v1::VolumeReport, volume: &str) -> (Option<Preflight>, Option<Seen>) {
    let capacity = wire.capacity;
    let check = wire.preflight.filter(|check| check.volume == volume).map(preflight::check);
    let seen = wire.diagnostics.filter(|seen| seen.volume == volume);
    (check, seen.map(|seen| document::seen(seen, Some(capacity))))
}

/// A report out of its frame: the job, the lease, the number, the news.
///
/// # Errors
///
/// `INVALID_ID`, `INVALID_REPORT`, `INVALID_RESULT`.
pub fn report(wire: v1::Report) -> Result<(Uuid, i64, i64, News), domain::Error> {
    let missing = || {
        domain::Error::invalid(
            "report",
            "INVALID_REPORT",
            "a report needs news, and a finish an outcome: update the worker",
        )
    };
    let news = match wire.news.ok_or_else(missing)? {
        v1::report::News::Progress(progress) => News::Progress(clean(progress.message)?),
        v1::report::News::Preflight(check) => News::Preflight(clean(preflight::check(check))?),
        v1::report::News::VolumeDiagnostics(seen) => News::Seen(seen.volume.clone(), clean(document::seen(seen, None))?),
        v1::report::News::CredentialAudit(audit) => News::Audit(clean(super::audit::audit(audit))?),
        v1::report::News::Finished(finished) => {
            let execution = finished.execution.and_then(skill::execution_of).map(clean).transpose()?;
            let end = match finished.outcome.ok_or_else(missing)? {
                v1::finished::Outcome::Result(result) => End::Succeeded(clean(job::outcome(result)?)?),
                v1::finished::Outcome::Failure(failure) => End::Failed(clean(job::failure_of(failure))?),
                v1::finished::Outcome::Stopped(stopped) => End::Stopped(stopped.how),
            };
            News::Ended(end, execution.map(Box::new))
        }
    };
    Ok((id("job_id", &wire.job_id)?, wire.lease_token, wire.sequence, news))
}

/// A document without NUL characters. Postgres stores none, and what an agent or a repository has put into a report must not have it refused
/// for ever.
fn clean<T: Serialize + DeserializeOwned>(document: T) -> Result<T, domain::Error> {
    fn strip(value: &mut Value) {
        match value {
            Value::String(text) => text.retain(|c| c != '\0'),
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Object(fields) => fields.values_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let unreadable = |_| domain::Error::invalid("report", "INVALID_REPORT", "a report can't be stored: update the worker");
    let mut value = serde_json::to_value(document).map_err(unreadable)?;
    strip(&mut value);
    serde_json::from_value(value).map_err(unreadable)
}
