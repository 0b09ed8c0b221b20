//! What is told of a run's steps once they are committed: one line of the log each, what they add to the metrics, and their spans.
//!
//! Every step of a run or a job that a use case decides on comes by here, once, after the commit. Offers, which the claim makes in the database
//! itself, are told of by the claim.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use moorline_telemetry::{
    about::About,
    metric, step,
    trace::{Kind, Place, Span},
};
use uuid::Uuid;

use super::Topic;
use crate::{
    db::{
        jobs::{Job, Offered},
        runs::Run,
    },
    domain::{
        event::Event,
        job::{self, Failure, HoldReason},
        preflight::Preflight,
        run,
    },
    metrics,
};

/// A run as it was before, for what has become of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// Its status; none for a new run.
    pub(super) status: Option<run::Status>,
    /// How many jobs it had.
    pub(super) jobs: usize,
}

/// Tells of what has happened to a run, in order.
pub(super) fn tell(run: &Run, jobs: &[Job], before: Before, events: &[Event]) {
    let mut status = before.status;
    for (number, event) in events.iter().enumerate() {
        match event {
            Event::RunChanged {
                status: next,
                failure,
                reason,
                ..
            } if status != Some(*next) => {
                status = Some(*next);
                of_run(run, jobs, *next, failure.as_ref(), reason.as_deref());
            }
            Event::JobChanged {
                job_id,
                status,
                hold_reason,
                failure,
                ..
            } => {
                let found = jobs.iter().enumerate().find(|(_, job)| job.id == *job_id);
                if let Some((index, job)) = found {
                    // What is made only to be ended at once was never in its queue.
                    if index >= before.jobs && moves_on(&events[number + 1..], *job_id) {
                        continue;
                    }
                    // A job that is queued already is parked or let go.
                    let moved = *status != job::Status::Queued || index >= before.jobs;
                    of_job(run, jobs, job, *status, (*hold_reason, moved), failure.as_ref());
                    if moved && *status == job::Status::Queued {
                        of_replaced(run, job);
                    }
                }
            }
            Event::Preflight(check) => of_check(run, jobs, check),
            _ => {}
        }
    }
}

/// Whether more happens to the job.
fn moves_on(events: &[Event], id: Uuid) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::JobChanged { job_id, .. } if *job_id == id))
}

/// Why there is another attempt of its stage.
fn failure_before(jobs: &[Job], job: &Job) -> Option<String> {
    let mut before = jobs.iter().rev().skip_while(|other| other.id != job.id).skip(1);
    Some(before.find(|other| other.stage == job.stage)?.failure()?.code)
}

fn of_run(run: &Run, jobs: &[Job], status: run::Status, failure: Option<&Failure>, reason: Option<&str>) {
    let place = jobs.first().map(Job::traceparent).unwrap_or_default();
    let about = About {
        queue: run.codex_queue.as_deref(),
        ..about(run, place)
    };
    let name: &'static str = status.into();
    metrics::RUNS.count([name.into()]);
    if let Some(finished) = run.finished_at.filter(|_| status.is_terminal()) {
        metrics::RUN_DURATION.took(between(run.created_at, finished), [name.into()]);
    }
    let (code, error) = told(failure);
    if status == run::Status::Pending {
        step!(info, about, status = name, repository = run.repository, feature_key = run.feature_key; "run {name}");
    } else {
        step!(info, about, status = name, code = code, error = error, reason = reason; "run {name}");
    }
}

fn of_job(run: &Run, jobs: &[Job], job: &Job, status: job::Status, (hold, moved): (Option<HoldReason>, bool), failure: Option<&Failure>) {
    let about = about_job(run, job);
    let name: &'static str = status.into();
    let hold: Option<&str> = hold.map(Into::into);
    if !moved {
        let what = if hold.is_some() { "held" } else { "let go" };
        return step!(info, about, status = name, hold_reason = hold; "job {what}");
    }
    let labels = || {
        [
            job.stage.to_string().into(),
            job.queue.clone().into(),
            name.into(),
            metric::attempt(job.attempt),
        ]
    };
    metrics::JOBS.count(labels());
    let (code, error) = told(failure);
    if let Some(failure) = failure {
        metrics::FAILURES.count([
            job.stage.to_string().into(),
            metrics::code(&failure.code),
            failure.class.to_string().into(),
        ]);
    }
    let took = match (job.started_at, job.finished_at) {
        (Some(started), Some(finished)) => Some((started, finished, between(started, finished))),
        _ => None,
    };
    if let Some((started, finished, took)) = took {
        metrics::JOB_DURATION.took(took, labels());
        span_of(&about, job, (started, finished), code, name);
    }
    if status == job::Status::Queued {
        let delay_ms = (job.not_before - job.created_at).num_milliseconds();
        let (avoids, after) = (job.avoid_worker.as_deref(), failure_before(jobs, job));
        return step!(info, about, status = name, hold_reason = hold, delay_ms = delay_ms, avoids = avoids, after = after; "job {name}");
    }
    count_way(job, name);
    let duration_ms = took.map(|(.., took)| millis(took));
    step!(info, about, status = name, duration_ms = duration_ms, code = code, error = error; "job {name}");
}

/// Counts the way that an attempt went, once it has ended.
fn count_way(job: &Job, outcome: &'static str) {
    let Some(execution) = job.execution() else {
        return;
    };
    let (stage, path) = (job.stage.to_string(), execution.execution_path.to_string());
    let skill = metrics::skill(&execution.selected_skill);
    metrics::EXECUTIONS.count([stage.clone().into(), skill, path.clone().into(), outcome.into()]);
    if job.started_at.is_some() {
        let took = Duration::from_millis(u64::try_from(execution.duration_ms).unwrap_or_default());
        metrics::EXECUTION_DURATION.took(took, [stage.clone().into(), path.into()]);
    }
    if let Some(shadow) = execution.shadow {
        metrics::SHADOWS.count([stage.into(), shadow.status.to_string().into()]);
    }
}

/// Says that the stage has another skill than the one that was asked for.
fn of_replaced(run: &Run, job: &Job) {
    let Some(decision) = job.decision().filter(|decision| !decision.replaced_skill.is_empty()) else {
        return;
    };
    let (replaced, selected) = (decision.replaced_skill.as_str(), decision.selected_skill.as_str());
    step!(warn, about_job(run, job), replaced_skill = replaced, selected_skill = selected; "skill {replaced} isn't allowed: {selected} takes its place");
}

fn of_check(run: &Run, jobs: &[Job], check: &Preflight) {
    let (status, rung): (&'static str, &'static str) = (check.status.into(), check.rung.map_or("", Into::into));
    let volume = run.codex_volume.clone().unwrap_or_default();
    metrics::PREFLIGHTS.count([volume.clone().into(), status.into(), rung.into()]);
    let took = Duration::from_millis(u64::try_from(check.duration_ms).unwrap_or_default());
    metrics::PREFLIGHT_DURATION.took(took, [volume.into()]);
    let job = jobs.iter().rev().find(|job| job.status == job::Status::Running);
    let about = About {
        preflight: Some(status),
        ..job.map_or_else(|| about(run, ""), |job| about_job(run, job))
    };
    step!(info, about, rung = rung, found = check.message; "login checked");
}

/// Tells of an offer, and returns the place in the trace below which its worker goes on.
pub(super) fn of_offer(run: &Run, job: &Job, offered_at: DateTime<Utc>) -> Place {
    let about = about_job(run, job);
    let (stage, queue) = (job.stage.to_string(), job.queue.clone());
    let since = job.created_at.max(job.not_before);
    metrics::JOBS.count([
        stage.clone().into(),
        queue.clone().into(),
        "offered".into(),
        metric::attempt(job.attempt),
    ]);
    metrics::CLAIM_WAIT.took(between(since, offered_at), [stage.into(), queue.into()]);
    step!(info, about, status = "offered", lease_token = job.lease_token; "job offered");
    if job.traceparent().is_empty() {
        return Place::default();
    }
    let above = Place::parse(job.traceparent());
    let mut span = Span::begun(SystemTime::from(since), format!("queue {}", job.stage), Kind::Producer, &above);
    describe(&mut span, &about);
    let place = span.place();
    span.end_at(SystemTime::from(offered_at));
    place
}

/// Tells of offers that were taken back, after the commit, and why. Returns their queues.
pub(super) fn of_returns(returned: Vec<Offered>, reason: &str) -> Vec<Topic> {
    for Offered { job, run } in &returned {
        let about = about_job(run, job);
        step!(info, about, status = "queued", lease_token = job.lease_token, reason = reason; "offer taken back");
    }
    returned.into_iter().map(|offered| Topic::Queue(offered.job.queue)).collect()
}

fn span_of(about: &About<'_>, job: &Job, (started, finished): (DateTime<Utc>, DateTime<Utc>), code: Option<&str>, status: &str) {
    if job.traceparent().is_empty() {
        return;
    }
    let above = Place::parse(job.traceparent());
    let mut span = Span::begun(SystemTime::from(started), format!("job {}", job.stage), Kind::Internal, &above);
    describe(&mut span, about);
    span.set("moorline.status", status.to_owned());
    if let Some(code) = code {
        span.fail(code);
    }
    span.end_at(SystemTime::from(finished));
}

fn describe(span: &mut Span, about: &About<'_>) {
    let texts = [
        ("moorline.run_id", Some(about.run_id.to_string())),
        ("moorline.job_id", about.job_id.map(ToString::to_string)),
        ("moorline.queue", about.queue.map(str::to_owned)),
        ("moorline.volume", about.volume.map(str::to_owned)),
        ("moorline.worker", about.worker.map(str::to_owned)),
        ("moorline.preflight", about.preflight.map(str::to_owned)),
        ("moorline.skill", about.skill.map(str::to_owned)),
        ("moorline.execution_path", about.execution_path.map(str::to_owned)),
        ("moorline.used_fallback", about.used_fallback.map(|used| used.to_string())),
        ("moorline.shadow", about.shadow.map(str::to_owned)),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            span.set(name, text);
        }
    }
    for (name, number) in [("moorline.attempt", about.attempt), ("moorline.shard_index", about.shard_index)] {
        if let Some(number) = number {
            span.set(name, i64::from(number));
        }
    }
}

fn about<'a>(run: &'a Run, traceparent: &'a str) -> About<'a> {
    About {
        volume: run.codex_volume.as_deref(),
        shard_index: run.codex_shard_index,
        preflight: run.codex_preflight_status.map(Into::into),
        // Version, trace and parent, with hyphens between them.
        trace_id: traceparent.split('-').nth(1),
        ..About::run(&run.id)
    }
}

fn about_job<'a>(run: &'a Run, job: &'a Job) -> About<'a> {
    let way = job.way();
    About {
        skill: way.skill,
        execution_path: way.execution_path,
        used_fallback: way.used_fallback,
        shadow: way.shadow,
        job_id: Some(&job.id),
        stage: Some(job.stage.into()),
        attempt: Some(job.attempt),
        queue: Some(&job.queue),
        worker: job.worker_name.as_deref(),
        ..about(run, job.traceparent())
    }
}

fn told(failure: Option<&Failure>) -> (Option<&str>, Option<&str>) {
    (
        failure.map(|failure| failure.code.as_str()),
        failure.map(|failure| failure.message.as_str()),
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}
