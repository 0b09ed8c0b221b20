//! Which way an attempt went is on its record, wherever that is read, whoever has ended it.
//!
//! Contract: 007/FR-036, 007/FR-037, 007/SC-006.

use std::time::Duration;

use moorline_proto::v1::{self, ExecutionPath, Stage, run_event::Event};
use moorline_server::domain::{
    skill::{Policy, StagePolicy},
    stage,
};
use serde_json::{Value, json};

use super::setup::{by_skill, decide, direct, need};
use crate::support::{
    ScriptedWorker, TestApp,
    app::request,
    http::Http,
    scripted_worker::{discovered, failed, finished, hello, no_work, with_skills},
    within,
};

/// Both ways of every stage, compared.
fn all_with_shadows() -> Policy {
    Policy {
        shadow_mode: true,
        ..Policy::default()
    }
}

/// What a worker says of a stage that went this way.
fn went(offer: &v1::Offer, path: ExecutionPath) -> v1::StageExecution {
    let decision = offer.decision.clone().unwrap_or_default();
    let failure = v1::Failure {
        code: "SKILL_TIMED_OUT".to_owned(),
        message: "the skill took longer than it may".to_owned(),
        class: v1::FailureClass::Job.into(),
        details: [("skill".to_owned(), "speckit".to_owned())].into(),
    };
    let shadow = v1::ShadowOutcome {
        execution_path: match path {
            ExecutionPath::DirectOnly => ExecutionPath::Skill,
            _ => ExecutionPath::DirectOnly,
        }
        .into(),
        status: v1::ShadowStatus::Drift.into(),
        files: 2,
        artifact_id: uuid::Uuid::now_v7().to_string(),
        detail: "2 files differ".to_owned(),
        duration_ms: 1,
    };
    v1::StageExecution {
        stage: offer.stage,
        selected_skill: decision.selected_skill,
        execution_path: path.into(),
        used_skills: path != ExecutionPath::DirectOnly,
        used_fallback: path == ExecutionPath::DirectFallback,
        shadow_mode_requested: decision.shadow_mode,
        duration_ms: 1,
        skill_failure: (path == ExecutionPath::DirectFallback).then_some(failure),
        skill_digest: "0f".repeat(32),
        shadow: decision.shadow_mode.then_some(shadow),
    }
}

/// Ends an accepted job with these words.
async fn end(worker: &mut ScriptedWorker, offer: &v1::Offer, outcome: v1::finished::Outcome, execution: Option<v1::StageExecution>) {
    let finished = v1::Finished {
        outcome: Some(outcome),
        execution,
    };
    worker.report(offer, 1, v1::report::News::Finished(finished)).await;
    assert_eq!(worker.acknowledged().await, Some(1));
}

async fn accepted(worker: &mut ScriptedWorker) -> v1::Offer {
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    offer
}

/// The first attempt as GetRun, WatchRun and the old route tell of it.
struct Told {
    job: v1::Job,
    ended: v1::JobChanged,
    task: Value,
}

async fn told(app: &TestApp, run_id: &str) -> Told {
    let job = app.get(run_id).await.jobs.remove(0);
    let ended = app.events(run_id).await.into_iter().find_map(|event| match event.event {
        Some(Event::JobChanged(changed)) if changed.job_id == job.job_id && changed.execution.is_some() => Some(changed),
        _ => None,
    });
    let tasks = Http::of(app).get(&format!("/api/workflows/speckit/runs/{run_id}/tasks")).await;
    Told {
        job,
        ended: ended.expect("an event of its end"),
        task: tasks.json()["tasks"][0].clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_is_told_alike_by_every_record() {
    use ExecutionPath::{DirectFallback, DirectOnly, Skill};
    let app = TestApp::with_skills(all_with_shadows()).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    for (feature, path, shadow) in [
        ("001-a", Skill, false),
        ("002-b", Skill, true),
        ("003-c", DirectFallback, false),
        ("004-d", DirectFallback, true),
        ("005-e", DirectOnly, false),
        ("006-f", DirectOnly, true),
    ] {
        let run = app.create(feature).await;
        let mut decision = if path == DirectOnly {
            direct("discover", "speckit")
        } else {
            by_skill("discover", "speckit")
        };
        decision["shadow_mode"] = json!(shadow);
        decide(&app, &run.run_id, &decision).await;

        let offer = accepted(&mut worker).await;
        let decided = offer.decision.clone().expect("a decision in the offer");
        assert_eq!((decided.shadow_mode, decided.use_skills), (shadow, path != DirectOnly));
        let said = went(&offer, path);
        end(&mut worker, &offer, no_work(), Some(said.clone())).await;

        let told = told(&app, &run.run_id).await;
        assert_eq!(told.job.execution.as_ref(), Some(&said), "{feature}");
        assert_eq!(told.ended.execution.as_ref(), Some(&said), "{feature}");
        assert_eq!(told.job.decision, Some(decided), "{feature}");
        let name = ["", "skill", "direct_fallback", "direct_only"][path as usize];
        let expected = json!({
            "selectedSkill": "speckit", "executionPath": name, "usedSkills": said.used_skills, "usedFallback": said.used_fallback,
            "shadowModeRequested": shadow, "durationMs": 1,
        });
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&told.task[field], value, "{feature}: {field}");
        }
        let code = said.skill_failure.map_or(Value::Null, |failure| json!(failure.code));
        assert_eq!(told.task["skillFailure"]["code"], code, "{feature}");
    }
    // All of it is in the metrics, too.
    let metrics = String::from_utf8(Http::of(&app).get("/metrics").await.content).unwrap();
    for line in [
        r#"moorline_stage_executions_total{stage="discover",skill="speckit",execution_path="direct_fallback",outcome="succeeded"}"#,
        r#"moorline_stage_execution_duration_seconds_count{stage="discover",execution_path="direct_only"}"#,
        r#"moorline_stage_shadows_total{stage="discover",status="drift"}"#,
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_true_is_put_right() {
    let app = TestApp::with_skills(Policy::default()).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-a").await;
    decide(&app, &run.run_id, &direct("discover", "speckit")).await;
    let offer = accepted(&mut worker).await;
    let lie = v1::StageExecution {
        stage: Stage::Publish.into(),
        selected_skill: "another\0".to_owned(),
        skill_digest: "no digest".to_owned(),
        duration_ms: i64::MAX,
        shadow_mode_requested: true,
        ..went(&offer, ExecutionPath::DirectFallback)
    };
    end(&mut worker, &offer, no_work(), Some(lie)).await;
    let told = told(&app, &run.run_id).await;
    let execution = told.job.execution.expect("an execution");
    assert_eq!((execution.stage(), execution.selected_skill.as_str()), (Stage::Discover, "speckit"));
    assert_eq!(execution.execution_path(), ExecutionPath::DirectOnly);
    assert_eq!(
        (execution.used_skills, execution.used_fallback, execution.shadow_mode_requested),
        (false, false, false)
    );
    assert_eq!((execution.skill_failure, execution.skill_digest.as_str()), (None, ""));
    assert!(execution.duration_ms < 60_000, "{}", execution.duration_ms);
}

/// Of each attempt of a run: its status, the way on its record, whether anything was used, and that it has as many records as it must.
async fn ways(app: &TestApp, run_id: &str) -> Vec<(v1::JobStatus, ExecutionPath, bool)> {
    let of = |job: v1::Job| {
        let execution = job.execution.clone().unwrap_or_else(|| panic!("no record of {job:?}"));
        assert_eq!(execution.selected_skill, "speckit");
        let used = execution.used_skills || execution.used_fallback;
        assert!(job.started_at.is_some() || execution.duration_ms == 0, "{job:?}");
        (job.status(), execution.execution_path(), used)
    };
    app.get(run_id)
        .await
        .jobs
        .into_iter()
        .filter(|job| job.finished_at.is_some())
        .map(of)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_an_attempt_it_has_a_record() {
    use v1::JobStatus::{Cancelled, Failed, Skipped, Succeeded};
    let app = TestApp::with_skills(Policy::default()).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;

    // Of an old worker, which says nothing; the stages after it are skipped.
    let old = app.create("001-a").await;
    let offer = accepted(&mut worker).await;
    worker.report(&offer, 1, finished(no_work())).await;
    assert_eq!(worker.acknowledged().await, Some(1));
    let all_unsaid = [Succeeded, Skipped, Skipped].map(|status| (status, ExecutionPath::Skill, false));
    assert_eq!(ways(&app, &old.run_id).await, all_unsaid);

    // Cancelled before anybody took it.
    let cancelled = app.create("002-b").await;
    let cancel = v1::CancelRunRequest {
        run_id: cancelled.run_id.clone(),
        reason: "test".to_owned(),
    };
    app.runs().cancel_run(cancel).await.unwrap();
    assert_eq!(ways(&app, &cancelled.run_id).await, [(Cancelled, ExecutionPath::Skill, false)]);

    // Never taken.
    let late = v1::CreateRunRequest {
        options: Some(v1::RunOptions {
            queue_timeout: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..Default::default()
        }),
        ..request("003-c")
    };
    let late = app.create_with(late).await.unwrap();
    app.finished(&late.run_id).await;
    assert_eq!(ways(&app, &late.run_id).await, [(Failed, ExecutionPath::Skill, false)]);

    // Lost with its worker: the next attempt goes the same way.
    let lost = app.create("004-d").await;
    accepted(&mut worker).await;
    within(Duration::from_secs(20), "the job runs", async || {
        (app.get(&lost.run_id).await.jobs[0].status() == v1::JobStatus::Running).then_some(())
    })
    .await;
    worker.vanish();
    let next = within(Duration::from_secs(20), "the next attempt", async || {
        app.get(&lost.run_id).await.jobs.into_iter().nth(1)
    })
    .await;
    assert_eq!(ways(&app, &lost.run_id).await, [(Failed, ExecutionPath::Skill, false)]);
    assert_eq!(next.decision, app.get(&lost.run_id).await.jobs[0].decision);

    // Ended by a server that knows no skills: the database fills it in alike.
    let by_old_server = app.create("005-e").await;
    let database = app.database.connect().await.unwrap();
    let end = "update jobs set status = 'cancelled', finished_at = now() where run_id::text = $1";
    assert_eq!(database.execute(end, &[&by_old_server.run_id]).await.unwrap(), 1);
    assert_eq!(ways(&app, &by_old_server.run_id).await, [(Cancelled, ExecutionPath::Skill, false)]);
    let bare = "select count(*) from jobs where finished_at is not null and decision is not null and execution is null";
    assert_eq!(database.query_one(bare, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_whose_fallback_fails_too_ends_the_run_with_both_reasons() {
    let app = TestApp::with_skills(Policy::default()).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-a").await;
    let offer = accepted(&mut worker).await;
    let said = went(&offer, ExecutionPath::DirectFallback);
    end(&mut worker, &offer, failed("SKILL_AND_FALLBACK_FAILED"), Some(said)).await;
    let answer = app.finished(&run.run_id).await;
    assert_eq!(answer.run.unwrap().failure.unwrap().code, "SKILL_AND_FALLBACK_FAILED");
    // It is the job's own failure: no other attempt is made.
    assert_eq!(answer.jobs.len(), 1);
    let execution = answer.jobs[0].execution.clone().unwrap();
    assert_eq!(execution.skill_failure.unwrap().code, "SKILL_TIMED_OUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_can_take_says_which_skill_it_waits_for() {
    let app = TestApp::with_skills(Policy::default()).await;
    let worker = ScriptedWorker::default_worker(&app, "w").await;
    let create = v1::CreateRunRequest {
        options: Some(v1::RunOptions {
            queue_timeout: Some(prost_types::Duration { seconds: 3, nanos: 0 }),
            ..Default::default()
        }),
        ..request("001-a")
    };
    let run = app.create_with(create).await.unwrap();
    assert_eq!(app.get(&run.run_id).await.jobs[0].waits_for_skill, "");
    need(&app, &run.run_id, Some("review")).await;
    assert_eq!(app.get(&run.run_id).await.jobs[0].waits_for_skill, "review");
    let tasks = Http::of(&app)
        .get(&format!("/api/workflows/speckit/runs/{}/tasks", run.run_id))
        .await;
    assert_eq!(tasks.json()["tasks"][0]["waitsForSkill"], "review");

    // One that has it, until it says that it goes.
    let able = with_skills(hello("able", "default"), &[("review", &[Stage::Discover])]);
    let able = ScriptedWorker::connect(&app, able).await.unwrap();
    assert_eq!(app.get(&run.run_id).await.jobs[0].waits_for_skill, "");
    able.leave().await;
    let answer = app.finished(&run.run_id).await;
    let failure = answer.run.unwrap().failure.unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.details["skill"].as_str()),
        ("QUEUE_TIMEOUT", "review")
    );
    assert!(
        failure
            .message
            .contains("no connected worker of it has the skill review ready for discover"),
        "{}",
        failure.message
    );
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_two_ways_says_so_stage_by_stage() {
    let mut policy = Policy::default();
    let direct = StagePolicy {
        use_skills: false,
        skill: None,
    };
    policy.stages.insert(stage::Stage::Submit, direct);
    let app = TestApp::with_skills(policy).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-a").await;
    let offer = accepted(&mut worker).await;
    let said = went(&offer, ExecutionPath::Skill);
    end(&mut worker, &offer, discovered(), Some(said)).await;
    let jobs = app.get(&run.run_id).await.jobs;
    let ways: Vec<ExecutionPath> = jobs.iter().map(|job| job.decision.clone().unwrap().execution_path()).collect();
    assert_eq!(ways, [ExecutionPath::Skill, ExecutionPath::DirectOnly]);
    assert!(jobs[1].execution.is_none());
}
