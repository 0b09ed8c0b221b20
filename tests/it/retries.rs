//! What follows a failed attempt, by whose failure it is.
//!
//! Contract: 001/FR-012, 001/FR-040.

use std::time::Duration;

use moorline_proto::v1::{self, FailureClass};
use moorline_server::{domain::retry::Policy, flow::Timers};

use crate::support::{
    ScriptedWorker, TestApp,
    scripted_worker::{discovered, failed_by},
};

/// Delays so short that a test need not wait.
async fn app(base: Duration) -> TestApp {
    let timers = Timers {
        poll: Duration::from_millis(50),
        retry: Policy {
            base,
            cap: base,
            ..Policy::default()
        },
        ..Timers::default()
    };
    TestApp::with_timers(timers).await
}

const SHORT: Duration = Duration::from_millis(20);

async fn retry(app: &TestApp, run_id: &str) {
    let request = v1::RetryRunRequest {
        run_id: run_id.to_owned(),
        ..Default::default()
    };
    app.runs().retry_run(request).await.unwrap();
}

fn unreachable() -> v1::finished::Outcome {
    failed_by(FailureClass::Environment, "GIT_FAILED")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_environment_failed_is_tried_again_on_another_worker() {
    let app = app(SHORT).await;
    let run = app.create("001-a").await;
    let mut first = ScriptedWorker::default_worker(&app, "first").await;
    first.work("default", unreachable()).await;
    // The first has room again, and hears of it first; it doesn't keep other work from itself by that.
    first.credit("default", 1).await;
    let mut second = ScriptedWorker::default_worker(&app, "second").await;
    second.credit("default", 1).await;
    let again = second.offer().await;
    assert_eq!((again.run_id.as_str(), again.attempt), (run.run_id.as_str(), 2));
    let other = app.create("001-b").await;
    assert_eq!(first.offer().await.run_id, other.run_id);

    let view = app.get(&run.run_id).await;
    assert_eq!(view.run.unwrap().status(), v1::RunStatus::Running);
    assert_eq!(view.jobs[0].failure.clone().unwrap().message, "GIT_FAILED in a test");
    assert!(view.jobs[1].not_before.unwrap().nanos >= 0 && view.jobs[1].expires_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_failed_a_job_is_no_hindrance_for_what_waits_behind_it() {
    let app = app(SHORT).await;
    app.create("001-a").await;
    let mut only = ScriptedWorker::default_worker(&app, "only").await;
    only.work("default", unreachable()).await;
    let other = app.create("001-b").await;
    only.credit("default", 1).await;
    assert_eq!(only.offer().await.run_id, other.run_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_stage_is_tried_again_where_its_login_is() {
    let app = app(SHORT).await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run = app.create("001-greeting").await;
    default.work("default", discovered()).await;
    shard.work("codex-1", failed_by(FailureClass::Environment, "ENGINE_FAILED")).await;
    shard.credit("codex-1", 1).await;
    let again = shard.offer().await;
    assert_eq!((again.stage(), again.attempt, again.run_id), (v1::Stage::Submit, 2, run.run_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_the_environment_keeps_failing_fails_the_run_which_says_how_often() {
    let app = app(SHORT).await;
    let run = app.create("001-a").await;
    let fail_everywhere = async |from: i32| {
        for attempt in from..from + 3 {
            let mut worker = ScriptedWorker::default_worker(&app, &format!("w-{attempt}")).await;
            assert_eq!(worker.work("default", unreachable()).await.attempt, attempt);
            worker.leave().await;
        }
        app.finished(&run.run_id).await.run.unwrap().failure.unwrap()
    };
    let failure = fail_everywhere(1).await;
    assert_eq!((failure.code.as_str(), failure.class()), ("GIT_FAILED", FailureClass::Environment));
    assert_eq!(failure.details["attempts"], "3");
    assert_eq!(
        failure.message,
        "the stage was tried 3 times: mend what is named here, then retry the run; the last time, GIT_FAILED in a test"
    );

    // A client who retries the run gives it all its attempts anew.
    retry(&app, &run.run_id).await;
    let failure = fail_everywhere(4).await;
    assert_eq!(failure.details["attempts"], "3");
    assert_eq!(app.get(&run.run_id).await.jobs.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_failed_by_itself_or_by_its_login_is_not_tried_again() {
    let app = app(SHORT).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    for (feature, class) in [("001-a", FailureClass::Job), ("001-b", FailureClass::Login)] {
        let run = app.create(feature).await;
        worker.work("default", failed_by(class, "REASON_TO_FAIL")).await;
        let view = app.finished(&run.run_id).await;
        let run = view.run.unwrap();
        assert_eq!((run.status(), view.jobs.len()), (v1::RunStatus::Failed, 1));
        assert_eq!(run.failure.unwrap().message, "REASON_TO_FAIL in a test");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_workers_do_not_use_up_the_attempts_of_the_environment() {
    let app = app(SHORT).await;
    let run = app.create("001-a").await;
    let classes = [FailureClass::Environment, FailureClass::LostWorker, FailureClass::LostWorker];
    for (attempt, class) in (1..).zip(classes.into_iter().cycle().take(6)) {
        let mut worker = ScriptedWorker::default_worker(&app, &format!("w-{attempt}")).await;
        assert_eq!(worker.work("default", failed_by(class, "ENGINE_FAILED")).await.attempt, attempt);
        worker.leave().await;
    }
    assert_eq!(app.get(&run.run_id).await.run.unwrap().status(), v1::RunStatus::Running);
    let mut worker = ScriptedWorker::default_worker(&app, "w-7").await;
    worker.work("default", unreachable()).await;
    assert_eq!(
        app.finished(&run.run_id).await.run.unwrap().failure.unwrap().details["attempts"],
        "3"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_run_may_lose_its_workers_as_often_as_before() {
    let app = app(SHORT).await;
    let run = app.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let mut lose = async || {
        worker
            .work("default", failed_by(FailureClass::LostWorker, "WORKER_STOPPED"))
            .await
            .attempt
    };
    for attempt in 1..=5 {
        assert_eq!(lose().await, attempt);
    }
    let failure = app.finished(&run.run_id).await.run.unwrap().failure.unwrap();
    assert!(failure.message.contains("5 times"), "{}", failure.message);
    retry(&app, &run.run_id).await;
    for attempt in 6..=10 {
        assert_eq!(lose().await, attempt);
    }
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().status(), v1::RunStatus::Failed);
}
