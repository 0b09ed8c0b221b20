//! A run through its stages, as the server moves it. The worker is scripted; `real_run.rs` has the real one.
//!
//! Contract: 001/FR-002, 001/FR-003, 001/FR-008, 001/FR-009, 001/FR-017, 001/FR-018, 001/FR-037.

use moorline_proto::v1;

use crate::support::{
    ScriptedWorker, TestApp,
    app::request,
    artifact::upload,
    scripted_worker::{check, discovered, failed, finished, no_work, published, submitted},
};

fn jobs(view: &v1::GetRunResponse) -> Vec<(v1::Stage, i32, v1::JobStatus)> {
    view.jobs.iter().map(|job| (job.stage(), job.attempt, job.status())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_from_its_task_list_to_a_pushed_branch() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run = app.create("001-greeting").await;

    let discover = default.work("default", discovered()).await;
    assert_eq!(discover.stage(), v1::Stage::Discover);
    let spec = discover.spec.expect("a spec");
    assert_eq!(
        (spec.repository.as_str(), spec.feature_key.as_str(), spec.volume.as_str()),
        ("octo/hello", "001-greeting", "")
    );

    shard.credit("codex-1", 1).await;
    let submit = shard.offer().await;
    let spec = submit.spec.clone().expect("a spec");
    assert_eq!(
        (submit.queue.as_str(), spec.volume.as_str(), spec.shard_index),
        ("codex-1", "codex_auth_1", Some(1))
    );
    assert_eq!(
        spec.discover.expect("what discover found").phase.expect("a phase").tasks[0].task_id,
        "T001"
    );
    shard.accept(&submit).await;
    let checked = check("codex-worker-1", 1, v1::PreflightStatus::Passed, "Logged in using an API key");
    shard.report(&submit, 1, v1::report::News::Preflight(checked)).await;
    let progress = v1::StageProgress {
        message: "git status".to_owned(),
        ..Default::default()
    };
    shard.report(&submit, 2, v1::report::News::Progress(progress)).await;
    let patch = upload(&app, &submit, v1::ArtifactType::CodexPatch, b"diff --git a/x b/x\n")
        .await
        .expect("a stored patch");
    shard.report(&submit, 3, finished(submitted(&patch.artifact_id))).await;
    assert_eq!(
        [shard.acknowledged().await, shard.acknowledged().await, shard.acknowledged().await],
        [Some(1), Some(2), Some(3)]
    );

    let publish = default.work("default", published(&run.branch_name)).await;
    let spec = publish.spec.expect("a spec");
    assert_eq!(spec.submit.expect("what submit left").patch_artifact_id, patch.artifact_id);
    assert_eq!(spec.branch_name, run.branch_name);

    let view = app.finished(&run.run_id).await;
    let done = view.run.clone().expect("the run");
    assert_eq!((done.status(), done.phase()), (v1::RunStatus::Succeeded, v1::Phase::Complete));
    assert_eq!(
        (done.codex_preflight_status(), done.codex_task_id.as_str()),
        (v1::PreflightStatus::Passed, "thread-1")
    );
    assert_eq!(done.codex_patch_path, patch.path);
    assert!(done.started_at.is_some() && done.finished_at.is_some() && done.failure.is_none());
    let succeeded = v1::JobStatus::Succeeded;
    assert_eq!(
        jobs(&view),
        [
            (v1::Stage::Discover, 1, succeeded),
            (v1::Stage::Submit, 1, succeeded),
            (v1::Stage::Publish, 1, succeeded)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codex_run_bears_queue_volume_shard_worker_and_login_in_its_events() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let run = app.create("001-greeting").await;
    default.work("default", discovered()).await;
    shard.credit("codex-1", 1).await;
    let submit = shard.offer().await;
    shard.accept(&submit).await;
    let message = "volume codex_auth_1 of shard codex-1 is not logged in";
    shard
        .report(
            &submit,
            1,
            v1::report::News::Preflight(check("codex-worker-1", 1, v1::PreflightStatus::Failed, message)),
        )
        .await;
    shard.report(&submit, 2, finished(failed("NOT_LOGGED_IN"))).await;

    let events = app.events(&run.run_id).await;
    let sequences: Vec<i64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=i64::try_from(events.len()).unwrap()).collect::<Vec<_>>());
    let diagnostics: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.event {
            Some(v1::run_event::Event::Diagnostics(diagnostics)) => Some(diagnostics),
            _ => None,
        })
        .collect();
    assert!(
        diagnostics
            .iter()
            .all(|d| (d.queue.as_str(), d.volume.as_str(), d.shard_index) == ("codex-1", "codex_auth_1", Some(1)))
    );
    let last = diagnostics.last().expect("diagnostics");
    assert_eq!(
        (last.worker_name.as_str(), last.preflight_status()),
        ("codex-worker-1", v1::PreflightStatus::Failed)
    );

    let view = app.get(&run.run_id).await;
    let failed = view.run.expect("the run");
    assert_eq!(
        (failed.codex_preflight_status(), failed.codex_preflight_message.as_str()),
        (v1::PreflightStatus::Failed, message)
    );
    assert_eq!(failed.failure.expect("a failure").code, "NOT_LOGGED_IN");
    // The volume's record agrees with the run's.
    let shards = app
        .shards()
        .get_shard(v1::GetShardRequest {
            queue: "codex-1".to_owned(),
        })
        .await
        .unwrap()
        .into_inner();
    let shard = shards.shard.expect("the shard");
    assert_eq!(shard.volume.expect("its volume").status(), v1::VolumeStatus::NeedsAuth);
    assert_eq!(shard.latest_preflight.expect("its check").message, message);
    assert_eq!(
        (shard.latest_run_id, shard.latest_run_status),
        (run.run_id, v1::RunStatus::Failed.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_task_list_ends_the_run_and_skips_the_other_stages() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-greeting").await;
    default.work("default", no_work()).await;
    let view = app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().expect("the run").status(), v1::RunStatus::NoWork);
    let skipped = v1::JobStatus::Skipped;
    assert_eq!(
        jobs(&view),
        [
            (v1::Stage::Discover, 1, v1::JobStatus::Succeeded),
            (v1::Stage::Submit, 1, skipped),
            (v1::Stage::Publish, 1, skipped)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_stage_fails_the_run_with_its_reason() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-greeting").await;
    default.work("default", failed("TASKS_MISSING")).await;
    let view = app.finished(&run.run_id).await;
    let run = view.run.expect("the run");
    assert_eq!((run.status(), run.phase()), (v1::RunStatus::Failed, v1::Phase::Discover));
    assert_eq!(run.failure.expect("a failure").message, "TASKS_MISSING in a test");
    assert_eq!(view.jobs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_phase_runs_alone() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let forced = |phase: v1::Phase| v1::CreateRunRequest {
        force_phase: phase.into(),
        ..request("001-greeting")
    };
    let run = app.create_with(forced(v1::Phase::Discover)).await.unwrap();
    default.work("default", discovered()).await;
    let view = app.finished(&run.run_id).await;
    assert_eq!(view.run.expect("the run").status(), v1::RunStatus::Succeeded);
    assert_eq!(view.jobs.len(), 1);

    let refused = app.create_with(forced(v1::Phase::Publish)).await.unwrap_err();
    assert_eq!(crate::support::kind(&refused), "FailedPrecondition PATCH_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_for_an_offline_shard_waits_and_says_why_and_never_delays_other_work() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    let run = app.create("001-greeting").await;
    default.work("default", discovered()).await;
    let waiting = app.get(&run.run_id).await.jobs.pop().expect("a job");
    assert_eq!(
        (waiting.stage(), waiting.status(), waiting.hold_reason()),
        (v1::Stage::Submit, v1::JobStatus::Queued, v1::HoldReason::ShardOffline)
    );

    let other = app.create("002-other").await;
    default.work("default", no_work()).await;
    app.finished(&other.run_id).await;

    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    shard.credit("codex-1", 1).await;
    assert_eq!(shard.offer().await.run_id, run.run_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn higher_priority_goes_first_within_a_queue() {
    let app = TestApp::start().await;
    let with_priority = |feature: &str, priority| {
        let options = v1::RunOptions {
            priority,
            ..Default::default()
        };
        v1::CreateRunRequest {
            options: Some(options),
            ..request(feature)
        }
    };
    for (feature, priority) in [("001-low", -5), ("002-normal", 0), ("003-high", 7)] {
        app.create_with(with_priority(feature, priority)).await.unwrap();
    }
    let mut default = ScriptedWorker::default_worker(&app, "default-1").await;
    default.credit("default", 3).await;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(default.offer().await.spec.expect("a spec").feature_key);
    }
    assert_eq!(order, ["003-high", "002-normal", "001-low"]);
}
