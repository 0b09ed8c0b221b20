//! The frames that a scripted worker sends.

use moorline_proto::v1::{self, ConnectRequest, connect_request::Frame};
use uuid::Uuid;

use super::{
    super::journal::{Accepted, News, mark},
    Args,
    held::Held,
};
use crate::skills;

pub fn frame(frame: Frame) -> ConnectRequest {
    ConnectRequest { frame: Some(frame) }
}

pub fn hello<'a>(args: &Args, instance: Uuid, held: impl Iterator<Item = &'a Held>) -> ConnectRequest {
    let volume = args.queue.strip_prefix("codex-").map(|index| v1::VolumeBinding {
        volume: format!("codex_auth_{index}"),
        queue: args.queue.clone(),
        diagnostics: Some(v1::VolumeDiagnostics {
            volume: format!("codex_auth_{index}"),
            exists: true,
            ..Default::default()
        }),
        preflight: Some(v1::Preflight {
            status: v1::PreflightStatus::Passed.into(),
            rung: v1::PreflightRung::Present.into(),
            message: "Logged in using an API key".to_owned(),
            exit_code: Some(0),
            volume: format!("codex_auth_{index}"),
            queue: args.queue.clone(),
            worker_name: args.name.clone(),
            ..Default::default()
        }),
        capacity: 1,
    });
    let inventory = held.map(|job| v1::HeldJob {
        job_id: job.accepted.job.to_string(),
        lease_token: job.accepted.token,
        finished: job.finished(),
        last_sequence: job.last(),
    });
    frame(Frame::Hello(v1::Hello {
        worker_name: args.name.clone(),
        instance_id: instance.to_string(),
        protocol_version: 1,
        hostname: "soak".to_owned(),
        version: "soak".to_owned(),
        queues: vec![args.queue.clone()],
        slots: args.slots,
        volume,
        inventory: inventory.collect(),
        profile: Some(skills::profile(skills::usual())),
        ..Default::default()
    }))
}

pub fn credit(args: &Args, jobs: i32) -> ConnectRequest {
    frame(Frame::Credit(v1::Credit {
        queue: args.queue.clone(),
        jobs,
    }))
}

pub fn accept(accepted: &Accepted) -> ConnectRequest {
    frame(Frame::Accept(v1::Accept {
        job_id: accepted.job.to_string(),
        lease_token: accepted.token,
    }))
}

pub fn reject(accepted: &Accepted) -> ConnectRequest {
    frame(Frame::Reject(v1::Reject {
        job_id: accepted.job.to_string(),
        lease_token: accepted.token,
        reason: "soak".to_owned(),
    }))
}

/// The same for the same lease, number and news, whoever sends it and however often.
pub fn report(accepted: &Accepted, sequence: i64, news: News) -> ConnectRequest {
    use v1::finished::Outcome;
    let failure = |class: v1::FailureClass| {
        Outcome::Failure(v1::Failure {
            code: "SOAK".to_owned(),
            message: mark(accepted.token),
            class: class.into(),
            ..Default::default()
        })
    };
    let outcome = match news {
        News::Progress => None,
        News::Succeeded => Some(Outcome::Result(result(accepted, true))),
        News::NothingToDo => Some(Outcome::Result(result(accepted, false))),
        News::Failed => Some(failure(v1::FailureClass::Job)),
        News::Broke => Some(failure(v1::FailureClass::Environment)),
        News::Stopped => Some(Outcome::Stopped(v1::Stopped { how: "stopped".to_owned() })),
    };
    let news = match outcome {
        Some(outcome) => v1::report::News::Finished(v1::Finished {
            outcome: Some(outcome),
            execution: None,
        }),
        None => v1::report::News::Progress(v1::StageProgress {
            message: format!("{} report {sequence}", mark(accepted.token)),
            ..Default::default()
        }),
    };
    frame(Frame::Report(v1::Report {
        job_id: accepted.job.to_string(),
        lease_token: accepted.token,
        sequence,
        news: Some(news),
    }))
}

fn result(accepted: &Accepted, work: bool) -> v1::JobResult {
    use v1::job_result::Result;
    let (mark, commit) = (mark(accepted.token), "a".repeat(40));
    let result = match accepted.stage.as_str() {
        "discover" => Result::Discover(v1::DiscoverResult {
            base_ref: mark,
            base_commit: commit,
            phase: work.then(|| v1::TaskPhase {
                number: "1".to_owned(),
                title: "Soak".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        "submit" => Result::Submit(v1::SubmitResult {
            codex_task_id: mark,
            base_commit: commit,
            patch_artifact_id: Uuid::nil().to_string(),
            files_changed: 1,
            ..Default::default()
        }),
        _ => Result::Publish(v1::PublishResult {
            branch_name: mark,
            commit,
            ..Default::default()
        }),
    };
    v1::JobResult { result: Some(result) }
}
