//! Jobs are offered only while their shard's login is known good; what waits says why, and what can't wait fails with the check's words.
//!
//! Contract: 001/FR-012, 001/FR-025.

use std::time::Duration;

use moorline_proto::v1::{self, command::Command as Asked, command_result::Result as Answer, connect_request, connect_response::Frame};
use moorline_server::flow::Timers;

use crate::support::{
    ScriptedWorker, TestApp,
    app::request,
    eventually,
    scripted_worker::{check, failed_by, finished, shard_hello, submitted},
};

const REMEDY: &str = "volume codex_auth_1 holds no login: moorline volume login codex_auth_1";

/// A run that begins with its submit on codex-1.
fn submit(feature: &str, on_auth_failure: v1::AuthFailurePolicy) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        force_phase: v1::Phase::Submit.into(),
        codex_queue: "codex-1".to_owned(),
        options: Some(v1::RunOptions {
            on_auth_failure: on_auth_failure.into(),
            ..v1::RunOptions::default()
        }),
        ..request(feature)
    }
}

fn bad() -> v1::Preflight {
    check("w", 1, v1::PreflightStatus::Failed, REMEDY)
}

fn rung(rung: v1::PreflightRung, message: &str) -> v1::Preflight {
    let passed = matches!(
        rung,
        v1::PreflightRung::Present | v1::PreflightRung::Unexpired | v1::PreflightRung::Proven
    );
    let status = if passed {
        v1::PreflightStatus::Passed
    } else {
        v1::PreflightStatus::Failed
    };
    v1::Preflight {
        rung: rung.into(),
        ..check("w", 1, status, message)
    }
}

/// A shard's worker whose check at start was this one.
async fn worker_with(app: &TestApp, preflight: v1::Preflight) -> ScriptedWorker {
    let mut hello = shard_hello("w", 1);
    if let Some(binding) = &mut hello.volume {
        binding.preflight = Some(preflight);
    }
    let worker = ScriptedWorker::connect(app, hello).await.expect("a session");
    worker.credit("codex-1", 1).await;
    worker
}

/// The next command, whatever else comes before it.
pub async fn command(worker: &mut ScriptedWorker) -> v1::Command {
    loop {
        match worker.next().await.expect("a stream") {
            Some(Frame::Command(command)) => return command,
            Some(Frame::Offer(offer)) => panic!("an offer came first: {offer:?}"),
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
}

pub async fn answer(worker: &ScriptedWorker, command: v1::Command, result: Answer) {
    let result = v1::CommandResult {
        command_id: command.command_id,
        result: Some(result),
    };
    worker.send(connect_request::Frame::CommandResult(result)).await;
}

pub fn checked(preflight: v1::Preflight) -> Answer {
    Answer::VolumeChecked(v1::VolumeChecked {
        preflight: Some(preflight),
        ..v1::VolumeChecked::default()
    })
}

async fn renew(worker: &ScriptedWorker, preflight: v1::Preflight) {
    let report = v1::VolumeReport {
        preflight: Some(preflight),
        ..v1::VolumeReport::default()
    };
    worker.send(connect_request::Frame::VolumeReport(report)).await;
}

/// Why the run's one waiting job waits.
async fn hold(app: &TestApp, run: &v1::Run) -> v1::HoldReason {
    let jobs = app.get(&run.run_id).await.jobs;
    jobs.last().map_or(v1::HoldReason::Unspecified, v1::Job::hold_reason)
}

async fn held(app: &TestApp, run: &v1::Run, reason: v1::HoldReason) {
    eventually("the job says why it waits", async || (hold(app, run).await == reason).then_some(())).await;
}

async fn shard(app: &TestApp) -> v1::Shard {
    let request = v1::GetShardRequest {
        queue: "codex-1".to_owned(),
    };
    app.shards().get_shard(request).await.unwrap().into_inner().shard.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_login_is_bad_fails_at_once_with_the_words_of_the_check() {
    let app = TestApp::start().await;
    let _worker = worker_with(&app, bad()).await;
    let run = app.create_with(submit("001-a", v1::AuthFailurePolicy::Fail)).await.unwrap();
    let view = app.finished(&run.run_id).await;
    let run = view.run.unwrap();
    let failure = run.failure.clone().unwrap();
    assert_eq!(
        (run.status(), failure.code.as_str(), failure.class()),
        (v1::RunStatus::Failed, "NOT_LOGGED_IN", v1::FailureClass::Login)
    );
    assert_eq!((failure.message.as_str(), run.codex_preflight_message.as_str()), (REMEDY, REMEDY));
    assert_eq!(run.codex_preflight_status(), v1::PreflightStatus::Failed);
    assert_eq!(
        (view.jobs.len(), view.jobs[0].worker_name.as_str()),
        (1, ""),
        "no worker was offered the job"
    );
    let shard = shard(&app).await;
    let volume = shard.volume.clone().unwrap();
    assert_eq!(
        (shard.status(), shard.hold_reason(), volume.status(), volume.status_message.as_str()),
        (
            v1::ShardStatus::Active,
            v1::HoldReason::WaitingAuth,
            v1::VolumeStatus::NeedsAuth,
            REMEDY
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_says_why_and_goes_on_by_itself_after_the_renewal() {
    let app = TestApp::start().await;
    let mut worker = worker_with(&app, bad()).await;
    let run = app.create_with(submit("001-a", v1::AuthFailurePolicy::Wait)).await.unwrap();
    held(&app, &run, v1::HoldReason::WaitingAuth).await;
    renew(&worker, rung(v1::PreflightRung::Unexpired, "Logged in using ChatGPT")).await;
    let offer = worker.offer().await;
    assert_eq!((offer.run_id, offer.attempt), (run.run_id, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_says_of_its_login_shuts_the_gate_for_the_next_job_and_the_run_that_waits_gets_another_attempt() {
    let app = TestApp::start().await;
    let mut worker = worker_with(&app, rung(v1::PreflightRung::Unexpired, "good")).await;
    let first = app.create_with(submit("001-a", v1::AuthFailurePolicy::Wait)).await.unwrap();
    let second = app.create_with(submit("001-b", v1::AuthFailurePolicy::Fail)).await.unwrap();
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    let revoked = rung(v1::PreflightRung::Revoked, "the refresh token was already used: log in again");
    worker.report(&offer, 1, v1::report::News::Preflight(revoked)).await;
    worker
        .report(&offer, 2, finished(failed_by(v1::FailureClass::Login, "REVOKED")))
        .await;

    let failed = app.finished(&second.run_id).await.run.unwrap();
    assert_eq!(failed.failure.unwrap().code, "REVOKED");
    held(&app, &first, v1::HoldReason::WaitingAuth).await;
    assert_eq!(shard(&app).await.volume.unwrap().status(), v1::VolumeStatus::Error);

    renew(&worker, rung(v1::PreflightRung::Proven, "good again")).await;
    worker.credit("codex-1", 1).await;
    let offer = worker.offer().await;
    assert_eq!((offer.run_id.as_str(), offer.attempt), (first.run_id.as_str(), 2));
    worker.accept(&offer).await;
    worker.report(&offer, 1, finished(submitted(&uuid::Uuid::nil().to_string()))).await;
    assert_eq!(app.finished(&first.run_id).await.run.unwrap().status(), v1::RunStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_too_old_is_made_again_before_a_job_is_offered() {
    let timers = Timers {
        login_freshness: Duration::from_millis(1),
        ..Timers::default()
    };
    let app = TestApp::with_timers(timers).await;
    let mut worker = worker_with(&app, rung(v1::PreflightRung::Present, "good")).await;
    let run = app.create_with(submit("001-a", v1::AuthFailurePolicy::Fail)).await.unwrap();
    held(&app, &run, v1::HoldReason::CheckingLogin).await;
    let asked = command(&mut worker).await;
    assert!(matches!(&asked.command, Some(Asked::CheckVolume(check)) if check.volume == "codex_auth_1" && !check.probe));
    answer(&worker, asked, checked(bad())).await;
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().failure.unwrap().code, "NOT_LOGGED_IN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limited_login_is_left_alone_for_as_long_as_the_agent_said_and_then_checked() {
    let app = TestApp::start().await;
    let mut worker = worker_with(&app, rung(v1::PreflightRung::Unexpired, "good")).await;
    let limited = v1::Preflight {
        retry_after: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
        ..rung(v1::PreflightRung::RateLimited, "too many requests")
    };
    renew(&worker, limited).await;
    eventually("the account cools down", async || {
        (shard(&app).await.hold_reason() == v1::HoldReason::CoolingDown).then_some(())
    })
    .await;
    let run = app.create_with(submit("001-a", v1::AuthFailurePolicy::Fail)).await.unwrap();
    held(&app, &run, v1::HoldReason::CoolingDown).await;
    let asked = command(&mut worker).await;
    answer(&worker, asked, checked(rung(v1::PreflightRung::Present, "good"))).await;
    assert_eq!(worker.offer().await.run_id, run.run_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_could_not_be_made_says_nothing_of_the_login() {
    let app = TestApp::start().await;
    let mut worker = worker_with(&app, rung(v1::PreflightRung::Unexpired, "good")).await;
    renew(&worker, rung(v1::PreflightRung::EnvironmentBroken, "the engine does not answer")).await;
    eventually("the failure shows", async || {
        (shard(&app).await.volume.unwrap().status() == v1::VolumeStatus::Error).then_some(())
    })
    .await;
    let run = app.create_with(submit("001-a", v1::AuthFailurePolicy::Fail)).await.unwrap();
    assert_eq!(worker.offer().await.run_id, run.run_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_login_in_two_volumes_is_found_and_the_second_refused_with_both_names() {
    let app = TestApp::start().await;
    let seen = |volume: &str| v1::VolumeDiagnostics {
        volume: volume.to_owned(),
        exists: true,
        login_fingerprint: "ab".repeat(32),
        ..v1::VolumeDiagnostics::default()
    };
    let first = ScriptedWorker::shard_worker(&app, "w0", 0).await;
    let report = |volume: &str| {
        connect_request::Frame::VolumeReport(v1::VolumeReport {
            diagnostics: Some(seen(volume)),
            ..v1::VolumeReport::default()
        })
    };
    first.send(report("codex_auth_0")).await;
    eventually("the first is seen", async || {
        let request = v1::GetVolumeDiagnosticsRequest {
            volume: "codex_auth_0".to_owned(),
        };
        let seen = app.shards().get_volume_diagnostics(request).await.unwrap().into_inner();
        seen.diagnostics.filter(|seen| !seen.login_fingerprint.is_empty())
    })
    .await;
    let second = worker_with(&app, rung(v1::PreflightRung::Unexpired, "good")).await;
    second.send(report("codex_auth_1")).await;
    let volume = eventually("the second is refused", async || {
        let volume = shard(&app).await.volume.unwrap();
        (volume.rung() == v1::PreflightRung::Duplicate).then_some(volume)
    })
    .await;
    for told in ["codex_auth_0", "codex_auth_1", "moorline volume login codex_auth_1"] {
        assert!(
            volume.status_message.contains(told),
            "{told} is missing in: {}",
            volume.status_message
        );
    }
    // Its own check passes, which says nothing.
    renew(&second, rung(v1::PreflightRung::Present, "good")).await;
    let run = app.create_with(submit("001-a", v1::AuthFailurePolicy::Fail)).await.unwrap();
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().failure.unwrap().code, "DUPLICATE");
    let list = app.shards().list_shards(v1::ListShardsRequest {}).await.unwrap().into_inner();
    assert_eq!(list.shards[0].volume.clone().unwrap().status(), v1::VolumeStatus::Ready);
}
