//! The routes of the replaced system: paths, status codes and words are those that its clients know.

use moorline_proto::v1;
use serde_json::json;

use crate::support::{
    ScriptedWorker, TestApp,
    artifact::upload,
    http::{Http, steady},
    scripted_worker::{check, discovered, failed, no_work, shard_hello},
};

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_listed_with_the_health_of_their_logins() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let _good = ScriptedWorker::shard_worker(&app, "codex-worker-0", 0).await;
    let mut bad = shard_hello("codex-worker-1", 1);
    let message = "volume codex_auth_1 is not logged in";
    bad.volume.as_mut().unwrap().preflight = Some(check("codex-worker-1", 1, v1::PreflightStatus::Failed, message));
    let _bad = ScriptedWorker::connect(&app, bad).await.unwrap();
    app.create_with(v1::CreateRunRequest {
        codex_queue: "codex-1".to_owned(),
        ..crate::support::app::request("001-a")
    })
    .await
    .unwrap();
    insta::assert_snapshot!(http.old_get("/codex/shards").await.steady(), @r#"
    200
    {
      "shards": [
        {
          "hashModulo": 3,
          "latestPreflightCheckedAt": "<time>",
          "latestPreflightMessage": "Logged in",
          "latestPreflightStatus": "passed",
          "latestRunId": null,
          "latestRunStatus": null,
          "queueName": "codex-0",
          "shardStatus": "active",
          "volumeLastVerifiedAt": "<time>",
          "volumeName": "codex_auth_0",
          "volumeNotes": null,
          "volumeStatus": "ready",
          "volumeWorkerAffinity": "codex-worker-0",
          "workerHostname": "host-of-codex-worker-0"
        },
        {
          "hashModulo": 3,
          "latestPreflightCheckedAt": "<time>",
          "latestPreflightMessage": "volume codex_auth_1 is not logged in",
          "latestPreflightStatus": "failed",
          "latestRunId": "<id>",
          "latestRunStatus": "pending",
          "queueName": "codex-1",
          "shardStatus": "active",
          "volumeLastVerifiedAt": null,
          "volumeName": "codex_auth_1",
          "volumeNotes": null,
          "volumeStatus": "needs_auth",
          "volumeWorkerAffinity": "codex-worker-1",
          "workerHostname": "host-of-codex-worker-1"
        },
        {
          "hashModulo": 3,
          "latestPreflightCheckedAt": null,
          "latestPreflightMessage": null,
          "latestPreflightStatus": null,
          "latestRunId": null,
          "latestRunStatus": null,
          "queueName": "codex-2",
          "shardStatus": "offline",
          "volumeLastVerifiedAt": null,
          "volumeName": "codex_auth_2",
          "volumeNotes": null,
          "volumeStatus": "needs_auth",
          "volumeWorkerAffinity": null,
          "workerHostname": null
        }
      ]
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_created_shown_and_listed() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let body =
        r#"{"repository": "octo/hello", "featureKey": "001-greeting", "taskId": "T1", "notes": "first", "forcePhase": null, "newer": 1}"#;
    let created = http.old_post("/runs", body).await;
    insta::assert_snapshot!(created.steady(), @r#"
    202
    {
      "affinityKey": "octo/hello|001-greeting|T1",
      "agent": "codex",
      "artifactsPath": "runs/<id>",
      "baseRef": null,
      "branchName": "moorline/001-greeting/<digits>",
      "codexLogsPath": null,
      "codexPatchPath": null,
      "codexPreflightMessage": null,
      "codexPreflightStatus": null,
      "codexQueue": "codex-1",
      "codexShardIndex": 1,
      "codexTaskId": null,
      "codexVolume": "codex_auth_1",
      "createdAt": "<time>",
      "error": null,
      "featureKey": "001-greeting",
      "finishedAt": null,
      "forcePhase": null,
      "hashModulo": 3,
      "notes": "first",
      "phase": "discover",
      "prUrl": null,
      "repository": "octo/hello",
      "requestedBy": "anonymous",
      "runId": "<id>",
      "startedAt": null,
      "status": "pending",
      "taskId": "T1",
      "updatedAt": "<time>"
    }
    "#);
    let id = created.json()["runId"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("/api/workflows/speckit/runs/{id}"));

    let shown = http.old_get(&format!("/runs/{id}")).await;
    assert_eq!((shown.status, shown.json()), (200, created.json()));
    let listed = http.old_get("/runs").await;
    assert_eq!(
        (listed.status, listed.json()),
        (200, json!({ "runs": [created.json()], "nextCursor": null }))
    );

    let again = http.old_post("/runs", body).await;
    assert_eq!(
        (again.kind().as_str(), again.json()["detail"]["runId"].as_str()),
        ("409 RUN_ALREADY_OPEN", Some(id.as_str()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_safe_repetition_gives_the_same_run() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let body = r#"{"repository": "octo/hello", "featureKey": "001-a", "idempotencyKey": "k"}"#;
    let (first, second) = (http.old_post("/runs", body).await, http.old_post("/runs", body).await);
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.json()["runId"], second.json()["runId"]);
    let other = http.old_post("/runs", &body.replace("001-a", "002-b")).await;
    assert_eq!(other.kind(), "409 IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_by_their_filters_page_by_page() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    for feature in ["001-a", "002-b", "003-c"] {
        app.create(feature).await;
    }
    let keys = async |query: &str| {
        let listed = http.old_get(&format!("/runs?{query}")).await.json();
        let keys: Vec<_> = listed["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["featureKey"].as_str().unwrap().to_owned())
            .collect();
        (keys.join(" "), listed["nextCursor"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(keys("").await.0, "003-c 002-b 001-a");
    assert_eq!(keys("status=pending&featureKey=002-b&repository=octo/hello").await.0, "002-b");
    assert_eq!(keys("status=failed").await.0, "");
    assert_eq!(keys("codexQueue=codex-99&repository=").await.0, "");
    let (first, cursor) = keys("limit=2").await;
    assert_eq!(first, "003-c 002-b");
    assert_eq!(keys(&format!("limit=2&cursor={cursor}")).await, ("001-a".to_owned(), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_422_and_says_what_to_do() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let mut lines = Vec::new();
    for query in ["limit=0", "limit=501", "limit=many", "status=FAILED", "cursor=x", "repository=%00"] {
        lines.push(format!("{query}: {}", http.old_get(&format!("/runs?{query}")).await.kind()));
    }
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"repository": 1, "featureKey": "001-a"}"#,
        r#"{"repository": "octo", "featureKey": "001-a"}"#,
        r#"{"repository": "octo/hello", "featureKey": "../a"}"#,
        r#"{"repository": "octo/hello", "featureKey": "a", "forcePhase": "complete"}"#,
        r#"{"repository": "octo/hello", "featureKey": "a", "forcePhase": "PHASE_SUBMIT"}"#,
        r#"{"repository": "octo/hello", "featureKey": "a", "codexQueue": "codex-99"}"#,
        r#"{"repository": "octo/hello", "featureKey": "a", "notes": "\u0000"}"#,
    ] {
        lines.push(format!("{body}: {}", http.old_post("/runs", body).await.kind()));
    }
    lines.push(format!("/runs/x: {}", http.old_get("/runs/x").await.kind()));
    let form = http
        .client
        .post(http.url("/api/workflows/speckit/runs"))
        .header("content-type", "application/x-www-form-urlencoded");
    lines.push(format!("a form: {}", crate::support::http::answer(form.body("a=b")).await.kind()));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    limit=0: 422 INVALID_QUERY
    limit=501: 422 INVALID_QUERY
    limit=many: 422 INVALID_QUERY
    status=FAILED: 422 INVALID_QUERY
    cursor=x: 422 BAD_PAGE_TOKEN
    repository=%00: 422 INVALID_TEXT
    : 422 NOT_JSON
    {: 422 NOT_JSON
    []: 422 NOT_JSON
    {}: 422 NOT_JSON
    {"repository": 1, "featureKey": "001-a"}: 422 NOT_JSON
    {"repository": "octo", "featureKey": "001-a"}: 422 INVALID_REPOSITORY
    {"repository": "octo/hello", "featureKey": "../a"}: 422 INVALID_FEATURE_KEY
    {"repository": "octo/hello", "featureKey": "a", "forcePhase": "complete"}: 422 INVALID_PHASE
    {"repository": "octo/hello", "featureKey": "a", "forcePhase": "PHASE_SUBMIT"}: 422 NOT_JSON
    {"repository": "octo/hello", "featureKey": "a", "codexQueue": "codex-99"}: 422 UNKNOWN_QUEUE
    {"repository": "octo/hello", "featureKey": "a", "notes": "\u0000"}: 422 INVALID_TEXT
    /runs/x: 422 INVALID_ID
    a form: 422 NOT_JSON
    "#);
    let told = http.old_post("/runs", r#"{"repository": "octo/hello"}"#).await;
    insta::assert_snapshot!(told.steady(), @r#"
    422
    {
      "detail": {
        "code": "NOT_JSON",
        "field": "body",
        "message": "the body is not what this route takes: missing field `featureKey`"
      }
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let nobody = "00000000-0000-7000-8000-000000000000";
    let mut lines = Vec::new();
    for path in [
        "/runs/ID",
        "/runs/ID/tasks",
        "/runs/ID/artifacts",
        "/artifacts/ID",
        "/nowhere",
        "/runs/",
    ] {
        lines.push(format!("{path}: {}", http.old_get(&path.replace("ID", nobody)).await.kind()));
    }
    lines.push(format!(
        "retry: {}",
        http.old_post(&format!("/runs/{nobody}/retry"), "").await.kind()
    ));
    insta::assert_snapshot!(lines.join("\n"), @"
    /runs/ID: 404 RUN_NOT_FOUND
    /runs/ID/tasks: 404 RUN_NOT_FOUND
    /runs/ID/artifacts: 404 RUN_NOT_FOUND
    /artifacts/ID: 404 ARTIFACT_NOT_FOUND
    /nowhere: 404 ROUTE_NOT_FOUND
    /runs/: 404 ROUTE_NOT_FOUND
    retry: 404 RUN_NOT_FOUND
    ");
    let wrong = http.old_post("/codex/shards", "{}").await;
    assert_eq!(
        (wrong.kind().as_str(), wrong.header("allow")),
        ("405 METHOD_NOT_ALLOWED", "GET,HEAD")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_artifacts_of_a_run_are_listed_and_read() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let run = app.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&app, "default-1").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    let stored = upload(&app, &offer, v1::ArtifactType::RunSummary, b"<script>no</script>")
        .await
        .unwrap();
    worker
        .report(&offer, 1, crate::support::scripted_worker::finished(discovered()))
        .await;
    assert_eq!(worker.acknowledged().await, Some(1));

    let tasks = http.old_get(&format!("/runs/{}/tasks", run.run_id)).await;
    insta::assert_snapshot!(tasks.steady(), @r#"
    200
    {
      "tasks": [
        {
          "attempt": 1,
          "createdAt": "<time>",
          "durationMs": "<number>",
          "error": null,
          "executionPath": "direct_only",
          "finishedAt": "<time>",
          "holdReason": null,
          "jobId": "<id>",
          "notBefore": "<time>",
          "queue": "default",
          "selectedSkill": "speckit",
          "shadowModeRequested": false,
          "skillFailure": null,
          "stage": "discover",
          "startedAt": "<time>",
          "status": "succeeded",
          "usedFallback": false,
          "usedSkills": false,
          "waitsForSkill": null,
          "workerName": "default-1"
        },
        {
          "attempt": 1,
          "createdAt": "<time>",
          "durationMs": null,
          "error": null,
          "executionPath": "direct_only",
          "finishedAt": null,
          "holdReason": "SHARD_OFFLINE",
          "jobId": "<id>",
          "notBefore": "<time>",
          "queue": "codex-1",
          "selectedSkill": "speckit",
          "shadowModeRequested": false,
          "skillFailure": null,
          "stage": "submit",
          "startedAt": null,
          "status": "queued",
          "usedFallback": null,
          "usedSkills": null,
          "waitsForSkill": null,
          "workerName": null
        }
      ]
    }
    "#);
    let artifacts = http.old_get(&format!("/runs/{}/artifacts", run.run_id)).await;
    let mut listed = artifacts.json();
    assert_eq!(listed["artifacts"][0]["artifactId"], stored.artifact_id.as_str());
    listed["artifacts"][0]["digest"] = "<digest>".into();
    listed["artifacts"][0]["path"] = "<path>".into();
    insta::assert_snapshot!(steady(listed), @r#"
    {
      "artifacts": [
        {
          "artifactId": "<id>",
          "artifactType": "run_summary",
          "contentType": "text/plain",
          "createdAt": "<time>",
          "digest": "<digest>",
          "jobId": "<id>",
          "path": "<path>",
          "runId": "<id>",
          "sizeBytes": 19
        }
      ]
    }
    "#);

    let content = http.old_get(&format!("/artifacts/{}", stored.artifact_id)).await;
    assert_eq!(
        (content.status, content.content.as_slice()),
        (200, b"<script>no</script>".as_slice())
    );
    let headers = [
        "content-type",
        "content-length",
        "content-disposition",
        "x-content-type-options",
        "content-security-policy",
    ];
    let told: Vec<_> = headers.iter().map(|name| format!("{name}: {}", content.header(name))).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    content-type: text/plain
    content-length: 19
    content-disposition: attachment; filename="file.txt"
    x-content-type-options: nosniff
    content-security-policy: sandbox
    "#);
    assert_eq!(content.header("etag"), format!("\"{}\"", stored.digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_says_why_and_is_retried() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let run = app.create("001-a").await;
    let retry = format!("/runs/{}/retry", run.run_id);
    assert_eq!(http.old_post(&retry, "").await.kind(), "409 RUN_NOT_FAILED");

    let mut worker = ScriptedWorker::default_worker(&app, "default-1").await;
    worker.work("default", failed("TASKS_MISSING")).await;
    let shown = http.old_get(&format!("/runs/{}", run.run_id)).await.json();
    assert_eq!(shown["status"], "failed");
    assert_eq!(
        shown["error"],
        json!({ "code": "TASKS_MISSING", "message": "TASKS_MISSING in a test" })
    );
    let task = &http.old_get(&format!("/runs/{}/tasks", run.run_id)).await.json()["tasks"][0];
    assert_eq!(
        (&task["status"], &task["error"]["code"]),
        (&json!("failed"), &json!("TASKS_MISSING"))
    );

    assert_eq!(http.old_post(&retry, r#"{"mode": "again"}"#).await.kind(), "422 NOT_JSON");
    let retried = http.old_post(&retry, r#"{"mode": "restart_from_discovery"}"#).await;
    assert_eq!(
        (retried.status, &retried.json()["status"], &retried.json()["error"]),
        (202, &json!("retrying"), &json!(null))
    );
    worker.work("default", no_work()).await;
    assert_eq!(http.old_get(&format!("/runs/{}", run.run_id)).await.json()["status"], "no_work");
    assert_eq!(
        http.old_post(&retry, r#"{"mode": "resume_failed_stage"}"#).await.kind(),
        "409 RUN_NOT_FAILED"
    );
}
