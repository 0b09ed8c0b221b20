//! What bad input gets on real parts: a clear error with the right code, nothing half done, nothing lost.
//!
//! Contract: 001/FR-023, 001/FR-025 to 001/FR-027, 007/FR-002, 007/FR-024.

use std::{fs, os::unix::fs::PermissionsExt as _};

use moorline_proto::v1;
use moorline_tests::repo::SampleRepository;

use crate::support::{Fleet, fleet::repository};

/// Fails a run, and returns why.
async fn failure(fleet: &Fleet, origin: &SampleRepository) -> v1::Failure {
    let run = fleet.run(origin).await.run.unwrap();
    assert_eq!(run.status(), v1::RunStatus::Failed);
    assert_eq!(origin.branches().unwrap(), ["main"], "nothing was pushed");
    run.failure.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logged_out_volume_fails_the_run_before_the_agent_starts() {
    let mut fleet = Fleet::new("work").await;
    fleet.default_worker(|_| {}).await;
    fleet.make_volume(0).await;
    fleet.shard_worker(0, |_| {}).await;
    let origin = repository(SampleRepository::builder());
    let view = fleet.run(&origin).await;
    let run = view.run.clone().unwrap();
    assert_eq!(run.status(), v1::RunStatus::Failed);
    let failure = run.failure.clone().unwrap();
    assert_eq!((failure.code.as_str(), failure.class()), ("NOT_LOGGED_IN", v1::FailureClass::Login));
    for told in ["codex_auth_0", "codex-0", "codex-worker-0", "moorline volume login codex_auth_0"] {
        assert!(
            run.codex_preflight_message.contains(told),
            "{told} is missing in: {}",
            run.codex_preflight_message
        );
    }
    assert_eq!(failure.message, run.codex_preflight_message);
    let preflight = view.preflight.unwrap();
    assert_eq!(
        (preflight.status(), preflight.rung(), preflight.exit_code),
        (v1::PreflightStatus::Failed, v1::PreflightRung::NotLoggedIn, Some(1))
    );
    assert!(fleet.model.requests().is_empty(), "the agent was started");
    let shard = fleet
        .app
        .shards()
        .get_shard(v1::GetShardRequest {
            queue: "codex-0".to_owned(),
        })
        .await
        .unwrap()
        .into_inner()
        .shard
        .unwrap();
    assert_eq!(shard.volume.unwrap().status(), v1::VolumeStatus::NeedsAuth);

    // Mended, the run goes on where it failed.
    fleet.log_in(0).await;
    fleet
        .app
        .runs()
        .retry_run(v1::RetryRunRequest {
            run_id: run.run_id.clone(),
            ..Default::default()
        })
        .await
        .unwrap();
    let view = fleet.app.finished(&run.run_id).await;
    assert_eq!(view.run.unwrap().status(), v1::RunStatus::Succeeded);
    assert_eq!(view.jobs.iter().filter(|job| job.stage() == v1::Stage::Discover).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_gone_fails_the_run_and_is_not_made_anew() {
    let fleet = Fleet::start("work").await;
    fs::remove_dir_all(fleet.volume_folder(0)).unwrap();
    let failure = failure(&fleet, &repository(SampleRepository::builder())).await;
    assert_eq!(failure.code, "VOLUME_MISSING");
    assert!(failure.message.contains("codex_auth_0"), "{}", failure.message);
    assert!(!fleet.volume_folder(0).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_volume_does_not_exist_does_not_start() {
    let mut fleet = Fleet::new("work").await;
    let mut config = fleet.config("codex-worker-0", "codex-0");
    config.volume = Some("codex_auth_0".to_owned());
    let error = fleet.worker(config).await.unwrap_err().to_string();
    assert!(error.contains("codex_auth_0"), "{error}");
    assert!(!fleet.volume_folder(0).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn task_lists_that_can_not_be_read_are_told_with_line_and_reason() {
    let fleet = Fleet::start("work").await;
    let told = async |builder| failure(&fleet, &repository(builder)).await;
    let missing = told(SampleRepository::builder().without_tasks()).await;
    assert_eq!((missing.code.as_str(), missing.class()), ("TASKS_MISSING", v1::FailureClass::Job));
    assert!(missing.message.contains("specs/001-greeting/tasks.md"), "{}", missing.message);
    let empty = told(SampleRepository::builder().tasks("")).await;
    assert_eq!(empty.code, "TASKS_EMPTY");
    let malformed = told(SampleRepository::builder().tasks("# Tasks\n\n## Phase 1: Setup\n\n- [ ] T001 One\n- [y] T002 Two\n")).await;
    assert_eq!(malformed.code, "TASKS_MALFORMED");
    assert!(malformed.message.contains("line 6"), "{}", malformed.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_or_branch_that_is_not_there_is_told() {
    let fleet = Fleet::start("work").await;
    let origin = repository(SampleRepository::builder());
    let finish = async |request| {
        let run = fleet.app.create_with(request).await.unwrap();
        fleet.app.finished(&run.run_id).await.run.unwrap().failure.unwrap()
    };
    let gone = v1::CreateRunRequest {
        repository: "file:///nonexistent/moorline.git".to_owned(),
        ..fleet.request(&origin)
    };
    assert_eq!(finish(gone).await.code, "REPOSITORY_UNREACHABLE");
    let no_branch = v1::CreateRunRequest {
        base_ref: "no-such-branch".to_owned(),
        ..fleet.request(&origin)
    };
    let failure = finish(no_branch).await;
    assert_eq!(failure.code, "BASE_REF_MISSING");
    assert!(failure.message.contains("no-such-branch"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_changes_nothing_fails_the_run() {
    let fleet = Fleet::start("say").await;
    let origin = repository(SampleRepository::builder());
    let view = fleet.run(&origin).await;
    let failure = view.run.unwrap().failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.class()), ("NO_CHANGES", v1::FailureClass::Job));
    // Its event log is kept for whoever wants to know why.
    assert!(
        view.artifacts
            .iter()
            .any(|artifact| artifact.r#type() == v1::ArtifactType::CodexLogs)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_exits_with_a_failure_fails_the_run_in_its_own_words() {
    let fleet = Fleet::start("400").await;
    let failure = failure(&fleet, &repository(SampleRepository::builder())).await;
    assert_eq!((failure.code.as_str(), failure.class()), ("AGENT_FAILED", v1::FailureClass::Job));
    assert!(failure.message.contains("400"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_model_refuses_is_the_logins_failure() {
    let fleet = Fleet::start("401").await;
    let failure = failure(&fleet, &repository(SampleRepository::builder())).await;
    assert_eq!(failure.class(), v1::FailureClass::Login, "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_prints_no_json_fails_the_run() {
    let mut fleet = Fleet::new("work").await;
    fleet.default_worker(|_| {}).await;
    fleet.log_in(0).await;
    // A program in the place of the CLI that passes the login check and then talks nonsense.
    let real = fleet.config("any", "default").codex_program;
    let babbler = fleet.root.path().join("codex-babbler");
    let script = format!("#!/bin/sh\ncase \"$*\" in\n*exec*) echo this is no JSON; exit 0 ;;\n*) exec {real} \"$@\" ;;\nesac\n");
    fs::write(&babbler, script).unwrap();
    fs::set_permissions(&babbler, fs::Permissions::from_mode(0o755)).unwrap();
    fleet
        .shard_worker(0, |config| config.codex_program = babbler.display().to_string())
        .await;
    let failure = failure(&fleet, &repository(SampleRepository::builder())).await;
    assert_eq!(failure.code, "AGENT_NO_OUTPUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_takes_too_long_is_stopped() {
    let fleet = Fleet::start("slow-120").await;
    let origin = repository(SampleRepository::builder());
    let options = v1::RunOptions {
        agent_timeout: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
        ..Default::default()
    };
    let run = fleet
        .app
        .create_with(v1::CreateRunRequest {
            options: Some(options),
            ..fleet.request(&origin)
        })
        .await
        .unwrap();
    let failure = fleet.app.finished(&run.run_id).await.run.unwrap().failure.unwrap();
    assert!(
        ["AGENT_TIMED_OUT", "STAGE_TIMED_OUT"].contains(&failure.code.as_str()),
        "{failure:?}"
    );
}
