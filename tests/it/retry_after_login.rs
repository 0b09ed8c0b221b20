//! A run that its login failed is retried once the login is good.
//!
//! Contract: 001/FR-012, 001/FR-025, 001/FR-027.

use moorline_proto::v1::{self, command_result::Result as Answer, connect_request, connect_response::Frame};

use crate::support::{
    ScriptedWorker, TestApp, fact, kind,
    scripted_worker::{check, discovered},
};

const REMEDY: &str = "volume codex_auth_1 holds no login: run codex login";

/// A run that has failed since nobody is logged in, and the worker that said so.
async fn failed_by_login(app: &TestApp) -> (String, ScriptedWorker) {
    let mut default = ScriptedWorker::default_worker(app, "default-1").await;
    let mut shard = ScriptedWorker::shard_worker(app, "codex-worker-1", 1).await;
    let run = app.create("001-greeting").await;
    default.work("default", discovered()).await;
    shard.credit("codex-1", 1).await;
    let offer = shard.offer().await;
    shard.accept(&offer).await;
    let bad = check("codex-worker-1", 1, v1::PreflightStatus::Failed, REMEDY);
    shard.report(&offer, 1, v1::report::News::Preflight(bad)).await;
    let failure = v1::Failure {
        code: "NOT_LOGGED_IN".to_owned(),
        message: REMEDY.to_owned(),
        class: v1::FailureClass::Login.into(),
        ..Default::default()
    };
    let outcome = v1::finished::Outcome::Failure(failure);
    shard
        .report(
            &offer,
            2,
            v1::report::News::Finished(v1::Finished {
                outcome: Some(outcome),
                execution: None,
            }),
        )
        .await;
    app.finished(&run.run_id).await;
    (run.run_id, shard)
}

async fn retry(app: &TestApp, run_id: &str) -> Result<v1::Run, tonic::Status> {
    let request = v1::RetryRunRequest {
        run_id: run_id.to_owned(),
        ..Default::default()
    };
    Ok(app.runs().retry_run(request).await?.into_inner().run.expect("the run"))
}

/// Answers the next command with a check.
async fn answer(worker: &mut ScriptedWorker, status: v1::PreflightStatus, message: &str) {
    let command = loop {
        match worker.next().await.unwrap() {
            Some(Frame::Command(command)) => break command,
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    };
    let asked = v1::CheckVolumeCommand {
        volume: "codex_auth_1".to_owned(),
        probe: false,
    };
    assert_eq!(command.command, Some(v1::command::Command::CheckVolume(asked)));
    let result = v1::CommandResult {
        command_id: command.command_id,
        result: Some(Answer::VolumeChecked(v1::VolumeChecked {
            preflight: Some(check("codex-worker-1", 1, status, message)),
            ..v1::VolumeChecked::default()
        })),
    };
    worker.send(connect_request::Frame::CommandResult(result)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_with_the_remedy_while_the_login_is_bad_and_goes_on_once_it_is_good() {
    let app = TestApp::start().await;
    let (run_id, mut shard) = failed_by_login(&app).await;
    let (refused, ()) = tokio::join!(
        retry(&app, &run_id),
        answer(
            &mut shard,
            v1::PreflightStatus::Failed,
            "the login of codex_auth_1 has expired: run codex login"
        ),
    );
    let refused = refused.unwrap_err();
    assert_eq!(kind(&refused), "FailedPrecondition LOGIN_STILL_BAD");
    assert_eq!(fact(&refused, "volume"), "codex_auth_1");
    assert!(refused.message().contains("has expired: run codex login"), "{}", refused.message());
    assert_eq!(app.get(&run_id).await.run.unwrap().status(), v1::RunStatus::Failed);

    let (retried, ()) = tokio::join!(
        retry(&app, &run_id),
        answer(&mut shard, v1::PreflightStatus::Passed, "Logged in using ChatGPT"),
    );
    assert_eq!(retried.unwrap().status(), v1::RunStatus::Retrying);
    shard.credit("codex-1", 1).await;
    let offer = shard.offer().await;
    assert_eq!((offer.stage(), offer.attempt), (v1::Stage::Submit, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_with_a_good_login_leaves_nothing_to_ask() {
    let app = TestApp::start().await;
    let (run_id, shard) = failed_by_login(&app).await;
    shard.leave().await;
    let refused = retry(&app, &run_id).await.unwrap_err();
    assert_eq!(kind(&refused), "FailedPrecondition LOGIN_STILL_BAD");
    for told in [REMEDY, "start the shard's worker"] {
        assert!(refused.message().contains(told), "{told} is missing in: {}", refused.message());
    }
    let _restarted = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    assert_eq!(retry(&app, &run_id).await.unwrap().status(), v1::RunStatus::Retrying);
}
