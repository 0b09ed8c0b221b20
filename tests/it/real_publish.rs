//! Publishing on real git: conflicts, refused pushes, pull requests.
//!
//! Contract: 001/FR-013, 007/FR-025, 007/FR-026.

use moorline_proto::v1;
use moorline_tests::{
    forge::{self, LocalForge},
    repo::{FEATURE, SampleRepository},
};
use secrecy::SecretString;

use crate::support::{Fleet, app::request, fleet::repository};

/// A fleet whose workers know the forge and its token.
async fn fleet_with(forge: &LocalForge) -> Fleet {
    let mut fleet = Fleet::new("work").await;
    let (url, api_url) = (forge.url().to_owned(), forge.api_url());
    let known = |config: &mut moorline_worker::config::Config| {
        config.github_url = url.clone();
        config.github_api_url = api_url.clone();
        config.github_token = Some(SecretString::from(forge::TOKEN));
    };
    fleet.default_worker(known).await;
    fleet.log_in(0).await;
    fleet.shard_worker(0, known).await;
    fleet
}

fn forge_request() -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        codex_queue: "codex-0".to_owned(),
        ..request(FEATURE)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_opened_once_for_the_branch_of_the_run() {
    let forge = LocalForge::start().await.unwrap();
    let origin = forge.add("octo/hello", SampleRepository::builder()).unwrap();
    let fleet = fleet_with(&forge).await;
    let run = fleet.app.create_with(forge_request()).await.unwrap();
    let view = fleet.app.finished(&run.run_id).await;
    let run = view.run.unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
    let opened = forge.pull_requests("octo/hello");
    assert_eq!(opened.len(), 1);
    assert_eq!(
        (opened[0].head.as_str(), opened[0].base.as_str()),
        (run.branch_name.as_str(), "main")
    );
    assert!(opened[0].title.contains(FEATURE), "{}", opened[0].title);
    assert!(
        run.pr_url.ends_with(&format!("/octo/hello/pull/{}", opened[0].number)),
        "{}",
        run.pr_url
    );
    assert_eq!(origin.log(&run.branch_name).unwrap().len(), 2);
    assert!(
        view.artifacts
            .iter()
            .any(|artifact| artifact.r#type() == v1::ArtifactType::PrResponse)
    );
    let audit = view.credential_audit.unwrap();
    assert_eq!(
        (audit.codex_status(), audit.github_status(), audit.notes.as_str()),
        (v1::CodexCredentialStatus::Valid, v1::GithubCredentialStatus::Valid, "")
    );
    // The token went to the forge, and nowhere else.
    let seen = format!("{:?}{:?}{:?}", view.jobs, view.artifacts, fleet.app.events(&run.run_id).await);
    assert!(!seen.contains(forge::TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_is_retried_after_the_push_duplicates_nothing() {
    let forge = LocalForge::start().await.unwrap();
    let origin = forge.add("octo/hello", SampleRepository::builder()).unwrap();
    let fleet = fleet_with(&forge).await;
    // The push goes through; the forge's API refuses the pull request. Two looks at the token come before it, which refuse nothing.
    forge.fail_next(forge::Side::Api, 403, 3);
    let run = fleet.app.create_with(forge_request()).await.unwrap();
    let failed = fleet.app.finished(&run.run_id).await.run.unwrap();
    assert_eq!(failed.status(), v1::RunStatus::Failed);
    let commit = origin.head(&failed.branch_name).unwrap();

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
    let run = view.run.unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
    assert_eq!(origin.head(&run.branch_name).unwrap(), commit, "the same commit again");
    assert_eq!(forge.pull_requests("octo/hello").len(), 1);
    assert_eq!(
        view.jobs.iter().filter(|job| job.stage() == v1::Stage::Submit).count(),
        1,
        "the agent was not paid twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_forge_refuses_halts_publish_before_the_push_and_again_at_each_retry() {
    let forge = LocalForge::start().await.unwrap();
    let origin = forge.add("octo/hello", SampleRepository::builder()).unwrap();
    let mut fleet = fleet_with(&forge).await;
    forge.fail_next(forge::Side::Api, 401, 3);
    let run = fleet.app.create_with(forge_request()).await.unwrap();
    let view = fleet.app.finished(&run.run_id).await;
    let failure = view.run.unwrap().failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.class()), ("FORGE_AUTH", v1::FailureClass::Login));
    assert!(failure.message.contains("GITHUB_TOKEN"), "{}", failure.message);
    let audit = view.credential_audit.unwrap();
    assert_eq!(
        (audit.codex_status(), audit.github_status()),
        (v1::CodexCredentialStatus::Valid, v1::GithubCredentialStatus::Invalid)
    );
    assert_eq!(origin.branches().unwrap(), ["main"]);
    let retry = async |fleet: &Fleet| {
        let request = v1::RetryRunRequest {
            run_id: run.run_id.clone(),
            ..Default::default()
        };
        fleet.app.runs().retry_run(request).await.unwrap();
        fleet.app.finished(&run.run_id).await
    };
    let again = retry(&fleet).await;
    assert_eq!(again.run.unwrap().failure.unwrap().code, "FORGE_AUTH");
    let done = retry(&fleet).await;
    assert_eq!(done.run.unwrap().status(), v1::RunStatus::Succeeded);
    let audits = fleet.app.events(&run.run_id).await.into_iter();
    let audits = audits.filter(|event| matches!(event.event, Some(v1::run_event::Event::CredentialAudit(_))));
    assert_eq!(audits.count(), 4, "one before submit, one before each publish");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_refused_is_told_in_the_remotes_words_and_the_patch_is_kept() {
    let forge = LocalForge::start().await.unwrap();
    let origin = forge.add("octo/hello", SampleRepository::builder()).unwrap();
    forge.refuse_pushes("octo/hello", "branch names must bear a ticket").unwrap();
    let fleet = fleet_with(&forge).await;
    let run = fleet.app.create_with(forge_request()).await.unwrap();
    let view = fleet.app.finished(&run.run_id).await;
    let failure = view.run.unwrap().failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.class()), ("PUSH_REJECTED", v1::FailureClass::Job));
    assert!(failure.message.contains("branch names must bear a ticket"), "{}", failure.message);
    assert_eq!(origin.branches().unwrap(), ["main"]);
    assert!(
        view.artifacts
            .iter()
            .any(|artifact| artifact.r#type() == v1::ArtifactType::CodexPatch)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_conflicts_is_told_with_its_files_and_kept() {
    let fleet = Fleet::start("work").await;
    let origin = repository(SampleRepository::builder());
    let forced = |phase: v1::Phase| v1::CreateRunRequest {
        force_phase: phase.into(),
        ..fleet.request(&origin)
    };
    let submit = fleet.app.create_with(forced(v1::Phase::Submit)).await.unwrap();
    let submit = fleet.app.finished(&submit.run_id).await.run.unwrap();
    assert_eq!(submit.status(), v1::RunStatus::Succeeded, "{:?}", submit.failure);

    // Meanwhile somebody else changes the same lines.
    let path = format!("specs/{FEATURE}/tasks.md");
    let theirs = origin
        .show("main", &path)
        .unwrap()
        .replace("- [ ] T001 Describe", "- [ ] T001 Explain");
    origin.commit_on("main", &[(&path, &theirs)], "Reword").unwrap();

    let publish = fleet.app.create_with(forced(v1::Phase::Publish)).await.unwrap();
    let view = fleet.app.finished(&publish.run_id).await;
    let run = view.run.unwrap();
    let failure = run.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.class()), ("MERGE_CONFLICT", v1::FailureClass::Job));
    assert_eq!(failure.details.get("conflicting_files"), Some(&path));
    assert_eq!(origin.branches().unwrap(), ["main"]);
}
