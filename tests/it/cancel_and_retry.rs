//! CancelRun and RetryRun.
//!
//! Contract: 001/FR-011, 001/FR-012, 007/FR-016.

use moorline_proto::v1::{self, connect_response::Frame};

use crate::support::{
    ScriptedWorker, TestApp,
    app::request,
    artifact::upload,
    kind,
    scripted_worker::{discovered, failed, failed_by, finished, submitted},
};

async fn cancel(app: &TestApp, run_id: &str) -> Result<v1::Run, tonic::Status> {
    let request = v1::CancelRunRequest {
        run_id: run_id.to_owned(),
        reason: "test".to_owned(),
    };
    Ok(app.runs().cancel_run(request).await?.into_inner().run.expect("the run"))
}

async fn retry(app: &TestApp, run_id: &str, mode: v1::RetryMode) -> Result<v1::Run, tonic::Status> {
    let request = v1::RetryRunRequest {
        run_id: run_id.to_owned(),
        mode: mode.into(),
    };
    Ok(app.runs().retry_run(request).await?.into_inner().run.expect("the run"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_run_is_cancelled_at_once_and_stays_so() {
    let app = TestApp::start().await;
    let run = app.create("001-a").await;
    assert_eq!(cancel(&app, &run.run_id).await.unwrap().status(), v1::RunStatus::Cancelled);
    assert_eq!(cancel(&app, &run.run_id).await.unwrap().status(), v1::RunStatus::Cancelled);
    let jobs = app.get(&run.run_id).await.jobs;
    assert!(jobs.iter().all(|job| job.status() == v1::JobStatus::Cancelled));
    let events = app.events(&run.run_id).await;
    let last = events.last().unwrap().event.clone().unwrap();
    assert!(matches!(last, v1::run_event::Event::RunChanged(changed) if changed.reason == "test"));
    // The feature is free again.
    app.create("001-a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_told_to_stop_until_it_has() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-a").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    worker
        .report(&offer, 1, v1::report::News::Progress(v1::StageProgress::default()))
        .await;
    assert_eq!(worker.acknowledged().await, Some(1));

    assert_eq!(cancel(&app, &run.run_id).await.unwrap().status(), v1::RunStatus::Running);
    // Told more than once: the first telling may get lost.
    for _ in 0..2 {
        loop {
            match worker.next().await.unwrap() {
                Some(Frame::Cancel(frame)) => {
                    assert_eq!(
                        (frame.job_id.as_str(), frame.lease_token),
                        (offer.job_id.as_str(), offer.lease_token)
                    );
                    break;
                }
                Some(_) => {}
                None => panic!("the stream ended"),
            }
        }
    }
    let stopped = v1::finished::Outcome::Stopped(v1::Stopped { how: "stopped".to_owned() });
    worker.report(&offer, 2, finished(stopped)).await;
    let view = app.finished(&run.run_id).await;
    assert_eq!(view.run.expect("the run").status(), v1::RunStatus::Cancelled);
    assert_eq!(view.jobs[0].status(), v1::JobStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_comes_too_late_for_the_stage_still_ends_the_run_before_the_next() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-a").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    worker
        .report(&offer, 1, v1::report::News::Progress(v1::StageProgress::default()))
        .await;
    assert_eq!(worker.acknowledged().await, Some(1));
    cancel(&app, &run.run_id).await.unwrap();
    worker.report(&offer, 2, finished(discovered())).await;
    let view = app.finished(&run.run_id).await;
    assert_eq!(view.run.expect("the run").status(), v1::RunStatus::Cancelled);
    assert_eq!(view.jobs.len(), 1, "no further stage was queued");
}

/// The run is cancelled with all its jobs ended, and a worker with room hears nothing more of it.
async fn is_over(app: &TestApp, run_id: &str, worker: &mut ScriptedWorker) {
    assert_eq!(cancel(app, run_id).await.unwrap().status(), v1::RunStatus::Cancelled);
    let view = app.finished(run_id).await;
    assert_eq!(view.jobs.last().unwrap().status(), v1::JobStatus::Cancelled);
    worker.credit("default", 1).await;
    let next = app.create("999-next").await;
    assert_eq!(worker.offer().await.run_id, next.run_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_may_not_begin_yet_is_cancelled_at_once() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    let options = v1::RunOptions {
        not_before: Some(tomorrow.into()),
        ..Default::default()
    };
    let later = v1::CreateRunRequest {
        options: Some(options),
        ..request("001-a")
    };
    let run = app.create_with(later).await.unwrap();
    is_over(&app, &run.run_id, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_job_is_cancelled_at_once() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-greeting").await;
    worker.work("default", discovered()).await;
    let held = app.get(&run.run_id).await.jobs.pop().unwrap();
    assert_eq!(held.hold_reason(), v1::HoldReason::ShardOffline);
    is_over(&app, &run.run_id, &mut worker).await;
    // A worker that comes for the shard finds nothing.
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    shard.credit("codex-1", 1).await;
    shard.send(v1::connect_request::Frame::Ping(v1::Ping { nonce: 1 })).await;
    assert!(matches!(shard.next().await.unwrap(), Some(Frame::Pong(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_whose_run_was_cancelled_is_fenced_when_it_is_accepted() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-a").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    assert_eq!(cancel(&app, &run.run_id).await.unwrap().status(), v1::RunStatus::Cancelled);
    worker.accept(&offer).await;
    loop {
        match worker.next().await.unwrap() {
            Some(Frame::Fenced(fenced)) => break assert_eq!(fenced.lease_token, offer.lease_token),
            Some(Frame::Cancel(_)) => panic!("a job that has ended was to be cancelled"),
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
    is_over(&app, &run.run_id, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_its_next_attempt_is_cancelled_at_once() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-a").await;
    worker.work("default", failed_by(v1::FailureClass::Environment, "GIT_FAILED")).await;
    let waiting = app.get(&run.run_id).await.jobs.pop().unwrap();
    assert_eq!((waiting.attempt, waiting.status()), (2, v1::JobStatus::Queued));
    is_over(&app, &run.run_id, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_run_is_cancelled_at_once() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-a").await;
    worker.work("default", failed("TASKS_MISSING")).await;
    let retried = retry(&app, &run.run_id, v1::RetryMode::ResumeFailedStage).await.unwrap();
    assert_eq!(retried.status(), v1::RunStatus::Retrying);
    is_over(&app, &run.run_id, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_job_of_a_cancelled_run_is_told_to_stop_after_its_worker_is_back() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run = app.create("001-greeting").await;
    default.work("default", discovered()).await;
    shard.credit("codex-1", 1).await;
    let offer = shard.offer().await;
    shard.accept(&offer).await;
    shard
        .report(&offer, 1, v1::report::News::Progress(v1::StageProgress::default()))
        .await;
    assert_eq!(shard.acknowledged().await, Some(1));
    let held = v1::HeldJob {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        finished: false,
        last_sequence: 1,
    };
    let again = v1::Hello {
        inventory: vec![held],
        ..shard.hello.clone()
    };
    shard.vanish();
    assert_eq!(cancel(&app, &run.run_id).await.unwrap().status(), v1::RunStatus::Running);

    let mut back = ScriptedWorker::connect(&app, again).await.unwrap();
    loop {
        match back.next().await.unwrap() {
            Some(Frame::Cancel(frame)) => break assert_eq!((frame.job_id, frame.reason.as_str()), (offer.job_id.clone(), "test")),
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
    let stopped = v1::finished::Outcome::Stopped(v1::Stopped { how: "killed".to_owned() });
    back.report(&offer, 2, finished(stopped)).await;
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().status(), v1::RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_ended_can_not_be_cancelled_nor_an_open_one_retried() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-a").await;
    assert_eq!(
        kind(&retry(&app, &run.run_id, v1::RetryMode::Unspecified).await.unwrap_err()),
        "FailedPrecondition RUN_NOT_FAILED"
    );
    worker.work("default", failed("TASKS_MISSING")).await;
    app.finished(&run.run_id).await;
    assert_eq!(kind(&cancel(&app, &run.run_id).await.unwrap_err()), "FailedPrecondition RUN_ENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_resumes_at_the_failed_stage_with_what_was_found_before() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run = app.create("001-greeting").await;
    default.work("default", discovered()).await;
    shard.work("codex-1", failed("NO_CHANGES")).await;
    app.finished(&run.run_id).await;

    let retried = retry(&app, &run.run_id, v1::RetryMode::ResumeFailedStage).await.unwrap();
    assert_eq!((retried.status(), retried.finished_at), (v1::RunStatus::Retrying, None));
    shard.credit("codex-1", 1).await;
    let offer = shard.offer().await;
    assert_eq!((offer.stage(), offer.attempt), (v1::Stage::Submit, 2));
    assert!(offer.spec.expect("a spec").discover.expect("what discover found").phase.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_publish_uses_the_patch_that_is_stored() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run = app.create("001-greeting").await;
    default.work("default", discovered()).await;
    shard.credit("codex-1", 1).await;
    let offer = shard.offer().await;
    shard.accept(&offer).await;
    let patch = upload(&app, &offer, v1::ArtifactType::CodexPatch, b"a patch")
        .await
        .unwrap()
        .artifact_id;
    shard.report(&offer, 1, finished(submitted(&patch))).await;
    assert_eq!(shard.acknowledged().await, Some(1));
    default.work("default", failed("PUSH_REJECTED")).await;
    app.finished(&run.run_id).await;

    let retried = retry(&app, &run.run_id, v1::RetryMode::ResumeFailedStage).await.unwrap();
    assert_eq!((retried.phase(), retried.failure), (v1::Phase::Publish, None));
    default.credit("default", 1).await;
    let offer = default.offer().await;
    assert_eq!((offer.stage(), offer.attempt), (v1::Stage::Publish, 2));
    assert_eq!(offer.spec.unwrap().submit.unwrap().patch_artifact_id, patch);
    let jobs = app.get(&run.run_id).await.jobs;
    let stages: Vec<_> = jobs.iter().map(|job| (job.stage(), job.attempt)).collect();
    let expected = [
        (v1::Stage::Discover, 1),
        (v1::Stage::Submit, 1),
        (v1::Stage::Publish, 1),
        (v1::Stage::Publish, 2),
    ];
    assert_eq!(stages, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_can_start_over_and_a_newer_open_run_of_the_feature_forbids_it() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run = app.create("001-greeting").await;
    default.work("default", discovered()).await;
    shard.work("codex-1", failed("NO_CHANGES")).await;
    app.finished(&run.run_id).await;

    let newer = app.create("001-greeting").await;
    let refused = retry(&app, &run.run_id, v1::RetryMode::RestartFromDiscovery).await.unwrap_err();
    assert_eq!(kind(&refused), "AlreadyExists RUN_ALREADY_OPEN");
    assert_eq!(crate::support::fact(&refused, "run_id"), newer.run_id);

    cancel(&app, &newer.run_id).await.unwrap();
    retry(&app, &run.run_id, v1::RetryMode::RestartFromDiscovery).await.unwrap();
    default.credit("default", 1).await;
    let offer = default.offer().await;
    assert_eq!((offer.stage(), offer.attempt, offer.run_id), (v1::Stage::Discover, 2, run.run_id));
}
