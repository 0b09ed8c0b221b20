//! What is decided is on the run, its jobs, its events and its offers.

use moorline_proto::v1::{self, ExecutionPath, SkillSource, Stage, run_event::Event};
use moorline_server::domain::skill::StagePolicy;

use super::{asking, canary, names, policy, update};
use crate::support::{
    ScriptedWorker, TestApp,
    scripted_worker::{discovered, failed, hello, with_skills},
};

/// Discover is asked for, publish is configured otherwise, and submit is left to the default.
async fn app() -> TestApp {
    let mut policy = policy();
    let configured = StagePolicy {
        skill: Some("unheard-of".to_owned()),
        ..StagePolicy::default()
    };
    policy.stages.insert("publish".parse().unwrap(), configured);
    TestApp::with_skills(policy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_recorded_before_the_job_is_offered_and_is_the_same_everywhere() {
    let app = app().await;
    let run = app.create_with(asking("001-a", &[(Stage::Discover, "review")])).await.unwrap();
    assert_eq!(run.skill_policy_version, 1);
    let told: Vec<_> = run
        .stage_decisions
        .iter()
        .map(|decision| {
            let (skill, replaced) = (decision.selected_skill.as_str(), decision.replaced_skill.as_str());
            (decision.stage(), skill, replaced, decision.source(), decision.execution_path())
        })
        .collect();
    let skill = ExecutionPath::Skill;
    assert_eq!(
        told,
        [
            (Stage::Discover, "review", "", SkillSource::Run, skill),
            (Stage::Submit, "speckit", "", SkillSource::Default, skill),
            (Stage::Publish, "speckit", "unheard-of", SkillSource::Default, skill),
        ]
    );
    let has = with_skills(hello("w", "default"), &[("review", &[Stage::Discover])]);
    let mut worker = ScriptedWorker::connect(&app, has).await.unwrap();
    let offer = worker.work("default", discovered()).await;
    let shown = app.get(&run.run_id).await;
    let decided = Some(run.stage_decisions[0].clone());
    assert_eq!((offer.decision, shown.jobs[0].decision.clone()), (decided.clone(), decided.clone()));
    assert_eq!(shown.jobs[1].decision, Some(run.stage_decisions[1].clone()));
    assert_eq!(shown.run.unwrap().stage_decisions, run.stage_decisions);

    let cancel = v1::CancelRunRequest {
        run_id: run.run_id.clone(),
        ..Default::default()
    };
    app.runs().cancel_run(cancel).await.unwrap();
    let queued = app.events(&run.run_id).await.into_iter().find_map(|event| match event.event {
        Some(Event::JobChanged(job)) if job.status() == v1::JobStatus::Queued => job.decision,
        _ => None,
    });
    assert_eq!(queued, decided);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_stages_that_a_run_goes_through_are_decided() {
    let app = app().await;
    let request = v1::CreateRunRequest {
        force_phase: v1::Phase::Discover.into(),
        ..asking("001-a", &[])
    };
    let decisions = app.create_with(request).await.unwrap().stage_decisions;
    assert_eq!(
        decisions.iter().map(v1::StageDecision::stage).collect::<Vec<_>>(),
        [Stage::Discover]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_moves_no_run_until_it_is_retried_and_then_all_of_it() {
    let app = app().await;
    let run = app.create_with(asking("001-a", &[(Stage::Submit, "review")])).await.unwrap();
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    worker.work("default", discovered()).await;

    let version = canary(&app, 0).await;
    let of_submit = app.get(&run.run_id).await.jobs[1].decision.clone();
    assert_eq!(
        of_submit,
        Some(run.stage_decisions[1].clone()),
        "what was decided stays, though the policy has changed"
    );
    update(
        &app,
        v1::UpdateSkillPolicyRequest {
            allowed_skills: names(&["speckit"]),
            ..Default::default()
        },
    )
    .await
    .unwrap();
    let mut shard = ScriptedWorker::connect(&app, {
        let index = run.codex_shard_index.unwrap().unsigned_abs();
        with_skills(
            crate::support::scripted_worker::shard_hello("s", index),
            &[("review", &[Stage::Submit])],
        )
    })
    .await
    .unwrap();
    shard.work(&run.codex_queue, failed("AGENT_FAILED")).await;
    app.finished(&run.run_id).await;

    let retry = v1::RetryRunRequest {
        run_id: run.run_id.clone(),
        ..Default::default()
    };
    let retried = app.runs().retry_run(retry).await.unwrap().into_inner().run.unwrap();
    assert_eq!(retried.skill_policy_version, version + 1);
    for decision in &retried.stage_decisions {
        assert_eq!(decision.policy_version, version + 1);
        assert_eq!((decision.execution_path(), decision.use_skills), (ExecutionPath::DirectOnly, false));
        assert_eq!(decision.direct_reason(), v1::DirectReason::OutsideCanary);
    }
    // The skill that it asked for isn't allowed any more: the default takes its place, and that is said.
    let submit = &retried.stage_decisions[1];
    assert_eq!(
        (submit.selected_skill.as_str(), submit.replaced_skill.as_str()),
        ("speckit", "review")
    );
    let jobs = app.get(&run.run_id).await.jobs;
    assert_eq!(
        jobs[1].decision,
        Some(run.stage_decisions[1].clone()),
        "an attempt keeps what it was decided by"
    );
    assert_eq!((jobs[2].stage(), jobs[2].decision.as_ref()), (Stage::Submit, Some(submit)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_seed_the_policy_once_and_a_version_is_never_changed() {
    let mut app = app().await;
    let version = canary(&app, 30).await;
    app.restart().await;
    let policy = super::current(&app).await;
    assert_eq!((policy.version, policy.canary_percent), (version, 30));
    let database = app.database.connect().await.unwrap();
    for query in ["update skill_policies set reason = 'x'", "delete from skill_policies"] {
        let refused = database.execute(query, &[]).await.unwrap_err();
        assert!(
            refused
                .as_db_error()
                .is_some_and(|error| error.constraint() == Some("skill_policies_frozen"))
        );
    }
}
