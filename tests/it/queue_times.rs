//! When a job may begin, and how long it may wait for that.
//!
//! Contract: 001/FR-041.

use std::time::{Duration, SystemTime};

use moorline_proto::v1;
use moorline_server::flow::Timers;
use prost_types::Timestamp;

use crate::support::{
    ScriptedWorker, TestApp,
    app::request,
    kind,
    scripted_worker::{discovered, failed, finished, no_work},
};

async fn create(app: &TestApp, not_before: Option<Timestamp>, queue_timeout: Option<i64>) -> Result<v1::Run, tonic::Status> {
    let options = v1::RunOptions {
        not_before,
        queue_timeout: queue_timeout.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    let request = v1::CreateRunRequest {
        options: Some(options),
        ..request("001-greeting")
    };
    app.create_with(request).await
}

fn in_seconds(seconds: u64) -> Timestamp {
    Timestamp::from(SystemTime::now() + Duration::from_secs(seconds))
}

/// Seconds from one time to another.
fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> i64 {
    to.unwrap().seconds - from.unwrap().seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_offered_to_nobody_before_its_time() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    worker.credit("default", 1).await;
    let begin = in_seconds(2);
    let run = create(&app, Some(begin), Some(60)).await.unwrap();
    let job = app.get(&run.run_id).await.jobs.remove(0);
    assert_eq!(job.not_before.unwrap().seconds, begin.seconds);
    assert_eq!(
        between(Some(begin), job.expires_at),
        60,
        "its time in the queue begins when it may begin"
    );
    assert_eq!(run.options.unwrap().not_before.unwrap().seconds, begin.seconds);
    worker.offer().await;
    assert!(SystemTime::now() >= SystemTime::try_from(begin).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_has_passed_is_no_hindrance() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = create(&app, Some(Timestamp { seconds: 1, nanos: 0 }), Some(60)).await.unwrap();
    let job = app.get(&run.run_id).await.jobs.remove(0);
    assert_eq!(between(job.created_at, job.expires_at), 60);
    worker.work("default", no_work()).await;
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().status(), v1::RunStatus::NoWork);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_out_of_range_are_refused() {
    let app = TestApp::start().await;
    for seconds in [0, -5, 30 * 86_400 + 1] {
        let refused = create(&app, None, Some(seconds)).await.unwrap_err();
        assert_eq!(kind(&refused), "InvalidArgument INVALID_QUEUE_TIMEOUT", "{seconds} s");
    }
    for (seconds, nanos) in [(i64::MAX, 0), (253_402_300_800, 0), (0, -1), (-62_135_596_801, 0)] {
        let refused = create(&app, Some(Timestamp { seconds, nanos }), None).await.unwrap_err();
        assert_eq!(kind(&refused), "InvalidArgument INVALID_TIME", "{seconds} s {nanos} ns");
    }
    create(
        &app,
        Some(Timestamp {
            seconds: 253_402_300_799,
            nanos: 0,
        }),
        Some(30 * 86_400),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_no_worker_takes_fails_when_its_time_in_the_queue_is_over() {
    let app = TestApp::start().await;
    let run = create(&app, None, Some(1)).await.unwrap();
    let view = app.finished(&run.run_id).await;
    let failure = view.run.unwrap().failure.unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.class()),
        ("QUEUE_TIMEOUT", v1::FailureClass::Environment)
    );
    assert_eq!(failure.details["queue"], "default");
    for told in ["default", "1s", "moorline run retry", "--queue-timeout"] {
        assert!(failure.message.contains(told), "{told} is missing in: {}", failure.message);
    }
    let job = &view.jobs[0];
    assert_eq!(
        (job.status(), job.worker_name.as_str(), job.expires_at),
        (v1::JobStatus::Failed, "", None)
    );
    assert_eq!(view.jobs.len(), 1, "no attempt follows: nobody had taken the first");

    // A retried run waits anew.
    app.runs()
        .retry_run(v1::RetryRunRequest {
            run_id: run.run_id.clone(),
            ..Default::default()
        })
        .await
        .unwrap();
    let again = app.finished(&run.run_id).await.jobs.pop().unwrap();
    assert_eq!((again.attempt, again.failure.unwrap().code.as_str()), (2, "QUEUE_TIMEOUT"));
    assert!(between(again.created_at, again.finished_at) >= 1, "it did not wait");
}

/// Lets the time of a run's jobs in their queue be over, whatever the machine's pace.
async fn let_time_pass(app: &TestApp, run_id: &str) {
    let database = app.database.connect().await.unwrap();
    let sql = format!("update jobs set expires_at = now() - interval '1 second' where run_id = '{run_id}'");
    database.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_held_all_the_time_is_told_why() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-greeting").await;
    worker.work("default", discovered()).await;
    let_time_pass(&app, &run.run_id).await;
    let view = app.finished(&run.run_id).await;
    let failure = view.run.unwrap().failure.unwrap();
    assert_eq!(failure.code, "QUEUE_TIMEOUT");
    assert_eq!(failure.details["hold_reason"], "SHARD_OFFLINE");
    for told in ["codex-1", "SHARD_OFFLINE", "moorline shard show codex-1"] {
        assert!(failure.message.contains(told), "{told} is missing in: {}", failure.message);
    }
    assert_eq!(view.jobs.last().unwrap().stage(), v1::Stage::Submit, "what discover found is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_on_its_way_is_waited_for() {
    let timers = Timers {
        accept_deadline: Duration::from_secs(60),
        poll: Duration::from_millis(100),
        ..Timers::default()
    };
    let app = TestApp::with_timers(timers).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    worker.credit("default", 1).await;
    let run = app.create("001-greeting").await;
    let offer = worker.offer().await;
    let_time_pass(&app, &run.run_id).await;
    // Another run passes its time as well: the pass that ends it has seen this one.
    let other = app.create("002-other").await;
    let_time_pass(&app, &other.run_id).await;
    assert_eq!(
        app.finished(&other.run_id).await.run.unwrap().failure.unwrap().code,
        "QUEUE_TIMEOUT"
    );

    worker.accept(&offer).await;
    worker.report(&offer, 1, finished(failed("TASKS_MISSING"))).await;
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().failure.unwrap().code, "TASKS_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_waits_no_longer_than_the_server_lets_it() {
    let timers = Timers {
        queue_timeout: Duration::from_secs(3600),
        poll: Duration::from_millis(100),
        ..Timers::default()
    };
    let app = TestApp::with_timers(timers).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-greeting").await;
    let waits = async |stage: usize| {
        let job = app.get(&run.run_id).await.jobs.remove(stage);
        between(job.created_at, job.expires_at)
    };
    assert_eq!(waits(0).await, 3600);
    worker.work("default", discovered()).await;
    assert_eq!(waits(1).await, 3600);
}
