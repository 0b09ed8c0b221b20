//! The replaced system's check of a run's login: what it answers, and when it refuses.

use moorline_proto::v1::{self, command::Command as Asked, command_result::Result as Said};

use crate::{
    gate::{answer, checked, command},
    support::{
        ScriptedWorker, TestApp,
        app::request,
        http::{Answer, Http},
        scripted_worker::check,
    },
};

/// A run whose submit goes to a shard.
async fn run_on(app: &TestApp, queue: &str, force_phase: v1::Phase) -> String {
    let request = v1::CreateRunRequest {
        codex_queue: queue.to_owned(),
        force_phase: force_phase.into(),
        ..request("001-a")
    };
    app.create_with(request).await.unwrap().run_id
}

async fn preflight(http: &Http, run_id: &str, body: &str) -> Answer {
    http.old_post(&format!("/runs/{run_id}/codex/preflight"), body).await
}

/// Asks for a check, and has the worker answer it.
async fn checked_by(worker: &mut ScriptedWorker, http: &Http, run_id: &str, body: &str, said: Said) -> Answer {
    let working = async {
        let asked = command(worker).await;
        assert!(matches!(asked.command, Some(Asked::CheckVolume(_))), "{asked:?}");
        answer(worker, asked, said).await;
    };
    tokio::join!(preflight(http, run_id, body), working).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_made_on_the_worker_and_told_with_its_remedy() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let mut worker = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run_id = run_on(&app, "codex-1", v1::Phase::Unspecified).await;
    let bad = check(
        "codex-worker-1",
        1,
        v1::PreflightStatus::Failed,
        "volume codex_auth_1 holds no login",
    );
    let told = checked_by(&mut worker, &http, &run_id, r#"{"forceRefresh": true}"#, checked(bad)).await;
    insta::assert_snapshot!(told.steady(), @r#"
    202
    {
      "checkedAt": "<time>",
      "codexPreflightMessage": "volume codex_auth_1 holds no login",
      "codexPreflightRung": "NOT_LOGGED_IN",
      "codexPreflightStatus": "failed",
      "codexQueue": "codex-1",
      "codexShardIndex": 1,
      "codexVolume": "codex_auth_1",
      "durationMs": "<number>",
      "exitCode": 0,
      "reused": false,
      "runId": "<id>",
      "workerName": "codex-worker-1"
    }
    "#);
    let shown = http.old_get(&format!("/runs/{run_id}")).await.json();
    assert_eq!(shown["codexPreflightStatus"], "failed");
    assert_eq!(shown["codexPreflightMessage"], "volume codex_auth_1 holds no login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_recent_stands_and_another_key_asks_for_another_shard() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let _worker = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run_id = run_on(&app, "codex-1", v1::Phase::Unspecified).await;
    let told = preflight(&http, &run_id, "").await;
    let said = told.json();
    assert_eq!(
        (told.status, &said["reused"], &said["codexPreflightStatus"]),
        (202, &true.into(), &"passed".into())
    );

    // Where it goes is known from its SHA-256.
    let other = run_on_another_feature(&app).await;
    let said = preflight(&http, &other, r#"{"affinityKey": "k"}"#).await.json();
    assert_eq!((&said["codexQueue"], &said["codexShardIndex"]), (&"codex-1".into(), &1.into()));
}

async fn run_on_another_feature(app: &TestApp) -> String {
    let request = v1::CreateRunRequest {
        codex_queue: "codex-0".to_owned(),
        ..request("002-b")
    };
    app.create_with(request).await.unwrap().run_id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_a_check_is_409_and_what_is_not_understood_422() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let run_id = run_on(&app, "codex-1", v1::Phase::Submit).await;
    let mut lines = Vec::new();
    let nobody = preflight(&http, "00000000-0000-7000-8000-000000000000", "{}").await;
    lines.push(format!("an unknown run: {}", nobody.kind()));
    lines.push(format!("no id: {}", preflight(&http, "x", "{}").await.kind()));
    for body in [
        "[",
        r#"{"forceRefresh": "yes"}"#,
        r#"{"affinityKey": 1}"#,
        r#"{"affinityKey": "\u0000"}"#,
    ] {
        lines.push(format!("{body}: {}", preflight(&http, &run_id, body).await.kind()));
    }
    lines.push(format!("no worker: {}", preflight(&http, &run_id, "{}").await.kind()));

    let mut worker = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let busy = Said::Failure(v1::Failure {
        code: "VOLUME_IN_USE".to_owned(),
        message: "a job works with volume codex_auth_1: wait for its end".to_owned(),
        class: v1::FailureClass::Environment.into(),
        ..v1::Failure::default()
    });
    let in_use = checked_by(&mut worker, &http, &run_id, r#"{"forceRefresh": true}"#, busy).await;
    lines.push(format!("in use: {}", in_use.kind()));

    worker.credit("codex-1", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    crate::support::eventually("the agent works", async || {
        (app.get(&run_id).await.run?.status() == v1::RunStatus::Running).then_some(())
    })
    .await;
    lines.push(format!("while its agent works: {}", preflight(&http, &run_id, "{}").await.kind()));

    let other = run_on_another_feature(&app).await;
    let cancel = v1::CancelRunRequest {
        run_id: other.clone(),
        reason: String::new(),
    };
    app.runs().cancel_run(cancel).await.unwrap();
    lines.push(format!("after its end: {}", preflight(&http, &other, "{}").await.kind()));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    an unknown run: 404 RUN_NOT_FOUND
    no id: 422 INVALID_ID
    [: 422 NOT_JSON
    {"forceRefresh": "yes"}: 422 NOT_JSON
    {"affinityKey": 1}: 422 NOT_JSON
    {"affinityKey": "\u0000"}: 422 INVALID_TEXT
    no worker: 409 VOLUME_NOT_HELD
    in use: 409 VOLUME_IN_USE
    while its agent works: 409 RUN_IN_SUBMIT
    after its end: 409 RUN_ENDED
    "#);
}
