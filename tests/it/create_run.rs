//! CreateRun: what it stores, what it refuses.
//!
//! Contract: 001/FR-001, 001/FR-004 to 001/FR-007, 001/FR-014 to 001/FR-016.

use moorline_proto::v1;
use tokio::task::JoinSet;

use crate::support::{TestApp, app::request, fact, kind};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_routed_by_hash_and_starts_with_discover() {
    let app = TestApp::start().await;
    let run = app.create("001-greeting").await;
    // sha256sum of "octo/hello|001-greeting" begins with 4d28d10e46f7adfb, which is 1 modulo 3.
    assert_eq!((run.codex_queue.as_str(), run.codex_volume.as_str()), ("codex-1", "codex_auth_1"));
    assert_eq!((run.codex_shard_index, run.hash_modulo), (Some(1), Some(3)));
    assert_eq!(run.status(), v1::RunStatus::Pending);
    assert_eq!(
        run.branch_name,
        format!("moorline/001-greeting/{}", &run.run_id.replace('-', "")[20..])
    );
    let jobs = app.get(&run.run_id).await.jobs;
    let jobs: Vec<_> = jobs
        .iter()
        .map(|job| (job.stage(), job.attempt, job.queue.as_str(), job.status()))
        .collect();
    assert_eq!(jobs, [(v1::Stage::Discover, 1, "default", v1::JobStatus::Queued)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explicit_queue_wins_over_the_hash_and_must_exist() {
    let app = TestApp::start().await;
    let run = app
        .create_with(v1::CreateRunRequest {
            codex_queue: "codex-2".to_owned(),
            ..request("001-a")
        })
        .await
        .unwrap();
    assert_eq!(
        (run.codex_queue.as_str(), run.codex_shard_index, run.hash_modulo),
        ("codex-2", Some(2), None)
    );
    let refused = app
        .create_with(v1::CreateRunRequest {
            codex_queue: "codex-9".to_owned(),
            ..request("001-b")
        })
        .await
        .unwrap_err();
    assert_eq!(kind(&refused), "InvalidArgument UNKNOWN_QUEUE");
    assert!(refused.message().contains("moorline shard list"), "{}", refused.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_name_no_repository_or_feature_are_refused_and_leave_nothing() {
    let app = TestApp::start().await;
    let long = "x".repeat(121);
    for repository in ["", "  ", "hello", "octo/../x", "ext::sh -c id", "https://user:secret@host/x.git"] {
        let refused = app
            .create_with(v1::CreateRunRequest {
                repository: repository.to_owned(),
                ..request("001-a")
            })
            .await
            .unwrap_err();
        assert_eq!(kind(&refused), "InvalidArgument INVALID_REPOSITORY", "{repository:?}");
        assert!(!refused.message().contains("secret"));
    }
    for feature_key in ["", "..", "a/b", "../x", "a..b", long.as_str()] {
        let refused = app.create_with(request(feature_key)).await.unwrap_err();
        assert_eq!(kind(&refused), "InvalidArgument INVALID_FEATURE_KEY", "{feature_key:?}");
    }
    let listed = app.runs().list_runs(v1::ListRunsRequest::default()).await.unwrap().into_inner();
    assert!(listed.runs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_open_run_of_a_feature_is_refused_with_the_id_of_the_first() {
    let app = TestApp::start().await;
    let first = app.create("001-a").await;
    let refused = app.create_with(request("001-a")).await.unwrap_err();
    assert_eq!(kind(&refused), "AlreadyExists RUN_ALREADY_OPEN");
    assert_eq!(fact(&refused, "run_id"), first.run_id);
    app.create("001-b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_calls_at_once_for_a_feature_one_starts_a_run() {
    let app = TestApp::start().await;
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let mut runs = app.runs();
        calls.spawn(async move { runs.create_run(request("001-a")).await });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(kind(refused), "AlreadyExists RUN_ALREADY_OPEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_gives_the_same_run_and_other_content_is_refused() {
    let app = TestApp::start().await;
    let keyed = |feature: &str| v1::CreateRunRequest {
        idempotency_key: "k-1".to_owned(),
        ..request(feature)
    };
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let mut runs = app.runs();
        let request = keyed("001-a");
        calls.spawn(async move { runs.create_run(request).await });
    }
    let answers: Vec<_> = calls
        .join_all()
        .await
        .into_iter()
        .map(|answer| answer.expect("the run").into_inner())
        .collect();
    let first = answers[0].run.as_ref().unwrap().run_id.clone();
    assert!(answers.iter().all(|answer| answer.run.as_ref().unwrap().run_id == first));
    assert_eq!(answers.iter().filter(|answer| !answer.already_existed).count(), 1);

    let refused = app.create_with(keyed("001-b")).await.unwrap_err();
    assert_eq!(kind(&refused), "AlreadyExists IDEMPOTENCY_KEY_REUSED");
    assert_eq!(fact(&refused, "run_id"), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_will_not_wait_is_refused_while_its_shard_is_offline() {
    let app = TestApp::start().await;
    let options = v1::RunOptions {
        on_shard_unavailable: v1::ShardUnavailablePolicy::Refuse.into(),
        ..Default::default()
    };
    let refused = app
        .create_with(v1::CreateRunRequest {
            options: Some(options),
            ..request("001-a")
        })
        .await
        .unwrap_err();
    assert_eq!(kind(&refused), "FailedPrecondition SHARD_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_malformed_run_ids_are_told_apart() {
    let app = TestApp::start().await;
    let get = async |run_id: &str| {
        app.runs()
            .get_run(v1::GetRunRequest { run_id: run_id.to_owned() })
            .await
            .unwrap_err()
    };
    assert_eq!(kind(&get("01932c07-a3f0-7aaa-8bbb-0123456789ab").await), "NotFound RUN_NOT_FOUND");
    assert_eq!(kind(&get("nonsense").await), "InvalidArgument INVALID_ID");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_this_server_does_not_know_are_refused_and_not_passed_over() {
    let app = TestApp::start().await;
    let refused = async |request| kind(&app.create_with(request).await.unwrap_err());
    let complete = v1::Phase::Complete.into();
    assert_eq!(
        refused(v1::CreateRunRequest {
            force_phase: complete,
            ..request("001-a")
        })
        .await,
        "InvalidArgument INVALID_PHASE"
    );
    assert_eq!(
        refused(v1::CreateRunRequest {
            force_phase: 99,
            ..request("001-a")
        })
        .await,
        "InvalidArgument UNKNOWN_VALUE"
    );
    assert_eq!(
        refused(v1::CreateRunRequest {
            agent: 99,
            ..request("001-a")
        })
        .await,
        "InvalidArgument UNKNOWN_VALUE"
    );
    let options = Some(v1::RunOptions {
        on_auth_failure: 99,
        ..Default::default()
    });
    assert_eq!(
        refused(v1::CreateRunRequest {
            options,
            ..request("001-a")
        })
        .await,
        "InvalidArgument UNKNOWN_VALUE"
    );
    let notes = "a\0b".to_owned();
    assert_eq!(
        refused(v1::CreateRunRequest { notes, ..request("001-a") }).await,
        "InvalidArgument INVALID_TEXT"
    );
}
