//! WatchRun: every event once, in order, from where the client left off.
//!
//! Contract: 001/FR-010.

use moorline_proto::v1;

use crate::support::{
    ScriptedWorker, TestApp, kind,
    scripted_worker::{discovered, failed},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_resumes_after_the_last_event_that_the_client_saw() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-a").await;
    default.work("default", failed("TASKS_MISSING")).await;
    let all = app.events(&run.run_id).await;
    for seen in 0..=all.len() {
        let after_sequence = i64::try_from(seen).unwrap();
        let request = v1::WatchRunRequest {
            run_id: run.run_id.clone(),
            after_sequence,
        };
        let mut stream = app.runs().watch_run(request).await.unwrap().into_inner();
        let mut rest = Vec::new();
        while let Some(message) = stream.message().await.unwrap() {
            rest.push(message.event.unwrap());
        }
        assert_eq!(rest, all[seen..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_what_happens_while_it_watches() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-a").await;
    let watched = tokio::spawn({
        let request = v1::WatchRunRequest {
            run_id: run.run_id.clone(),
            after_sequence: 3,
        };
        let mut runs = app.runs();
        async move {
            runs.watch_run(request)
                .await
                .unwrap()
                .into_inner()
                .message()
                .await
                .unwrap()
                .unwrap()
                .event
                .unwrap()
        }
    });
    default.work("default", discovered()).await;
    let first = watched.await.unwrap();
    assert_eq!(first.sequence, 4);
    assert!(matches!(first.event, Some(v1::run_event::Event::RunChanged(changed)) if changed.status() == v1::RunStatus::Running));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_run_is_told_at_once() {
    let app = TestApp::start().await;
    let request = v1::WatchRunRequest {
        run_id: "01932c07-a3f0-7aaa-8bbb-0123456789ab".to_owned(),
        after_sequence: 0,
    };
    assert_eq!(kind(&app.runs().watch_run(request).await.unwrap_err()), "NotFound RUN_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_events_and_shards_outlive_the_server() {
    let mut app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-a").await;
    default.work("default", discovered()).await;
    let before = app.get(&run.run_id).await;
    app.restart().await;
    assert_eq!(app.get(&run.run_id).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_a_shutdown_cuts_short_does_not_look_like_the_end_of_the_run() {
    let mut app = TestApp::start().await;
    let run = app.create("001-a").await;
    let request = v1::WatchRunRequest {
        run_id: run.run_id,
        after_sequence: 0,
    };
    let mut watch = app.runs().watch_run(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    app.restart().await;
    let cut = loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the watch ended as if the run had"),
            Err(cut) => break cut,
        }
    };
    assert_eq!(kind(&cut), "Unavailable SHUTTING_DOWN");
}
