//! The services of `moorline.v1` as proto3 JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use moorline_proto::v1;
use serde_json::{Value, json};

use crate::support::{
    ScriptedWorker, TestApp,
    artifact::upload,
    eventually,
    http::{Http, answer, steady},
    scripted_worker::no_work,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_created_and_shown_as_proto3_json() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let body = r#"{"repository": "octo/hello", "feature_key": "001-a", "options": {"priority": 5, "agentTimeout": "90s"}}"#;
    let created = http.post("/v1/RunService/CreateRun", body).await;
    insta::assert_snapshot!(created.steady(), @r#"
    200
    {
      "run": {
        "affinityKey": "octo/hello|001-a",
        "agent": "AGENT_CODEX",
        "artifactsPath": "runs/<id>",
        "branchName": "moorline/001-a/<digits>",
        "codexQueue": "codex-1",
        "codexShardIndex": 1,
        "codexVolume": "codex_auth_1",
        "createdAt": "<time>",
        "featureKey": "001-a",
        "hashModulo": 3,
        "lastEventSequence": "3",
        "options": {
          "agentTimeout": "90s",
          "onAuthFailure": "AUTH_FAILURE_POLICY_FAIL",
          "onShardUnavailable": "SHARD_UNAVAILABLE_POLICY_WAIT",
          "priority": 5
        },
        "phase": "PHASE_DISCOVER",
        "repository": "octo/hello",
        "requestedBy": "anonymous",
        "runId": "<id>",
        "skillPolicyVersion": "1",
        "stageDecisions": [
          {
            "canaryPercent": 100,
            "directReason": "DIRECT_REASON_SKILLS_OFF",
            "executionPath": "EXECUTION_PATH_DIRECT_ONLY",
            "fallbackEnabled": true,
            "policyVersion": "1",
            "selectedSkill": "speckit",
            "source": "SKILL_SOURCE_DEFAULT",
            "stage": "STAGE_DISCOVER"
          },
          {
            "canaryPercent": 100,
            "directReason": "DIRECT_REASON_SKILLS_OFF",
            "executionPath": "EXECUTION_PATH_DIRECT_ONLY",
            "fallbackEnabled": true,
            "policyVersion": "1",
            "selectedSkill": "speckit",
            "source": "SKILL_SOURCE_DEFAULT",
            "stage": "STAGE_SUBMIT"
          },
          {
            "canaryPercent": 100,
            "directReason": "DIRECT_REASON_SKILLS_OFF",
            "executionPath": "EXECUTION_PATH_DIRECT_ONLY",
            "fallbackEnabled": true,
            "policyVersion": "1",
            "selectedSkill": "speckit",
            "source": "SKILL_SOURCE_DEFAULT",
            "stage": "STAGE_PUBLISH"
          }
        ],
        "status": "RUN_STATUS_PENDING",
        "updatedAt": "<time>"
      }
    }
    "#);
    let id = created.json()["run"]["runId"].clone();
    let shown = http.post("/v1/RunService/GetRun", &json!({ "runId": id }).to_string()).await;
    assert_eq!((shown.status, &shown.json()["run"]), (200, &created.json()["run"]));
    assert_eq!(shown.json()["jobs"][0]["stage"], "STAGE_DISCOVER");
    let by_grpc = app.get(id.as_str().unwrap()).await;
    assert_eq!(by_grpc.run.unwrap().requested_by, "anonymous");
    let listed = http
        .post("/v1/RunService/ListRuns", r#"{"statuses": ["RUN_STATUS_PENDING"]}"#)
        .await;
    assert_eq!(listed.json()["runs"][0]["runId"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_and_workers_are_shown() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let _worker = ScriptedWorker::shard_worker(&app, "codex-worker-0", 0).await;
    let shards = http.post("/v1/ShardService/ListShards", "").await.json();
    let queues: Vec<_> = shards["shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shard| shard["queue"].as_str().unwrap())
        .collect();
    assert_eq!(queues, ["codex-0", "codex-1", "codex-2", "gemini"]);
    assert_eq!(shards["shards"][0]["volume"]["status"], "VOLUME_STATUS_READY");
    let workers = http.post("/v1/FleetService/ListWorkers", "{}").await.json();
    assert_eq!(workers["workers"][0]["name"], "codex-worker-0");
    let route = http.post("/v1/ShardService/ResolveRoute", r#"{"affinityKey": "k"}"#).await;
    insta::assert_snapshot!(route.steady(), @r#"
    200
    {
      "affinityKey": "k",
      "hashModulo": 3,
      "hashPrefix": "8254c329a92850f6",
      "queue": "codex-1",
      "reason": "ROUTE_REASON_HASH",
      "shardIndex": 1,
      "shardStatus": "SHARD_STATUS_OFFLINE",
      "volume": "codex_auth_1"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_a_google_rpc_status() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let run = app.create("001-a").await;
    let taken = http
        .post("/v1/RunService/CreateRun", r#"{"repository": "octo/hello", "featureKey": "001-a"}"#)
        .await;
    insta::assert_snapshot!(taken.steady(), @r#"
    409
    {
      "code": 6,
      "details": [
        {
          "@type": "type.googleapis.com/google.rpc.ErrorInfo",
          "domain": "moorline",
          "metadata": {
            "run_id": "<id>"
          },
          "reason": "RUN_ALREADY_OPEN"
        }
      ],
      "message": "this feature has an open run already, <id>: watch it (moorline run watch <id>) or cancel it (moorline run cancel <id>)"
    }
    "#);
    let mut lines = Vec::new();
    for (method, body) in [
        (
            "RunService/CreateRun",
            r#"{"repository": "octo", "featureKey": "001-a"}"#.to_owned(),
        ),
        (
            "RunService/CreateRun",
            r#"{"repository": "octo/hello", "featureKey": "b", "agent": "AGENT_GEMINI", "codexQueue": "codex-0"}"#.to_owned(),
        ),
        ("RunService/CreateRun", r#"{"repo": "octo/hello"}"#.to_owned()),
        ("RunService/CreateRun", "[]".to_owned()),
        ("RunService/GetRun", r#"{"runId": "x"}"#.to_owned()),
        (
            "RunService/GetRun",
            r#"{"runId": "00000000-0000-7000-8000-000000000000"}"#.to_owned(),
        ),
        ("RunService/RetryRun", json!({ "runId": run.run_id }).to_string()),
        ("RunService/ListRuns", r#"{"repository": "\u0000"}"#.to_owned()),
        (
            "RunService/WatchRun",
            r#"{"runId": "00000000-0000-7000-8000-000000000000"}"#.to_owned(),
        ),
        ("RunService/NoSuchMethod", "{}".to_owned()),
        ("WorkerService/UploadLogs", "{}".to_owned()),
    ] {
        let refused = http.post(&format!("/v1/{method}"), &body).await;
        lines.push(format!(
            "{method} {}: {}",
            steady(serde_json::from_str(&body).unwrap()).replace('\n', ""),
            refused.rpc_kind()
        ));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    RunService/CreateRun {  "featureKey": "001-a",  "repository": "octo"}: 400 3 INVALID_REPOSITORY
    RunService/CreateRun {  "agent": "AGENT_GEMINI",  "codexQueue": "codex-0",  "featureKey": "b",  "repository": "octo/hello"}: 400 3 QUEUE_OF_OTHER_AGENT
    RunService/CreateRun {  "repo": "octo/hello"}: 400 3 NOT_JSON
    RunService/CreateRun []: 400 3 NOT_JSON
    RunService/GetRun {  "runId": "x"}: 400 3 INVALID_ID
    RunService/GetRun {  "runId": "<id>"}: 404 5 RUN_NOT_FOUND
    RunService/RetryRun {  "runId": "<id>"}: 400 9 RUN_NOT_FAILED
    RunService/ListRuns {  "repository": "\u0000"}: 400 3 INVALID_TEXT
    RunService/WatchRun {  "runId": "<id>"}: 404 5 RUN_NOT_FOUND
    RunService/NoSuchMethod {}: 404 5 ROUTE_NOT_FOUND
    WorkerService/UploadLogs {}: 404 5 ROUTE_NOT_FOUND
    "#);
    let wrong = http.get("/v1/RunService/ListRuns").await;
    assert_eq!(
        (wrong.rpc_kind().as_str(), wrong.header("allow")),
        ("405 12 METHOD_NOT_ALLOWED", "POST")
    );
    let form = http
        .client
        .post(http.url("/v1/RunService/ListRuns"))
        .header("content-type", "text/plain");
    assert_eq!(answer(form.body("{}")).await.rpc_kind(), "400 3 NOT_JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_more_than_4_mib_is_not_read() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let long = json!({ "notes": "x".repeat(4 << 20) }).to_string();
    assert_eq!(
        http.post("/v1/RunService/CreateRun", &long).await.rpc_kind(),
        "413 8 BODY_TOO_LARGE"
    );
    assert_eq!(http.old_post("/runs", &long).await.kind(), "413 BODY_TOO_LARGE");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_artifacts_stream_as_lines() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let run = app.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&app, "default-1").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    let content = vec![7; 100 << 10];
    let stored = upload(&app, &offer, v1::ArtifactType::RunSummary, &content).await.unwrap();
    worker.report(&offer, 1, crate::support::scripted_worker::finished(no_work())).await;
    assert_eq!(worker.acknowledged().await, Some(1));

    let watched = http
        .post("/v1/RunService/WatchRun", &json!({ "runId": run.run_id }).to_string())
        .await;
    assert_eq!((watched.status, watched.header("content-type")), (200, "application/x-ndjson"));
    let lines = watched.lines();
    let sequences: Vec<_> = lines
        .iter()
        .map(|line| line["event"]["sequence"].as_str().unwrap().parse::<usize>().unwrap())
        .collect();
    assert_eq!(sequences, (1..=lines.len()).collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap()["event"]["runChanged"]["status"], "RUN_STATUS_NO_WORK");

    let asked = json!({ "artifactId": stored.artifact_id }).to_string();
    let pieces = http.post("/v1/RunService/DownloadArtifact", &asked).await.lines();
    assert_eq!(pieces[0]["artifact"]["artifactId"], stored.artifact_id.as_str());
    let read: Vec<u8> = pieces
        .iter()
        .filter_map(|piece| piece["content"].as_str())
        .flat_map(|text| STANDARD.decode(text).unwrap())
        .collect();
    assert!(pieces.len() > 2 && read == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cut_short_with_a_line_that_says_why() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let run = app.create("001-a").await;
    let asked = http
        .client
        .post(http.url("/v1/RunService/WatchRun"))
        .json(&json!({ "runId": run.run_id }));
    let mut open = asked.send().await.unwrap();
    let mut read = open.chunk().await.unwrap().unwrap().to_vec();
    app.terminate();
    while let Some(more) = open.chunk().await.unwrap() {
        read.extend(more);
    }
    let last: Value = serde_json::from_slice(read.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap();
    insta::assert_snapshot!(steady(last), @r#"
    {
      "error": {
        "code": 14,
        "details": [
          {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "domain": "moorline",
            "reason": "SHUTTING_DOWN"
          }
        ],
        "message": "this server is shutting down: call again, and go on after what you have"
      }
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_stream_with_it() {
    let app = TestApp::start().await;
    let run = app.create("001-a").await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let asked = json!({ "runId": run.run_id });
    let mut open = Vec::new();
    for _ in 0..20 {
        let http = Http::of(&app);
        let mut stream = http
            .client
            .post(http.url("/v1/RunService/WatchRun"))
            .json(&asked)
            .send()
            .await
            .unwrap();
        assert!(stream.chunk().await.unwrap().is_some());
        open.push(stream);
    }
    assert!(alive() >= before + 20);
    drop(open);
    // What else the server does at times is far from twenty tasks.
    eventually("an end of the streams", async || (alive() < before + 10).then_some(())).await;
}
