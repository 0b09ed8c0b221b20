//! A run on real parts: the real worker, local processes, the real Codex CLI with a scripted model.
//!
//! Contract: 001/FR-015, 001/FR-022, 001/FR-024, 007/FR-020, 007/FR-022, 007/FR-023.

use moorline_proto::v1;
use moorline_tests::{
    model::ScriptedModel,
    repo::{FEATURE, SampleRepository},
};

use crate::support::{
    Fleet,
    app::request,
    fleet::{API_KEY, repository},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_from_a_task_list_to_a_commit_on_a_branch() {
    let mut fleet = Fleet::new("work").await;
    fleet.default_worker(|_| {}).await;
    for index in 0..3 {
        fleet.log_in(index).await;
        fleet.shard_worker(index, |_| {}).await;
    }
    let origin = repository(SampleRepository::builder());
    let main_before = origin.head("main").unwrap();
    let request = v1::CreateRunRequest {
        codex_queue: String::new(),
        ..fleet.request(&origin)
    };
    let created = fleet.app.create_with(request).await.unwrap();
    let view = fleet.app.finished(&created.run_id).await;
    let run = view.run.clone().unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);

    // Routed by hash, to the shard that the server says it would be.
    let route = v1::ResolveRouteRequest {
        affinity_key: run.affinity_key.clone(),
        ..Default::default()
    };
    let route = fleet.app.shards().resolve_route(route).await.unwrap().into_inner();
    assert_eq!((&route.queue, &route.volume), (&run.codex_queue, &run.codex_volume));
    let submit = view.jobs.iter().find(|job| job.stage() == v1::Stage::Submit).unwrap();
    assert_eq!(submit.worker_name, format!("codex-worker-{}", run.codex_shard_index.unwrap()));

    // Gated by a login check.
    let preflight = view.preflight.clone().unwrap();
    assert_eq!(
        (preflight.status(), preflight.volume.as_str()),
        (v1::PreflightStatus::Passed, run.codex_volume.as_str())
    );
    assert_eq!(run.codex_preflight_status(), v1::PreflightStatus::Passed);

    // Worked by the agent, and pushed: one commit on top of the base, which ticks what it did.
    let log = origin.log(&run.branch_name).unwrap();
    assert_eq!((log.len(), &log[1].id), (2, &main_before));
    let published = view.jobs.last().unwrap().result.clone().unwrap().result.unwrap();
    let v1::job_result::Result::Publish(published) = published else {
        panic!("{published:?}")
    };
    assert_eq!((&published.commit, &published.branch_name), (&log[0].id, &run.branch_name));
    let started_at = run.started_at.unwrap().seconds;
    assert_eq!((log[0].authored_at, log[0].committed_at), (started_at, started_at));
    let tasks = origin.show(&run.branch_name, &format!("specs/{FEATURE}/tasks.md")).unwrap();
    assert!(
        tasks.contains("- [x] T001") && tasks.contains("- [x] T002") && tasks.contains("- [ ] T003"),
        "{tasks}"
    );
    assert_eq!(origin.head("main").unwrap(), main_before);

    // The next run of the feature takes the next phase, once this one is merged.
    let types: Vec<_> = view.artifacts.iter().map(v1::Artifact::r#type).collect();
    for kind in [v1::ArtifactType::CodexLogs, v1::ArtifactType::CodexPatch, v1::ArtifactType::PushLog] {
        assert!(types.contains(&kind), "{kind:?} is missing in {types:?}");
    }
    assert!(!run.codex_task_id.is_empty(), "the agent's thread id");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_the_agent_can_be_read_and_holds_no_secret() {
    let fleet = Fleet::start("work").await;
    let origin = repository(SampleRepository::builder());
    let view = fleet.run(&origin).await;
    let run = view.run.clone().unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
    let request = v1::StreamRunLogsRequest {
        run_id: run.run_id.clone(),
        ..Default::default()
    };
    let mut pieces = fleet.app.runs().stream_run_logs(request).await.unwrap().into_inner();
    let mut output = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        output.extend_from_slice(&piece.content);
    }
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("thread.started") && output.contains("turn.completed"), "{output}");
    let events = fleet.app.events(&run.run_id).await;
    assert!(!format!("{output}{view:?}{events:?}").contains(API_KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_the_agent_itself_are_part_of_its_patch() {
    let fleet = Fleet::start("commit").await;
    let origin = repository(SampleRepository::builder());
    let run = fleet.run(&origin).await.run.unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
    let log = origin.log(&run.branch_name).unwrap();
    assert_eq!(log.len(), 2, "one commit, whoever committed before: {log:?}");
    let tasks = origin.show(&run.branch_name, &format!("specs/{FEATURE}/tasks.md")).unwrap();
    assert!(tasks.contains("- [x] T001"), "{tasks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_task_list_is_no_work_and_wakes_no_agent() {
    let fleet = Fleet::start("work").await;
    let origin = repository(SampleRepository::builder().tasks("# Tasks\n\n## Phase 1: Setup\n\n- [x] T001 Done\n"));
    let run = fleet.run(&origin).await.run.unwrap();
    assert_eq!(run.status(), v1::RunStatus::NoWork);
    assert!(fleet.model.requests().is_empty());
    assert_eq!(origin.branches().unwrap(), ["main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_agent_is_stopped() {
    let mut fleet = Fleet::start("slow-120").await;
    let origin = repository(SampleRepository::builder());
    let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
    at_work(&fleet.model, &fleet, &run.run_id).await;
    let begun = std::time::Instant::now();
    fleet
        .app
        .runs()
        .cancel_run(v1::CancelRunRequest {
            run_id: run.run_id.clone(),
            reason: "test".to_owned(),
        })
        .await
        .unwrap();
    let view = fleet.app.finished(&run.run_id).await;
    assert_eq!(view.run.unwrap().status(), v1::RunStatus::Cancelled);
    assert_eq!(view.jobs.last().unwrap().status(), v1::JobStatus::Cancelled);
    assert!(begun.elapsed().as_secs() < 60, "it was not stopped but ran to its end");
    // Nothing of the job is left behind.
    let left = fleet
        .engine()
        .await
        .list(&[("moorline.run".to_owned(), run.run_id)].into())
        .await
        .unwrap();
    assert_eq!(left, []);
    fleet.stop().await;
}

/// Waits until the agent has asked the model, by watching the run's progress.
async fn at_work(model: &ScriptedModel, fleet: &Fleet, run_id: &str) {
    let request = v1::WatchRunRequest {
        run_id: run_id.to_owned(),
        after_sequence: 0,
    };
    let mut events = fleet.app.runs().watch_run(request).await.unwrap().into_inner();
    let working = async {
        while let Some(message) = events.message().await.unwrap() {
            let event = message.event.unwrap().event.unwrap();
            if matches!(&event, v1::run_event::Event::Progress(progress) if progress.stage() == v1::Stage::Submit)
                && !model.requests().is_empty()
            {
                return;
            }
        }
        panic!("the run ended before the agent was at work");
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), working)
        .await
        .expect("the agent at work in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_publish_takes_the_patch_of_an_earlier_run() {
    let fleet = Fleet::start("work").await;
    let origin = repository(SampleRepository::builder());
    let forced = |phase: v1::Phase| v1::CreateRunRequest {
        force_phase: phase.into(),
        ..fleet.request(&origin)
    };
    let submit = fleet.app.create_with(forced(v1::Phase::Submit)).await.unwrap();
    let submit = fleet.app.finished(&submit.run_id).await.run.unwrap();
    assert_eq!(submit.status(), v1::RunStatus::Succeeded, "{:?}", submit.failure);
    assert_eq!(origin.branches().unwrap(), ["main"]);
    let publish = fleet.app.create_with(forced(v1::Phase::Publish)).await.unwrap();
    let publish = fleet.app.finished(&publish.run_id).await.run.unwrap();
    assert_eq!(publish.status(), v1::RunStatus::Succeeded, "{:?}", publish.failure);
    assert_eq!(origin.log(&publish.branch_name).unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_not_codex_is_not_delayed_by_codex_work() {
    let fleet = Fleet::start("slow-120").await;
    let busy = repository(SampleRepository::builder());
    let done = repository(SampleRepository::builder().tasks("# Tasks\n\n## Phase 1: Setup\n\n- [x] T001 Done\n"));
    let run = fleet.app.create_with(fleet.request(&busy)).await.unwrap();
    at_work(&fleet.model, &fleet, &run.run_id).await;
    let repository = format!("file://{}", done.origin().display());
    let other = fleet
        .app
        .create_with(v1::CreateRunRequest {
            repository,
            ..request(FEATURE)
        })
        .await
        .unwrap();
    assert_eq!(fleet.app.finished(&other.run_id).await.run.unwrap().status(), v1::RunStatus::NoWork);
    fleet
        .app
        .runs()
        .cancel_run(v1::CancelRunRequest {
            run_id: run.run_id.clone(),
            reason: String::new(),
        })
        .await
        .unwrap();
    fleet.app.finished(&run.run_id).await;
}
