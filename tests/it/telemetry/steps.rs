//! What the server's log tells of runs that take another way than straight on: each step once, after it is stored.

use moorline_proto::v1::{self, connect_request::Frame};
use serde_json::Value;

use crate::support::{
    ScriptedWorker, TestApp,
    app::request,
    eventually,
    scripted_worker::{discovered, failed_by, no_work},
};

/// Messages about a run in their order, with the stage of those about a job, once this one is among them.
async fn told(app: &TestApp, run_id: &str, last: &str) -> Vec<String> {
    eventually(last, async || {
        let said: Vec<String> = lines(app, run_id)
            .iter()
            .map(|line| format!("{} {}", line["stage"].as_str().unwrap_or("-"), line["message"].as_str().unwrap()))
            .collect();
        said.iter().any(|line| line == last).then_some(said)
    })
    .await
}

fn lines(app: &TestApp, run_id: &str) -> Vec<Value> {
    let log = app.process().log();
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["run_id"] == run_id && !line["status"].is_null())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_queued_is_not_told_as_queued() {
    let app = TestApp::apart().await;
    let mut worker = ScriptedWorker::default_worker(&app, "d").await;
    let run = app.create("001-a").await;
    worker.work("default", no_work()).await;
    let told = told(&app, &run.run_id, "- run no_work").await;
    assert_eq!(
        told,
        [
            "- run pending",
            "discover job queued",
            "discover job offered",
            "- run running",
            "discover job running",
            "discover job succeeded",
            "submit job skipped",
            "publish job skipped",
            "- run no_work"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_is_told_of_step_by_step() {
    let app = TestApp::apart().await;
    let run = app.create("001-a").await;
    let request = v1::CancelRunRequest {
        run_id: run.run_id.clone(),
        reason: "test".to_owned(),
    };
    app.runs().cancel_run(request).await.unwrap();
    let told = told(&app, &run.run_id, "- run cancelled").await;
    let all = ["- run pending", "discover job queued", "discover job cancelled", "- run cancelled"];
    assert_eq!(told, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_attempt_says_after_what_and_when() {
    let app = TestApp::apart().await;
    let mut worker = ScriptedWorker::default_worker(&app, "d").await;
    let run = app.create("001-a").await;
    worker.work("default", failed_by(v1::FailureClass::Environment, "NO_NETWORK")).await;
    let queued = eventually("the second attempt", async || {
        let lines = lines(&app, &run.run_id);
        lines
            .into_iter()
            .find(|line| line["message"] == "job queued" && line["attempt"] == 2)
    })
    .await;
    assert_eq!(queued["after"], "NO_NETWORK", "{queued}");
    assert!(queued["delay_ms"].as_i64().unwrap() > 0, "{queued}");
    assert!(queued["volume"].is_string() && queued["queue"] == "default", "{queued}");
    // The reason is part of that line; there is no other of it.
    let told = told(&app, &run.run_id, "discover job queued").await;
    assert_eq!(told.iter().filter(|line| line.ends_with("job failed")).count(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_is_taken_back_is_told_with_its_reason() {
    let app = TestApp::apart().await;
    let mut worker = ScriptedWorker::default_worker(&app, "d").await;
    let run = app.create_with(request("001-a")).await.unwrap();
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    let reject = v1::Reject {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        reason: "busy".to_owned(),
    };
    worker.send(Frame::Reject(reject)).await;
    worker.credit("default", 1).await;
    worker.offer().await;
    worker.leave().await;
    let returned = eventually("both offers to be taken back", async || {
        let mut lines = lines(&app, &run.run_id);
        lines.retain(|line| line["message"] == "offer taken back");
        (lines.len() >= 2).then_some(lines)
    })
    .await;
    let reasons: Vec<_> = returned.iter().map(|line| &line["reason"]).collect();
    assert_eq!(reasons, ["rejected", "worker_left"]);
    for line in &returned {
        assert_eq!((&line["worker"], &line["queue"]), (&"d".into(), &"default".into()), "{line}");
        assert!(line["volume"].is_string() && line["stage"] == "discover", "{line}");
    }
    // Nothing was given back twice.
    let mut next = ScriptedWorker::default_worker(&app, "e").await;
    next.work("default", discovered()).await;
}
