//! Clients that aren't ours: one that grpcio-tools generates from the proto files, and `buf curl` by reflection.

use std::{path::Path, process::Stdio};

use moorline_proto::v1;
use serde_json::Value;
use tokio::process::Command;

use crate::support::{ScriptedWorker, TestApp, eventually, program, scripted_worker::no_work};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Runs a program to its end and returns its standard output.
async fn output(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_made_from_the_proto_files_drives_a_run_and_reads_its_events() {
    let python = program("MOORLINE_TEST_PYTHON", "python3");
    let app = TestApp::start().await;
    let generated = tempfile::tempdir().unwrap();
    let mut script = Command::new(python);
    script
        .arg(Path::new(ROOT).join("tests/python/drive_run.py"))
        .arg(app.address())
        .arg(Path::new(ROOT).join("proto"))
        .arg(generated.path());
    let work = async {
        let refused = generated.path().join("refused");
        eventually("the second run is refused", async || refused.exists().then_some(())).await;
        let mut worker = ScriptedWorker::default_worker(&app, "default-1").await;
        worker.work("default", no_work()).await;
    };
    let (printed, ()) = tokio::join!(output(&mut script), work);
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (refused, rest) = lines.split_first().unwrap();
    let (status, events) = rest.split_last().unwrap();
    assert_eq!(refused["refused"], "ALREADY_EXISTS");
    assert_eq!(status["status"], "RUN_STATUS_NO_WORK");
    let sequences: Vec<u64> = events.iter().filter_map(|event| event["sequence"].as_u64()).collect();
    assert_eq!(sequences, (1..=u64::try_from(events.len()).unwrap()).collect::<Vec<_>>());
    let first: Vec<_> = events[..3].iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(first, ["run_changed", "diagnostics", "job_changed"]);
    assert_eq!(events.last().unwrap()["event"], "run_changed");
}

async fn buf_curl(app: &TestApp, arguments: &[&str]) -> String {
    let buf = program("MOORLINE_TEST_BUF", "buf");
    output(
        Command::new(buf)
            .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
            .args(arguments)
            .env("HOME", app.artifacts.path()),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn buf_curl_needs_no_files() {
    let app = TestApp::start().await;
    let url = format!("http://{}", app.address());
    let services = buf_curl(&app, &["--list-services", &url]).await;
    for service in [
        "grpc.health.v1.Health",
        "moorline.v1.RunService",
        "moorline.v1.ShardService",
        "moorline.v1.WorkerService",
    ] {
        assert!(services.lines().any(|line| line == service), "{service} is missing in:\n{services}");
    }
    let health = buf_curl(&app, &[&format!("{url}/grpc.health.v1.Health/Check")]).await;
    assert_eq!(serde_json::from_str::<Value>(&health).unwrap()["status"], "SERVING");

    let request = r#"{"repository":"octo/hello","feature_key":"001-buf"}"#;
    let created = buf_curl(&app, &["-d", request, &format!("{url}/moorline.v1.RunService/CreateRun")]).await;
    let created: Value = serde_json::from_str(&created).unwrap();
    let run_id = created["run"]["runId"].as_str().unwrap().to_owned();

    let shards = buf_curl(&app, &[&format!("{url}/moorline.v1.ShardService/ListShards")]).await;
    let shards: Value = serde_json::from_str(&shards).unwrap();
    let queues: Vec<_> = shards["shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shard| shard["queue"].as_str().unwrap())
        .collect();
    assert_eq!(queues, ["codex-0", "codex-1", "codex-2", "gemini"]);

    app.runs()
        .cancel_run(v1::CancelRunRequest {
            run_id: run_id.clone(),
            reason: String::new(),
        })
        .await
        .unwrap();
    let watch = format!(r#"{{"run_id":"{run_id}"}}"#);
    let events = buf_curl(&app, &["-d", &watch, &format!("{url}/moorline.v1.RunService/WatchRun")]).await;
    let events: Vec<Value> = serde_json::Deserializer::from_str(&events)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(events.first().unwrap()["event"]["runChanged"]["status"], "RUN_STATUS_PENDING");
    assert_eq!(events.last().unwrap()["event"]["runChanged"]["status"], "RUN_STATUS_CANCELLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_speaks_both_versions_with_comments() {
    use tonic_reflection::pb::{v1 as newer, v1alpha as older};
    let app = TestApp::start().await;
    let symbol = "moorline.v1.RunService".to_owned();
    let request = newer::ServerReflectionRequest {
        message_request: Some(newer::server_reflection_request::MessageRequest::FileContainingSymbol(
            symbol.clone(),
        )),
        ..Default::default()
    };
    let mut client = newer::server_reflection_client::ServerReflectionClient::new(app.channel());
    let mut answers = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let newer::server_reflection_response::MessageResponse::FileDescriptorResponse(files) = answer else {
        panic!("{answer:?}")
    };
    let has_comment = files
        .file_descriptor_proto
        .iter()
        .any(|file| file.windows(19).any(|window| window == b"Starts a run. With "));
    assert!(has_comment, "the descriptors bear the comments of the proto files");

    let request = older::ServerReflectionRequest {
        message_request: Some(older::server_reflection_request::MessageRequest::FileContainingSymbol(symbol)),
        ..Default::default()
    };
    let mut client = older::server_reflection_client::ServerReflectionClient::new(app.channel());
    let mut answers = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(
        matches!(
            answer,
            older::server_reflection_response::MessageResponse::FileDescriptorResponse(_)
        ),
        "{answer:?}"
    );
}
