//! A login that is lost with its agent, as an operator sees it.

use std::time::Duration;

use moorline_proto::v1;
use moorline_tests::{
    issuer::{Point, RENEWED_BEFORE},
    logins::stack::{Options, Stack},
    repo::{FEATURE, SampleRepository},
};
use moorline_worker::engine;
use uuid::Uuid;

use crate::support::within;

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_lost_with_its_agent_needs_a_new_one_and_the_next_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), Options::default()).await.unwrap();
    let engine = engine::connect::choose(&stack.config).await.unwrap();
    // Due for renewal when the agent begins.
    stack.issuer.set_lifetime(RENEWED_BEFORE);
    stack.log_in().await.unwrap();
    let mut pause = stack.issuer.pause_at(Point::Decided);
    let run_id = create(&stack).await;
    pause.reached().await.unwrap();
    let agents = engine.list(&[("moorline.run".to_owned(), run_id.clone())].into()).await.unwrap();
    assert_eq!(agents.len(), 1, "{agents:?}");
    engine.remove(&agents[0]).await.unwrap();
    drop(pause);
    let killed = failure(&stack, run_id).await;
    // An agent of which not even the end is known is tried again, and then the check refuses.
    assert!(
        matches!(killed.code.as_str(), "AGENT_KILLED" | "NOT_LOGGED_IN"),
        "{}: {}",
        killed.code,
        killed.message
    );

    let refused = failure(&stack, create(&stack).await).await;
    assert_eq!(
        (refused.code.as_str(), refused.class()),
        ("NOT_LOGGED_IN", v1::FailureClass::Login),
        "{}",
        refused.message
    );
    let request = v1::GetShardRequest {
        queue: stack.queue().to_owned(),
    };
    let shard = stack.shards().get_shard(request).await.unwrap().into_inner().shard.unwrap();
    let volume = shard.volume.unwrap();
    assert_eq!(
        (volume.status(), volume.rung()),
        (v1::VolumeStatus::NeedsAuth, v1::PreflightRung::NotLoggedIn)
    );

    // And a new login is all that it takes.
    stack.issuer.renew_after(Duration::from_secs(600));
    let check = stack.log_in().await.unwrap();
    assert_eq!(check.status(), v1::PreflightStatus::Passed, "{}", check.message);
    stack.stop().await.unwrap();
}

/// Creates a run in a repository of its own.
async fn create(stack: &Stack) -> String {
    let origin = stack.root.path().join(format!("{}.git", Uuid::now_v7()));
    SampleRepository::builder().build_at(&origin).unwrap();
    let request = v1::CreateRunRequest {
        repository: format!("file://{}", origin.display()),
        feature_key: FEATURE.to_owned(),
        codex_queue: stack.queue().to_owned(),
        ..Default::default()
    };
    stack.runs().create_run(request).await.unwrap().into_inner().run.unwrap().run_id
}

/// Why a run has failed, once it has.
async fn failure(stack: &Stack, run_id: String) -> v1::Failure {
    let ended = within(Duration::from_secs(120), "the end of the run", async || {
        let request = v1::GetRunRequest { run_id: run_id.clone() };
        let run = stack.runs().get_run(request).await.unwrap().into_inner().run.unwrap();
        run.finished_at.is_some().then_some(run)
    });
    let run = ended.await;
    assert_eq!(run.status(), v1::RunStatus::Failed);
    run.failure.unwrap()
}
