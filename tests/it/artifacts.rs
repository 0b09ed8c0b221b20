//! Artifacts and output: stored once, under the job's lease, and read back as they were.
//!
//! Contract: 007/FR-027, 007/FR-028.

use moorline_proto::v1;
use sha2::{Digest as _, Sha256};

use crate::support::{
    ScriptedWorker, TestApp,
    artifact::{upload, upload_as},
    kind,
    scripted_worker::discovered,
};

async fn running_job(app: &TestApp) -> (ScriptedWorker, v1::Offer) {
    let mut worker = ScriptedWorker::default_worker(app, "default-1").await;
    app.create("001-a").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    let progress = v1::StageProgress {
        message: "begun".to_owned(),
        ..Default::default()
    };
    worker.report(&offer, 1, v1::report::News::Progress(progress)).await;
    assert_eq!(worker.acknowledged().await, Some(1));
    (worker, offer)
}

async fn download(app: &TestApp, artifact_id: &str) -> (v1::Artifact, Vec<u8>) {
    let request = v1::DownloadArtifactRequest {
        artifact_id: artifact_id.to_owned(),
    };
    let mut stream = app.runs().download_artifact(request).await.unwrap().into_inner();
    let mut artifact = None;
    let mut content = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        artifact = artifact.or(message.artifact);
        assert!(message.content.len() <= 64 * 1024);
        content.extend_from_slice(&message.content);
    }
    (artifact.expect("the first message's description"), content)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_comes_back_as_it_was_and_is_stored_once() {
    let app = TestApp::start().await;
    let (_worker, offer) = running_job(&app).await;
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let first = upload(&app, &offer, v1::ArtifactType::CodexLogs, &content).await.unwrap();
    let again = upload(&app, &offer, v1::ArtifactType::CodexLogs, &content).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(first.digest, hex::encode(Sha256::digest(&content)));
    let (artifact, downloaded) = download(&app, &first.artifact_id).await;
    assert_eq!(artifact, first);
    assert!(downloaded == content, "the content came back different");
    let request = v1::ListArtifactsRequest {
        run_id: offer.run_id.clone(),
    };
    let listed = app.runs().list_artifacts(request).await.unwrap().into_inner().artifacts;
    assert_eq!(listed, [first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_that_the_contract_names_can_be_stored() {
    let app = TestApp::start().await;
    let (_worker, offer) = running_job(&app).await;
    let types: Vec<_> = (1..).map_while(|number| v1::ArtifactType::try_from(number).ok()).collect();
    assert!(types.contains(&v1::ArtifactType::ShadowLogs));
    for kind in types {
        let stored = upload(&app, &offer, kind, b"content").await;
        assert_eq!(
            stored.unwrap_or_else(|_| panic!("{} is not stored", kind.as_str_name())).r#type(),
            kind
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_was_announced_is_refused_and_so_is_a_path() {
    let app = TestApp::start().await;
    let (_worker, offer) = running_job(&app).await;
    let kind_of = v1::ArtifactType::PushLog;
    let other = hex::encode(Sha256::digest(b"other"));
    let refused = upload_as(&app, &offer, kind_of, b"content", &other, "push.log").await.unwrap_err();
    assert_eq!(kind(&refused), "InvalidArgument DIGEST_MISMATCH");
    let digest = hex::encode(Sha256::digest(b"content"));
    for name in ["../escape", "a/b", "", ".hidden"] {
        let refused = upload_as(&app, &offer, kind_of, b"content", &digest, name).await.unwrap_err();
        assert_eq!(kind(&refused), "InvalidArgument INVALID_FILE_NAME", "{name:?}");
    }
    let listed = app
        .runs()
        .list_artifacts(v1::ListArtifactsRequest { run_id: offer.run_id })
        .await
        .unwrap()
        .into_inner();
    assert!(listed.artifacts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_has_passed_on_stores_nothing() {
    let app = TestApp::start().await;
    let (_worker, offer) = running_job(&app).await;
    let stale = v1::Offer {
        lease_token: offer.lease_token - 1,
        ..offer.clone()
    };
    assert_eq!(
        kind(&upload(&app, &stale, v1::ArtifactType::CodexLogs, b"x").await.unwrap_err()),
        "Aborted FENCED"
    );
    let piece = v1::UploadLogsRequest {
        job_id: offer.job_id,
        lease_token: stale.lease_token,
        offset: 0,
        content: "x".into(),
    };
    assert_eq!(
        kind(&app.workers().upload_logs(tokio_stream::iter([piece])).await.unwrap_err()),
        "Aborted FENCED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_followed_while_it_grows_and_a_piece_sent_twice_is_stored_once() {
    let app = TestApp::start().await;
    let (mut worker, offer) = running_job(&app).await;
    let request = v1::StreamRunLogsRequest {
        run_id: offer.run_id.clone(),
        follow: true,
        ..Default::default()
    };
    let mut follow = app.runs().stream_run_logs(request).await.unwrap().into_inner();
    let piece = |offset: i64, content: &'static str| v1::UploadLogsRequest {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        offset,
        content: content.into(),
    };
    let send = async |pieces: Vec<v1::UploadLogsRequest>| {
        app.workers()
            .upload_logs(tokio_stream::iter(pieces))
            .await
            .unwrap()
            .into_inner()
            .next_offset
    };
    assert_eq!(send(vec![piece(0, "one "), piece(4, "two ")]).await, 8);
    assert_eq!(follow.message().await.unwrap().expect("output").content, "one ");
    // Sent again after a lost answer, then beyond what is expected: neither is stored.
    assert_eq!(send(vec![piece(4, "two ")]).await, 8);
    assert_eq!(send(vec![piece(20, "gap")]).await, 8);
    assert_eq!(send(vec![piece(8, "three")]).await, 13);
    worker
        .report(&offer, 2, crate::support::scripted_worker::finished(discovered()))
        .await;
    assert_eq!(worker.acknowledged().await, Some(2));
    app.runs()
        .cancel_run(v1::CancelRunRequest {
            run_id: offer.run_id.clone(),
            reason: String::new(),
        })
        .await
        .unwrap();

    let mut rest = String::new();
    while let Some(piece) = follow.message().await.unwrap() {
        rest.push_str(std::str::from_utf8(&piece.content).unwrap());
    }
    assert_eq!(rest, "two three");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_artifact_is_not_found() {
    let app = TestApp::start().await;
    let request = v1::DownloadArtifactRequest {
        artifact_id: "01932c07-a3f0-7aaa-8bbb-0123456789ab".to_owned(),
    };
    assert_eq!(
        kind(&app.runs().download_artifact(request).await.unwrap_err()),
        "NotFound ARTIFACT_NOT_FOUND"
    );
}
