//! What would be chosen, and what the fleet has.

use moorline_proto::v1::{self, ExecutionPath, Stage};

use super::{STAGES, asking, canary, choices, policy};
use crate::support::{
    ScriptedWorker, TestApp,
    http::Http,
    kind,
    scripted_worker::{hello, with_skills},
};

async fn resolve(app: &TestApp, run_id: &str, skills: &[(Stage, &str)]) -> Result<v1::ResolveStagesResponse, tonic::Status> {
    let request = v1::ResolveStagesRequest {
        run_id: run_id.to_owned(),
        stage_skills: choices(skills),
    };
    Ok(app.skills().resolve_stages(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_resolved_for_a_run_is_what_is_recorded_of_it() {
    let app = TestApp::with_skills(policy()).await;
    canary(&app, 50).await;
    for n in 0..20 {
        let run = app
            .create_with(asking(&format!("{n:03}-a"), &[(Stage::Submit, "review")]))
            .await
            .unwrap();
        let resolved = resolve(&app, &run.run_id, &[]).await.unwrap();
        assert_eq!((resolved.policy_version, resolved.stages.len()), (2, 3));
        for (stage, recorded) in resolved.stages.iter().zip(&run.stage_decisions) {
            assert_eq!((stage.decision.as_ref(), stage.recorded.as_ref()), (Some(recorded), Some(recorded)));
        }
    }
    // The policy of now may say otherwise than what was decided.
    let run = app.create("100-a").await;
    let version = canary(&app, 100).await;
    for (stage, recorded) in resolve(&app, &run.run_id, &[])
        .await
        .unwrap()
        .stages
        .iter()
        .zip(run.stage_decisions)
    {
        let decision = stage.decision.as_ref().unwrap();
        assert_eq!((decision.policy_version, decision.use_skills), (version, true));
        assert_eq!(decision.canary_bucket, recorded.canary_bucket);
        assert_eq!(stage.recorded, Some(recorded));
    }
    let asked = resolve(&app, &run.run_id, &[(Stage::Publish, "review")]).await.unwrap();
    assert_eq!(asked.stages[2].decision.as_ref().unwrap().selected_skill, "review");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_run_only_what_does_not_hang_on_it_is_told() {
    let app = TestApp::with_skills(policy()).await;
    let told = async || {
        let resolved = resolve(&app, "", &[]).await.unwrap();
        let stage = resolved.stages.into_iter().next().unwrap();
        let decision = stage.decision.unwrap();
        assert_eq!((decision.canary_bucket, stage.recorded), (-1, None));
        (decision.execution_path(), decision.use_skills, stage.explanation)
    };
    let (path, used, _) = told().await;
    assert_eq!((path, used), (ExecutionPath::Skill, true));
    canary(&app, 0).await;
    let (path, used, _) = told().await;
    assert_eq!((path, used), (ExecutionPath::DirectOnly, false));
    canary(&app, 5).await;
    let (path, used, why) = told().await;
    assert_eq!((path, used), (ExecutionPath::Unspecified, false));
    assert_eq!(
        why,
        "discover goes by skill speckit (the default) for 5 % of runs and by the built-in code for the others: name a run to see its way."
    );
    // An id that no run has yet can be tried, and says the same each time.
    let id = "01932c07-a3f0-7aaa-8bbb-0123456789ab";
    assert_eq!(resolve(&app, id, &[]).await.unwrap(), resolve(&app, id, &[]).await.unwrap());
    let refused = resolve(&app, "17", &[]).await.unwrap_err();
    assert_eq!(kind(&refused), "InvalidArgument INVALID_ID");
    let refused = resolve(&app, "", &[(Stage::Submit, "unheard-of")]).await.unwrap_err();
    assert_eq!(kind(&refused), "InvalidArgument SKILL_UNKNOWN", "as CreateRun would");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_skills_of_the_fleet_are_listed_form_by_form_and_counted_where_they_are_ready() {
    let app = TestApp::with_skills(policy()).await;
    let both = with_skills(hello("a", "default"), &[("speckit", &STAGES), ("deploy", &[Stage::Publish])]);
    let mut unhealthy = with_skills(hello("b", "default"), &[("speckit", &STAGES)]);
    let skill = &mut unhealthy.profile.as_mut().unwrap().skills[0];
    (skill.ready, skill.detail) = (false, "its health check ended with 1".to_owned());
    let only = with_skills(hello("c", "default"), &[("speckit", &[Stage::Discover])]);
    let mut workers = Vec::new();
    for hello in [both, unhealthy, only] {
        workers.push(ScriptedWorker::connect(&app, hello).await.unwrap());
    }
    let counts: Vec<_> = resolve(&app, "", &[])
        .await
        .unwrap()
        .stages
        .iter()
        .map(|stage| stage.workers)
        .collect();
    assert_eq!(counts, [2, 1, 1]);

    let list = async || {
        let listed = app
            .skills()
            .list_skills(v1::ListSkillsRequest {})
            .await
            .unwrap()
            .into_inner()
            .skills;
        let told = |form: v1::FleetSkill| {
            let skill = form.skill.unwrap();
            format!(
                "{} of {} stages, ready {}, allowed {}: {}",
                skill.name,
                skill.stages.len(),
                skill.ready,
                form.allowed,
                form.workers.join(" ")
            )
        };
        listed.into_iter().map(told).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(list().await, @r"
    deploy of 1 stages, ready true, allowed false: a
    speckit of 3 stages, ready true, allowed true: a
    speckit of 1 stages, ready true, allowed true: c
    speckit of 3 stages, ready false, allowed true: b
    ");
    workers.pop().unwrap().leave().await;
    assert!(
        !list().await.contains("1 stages, ready true, allowed true"),
        "who has left is not counted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_can_be_seen_and_changed_over_http() {
    let app = TestApp::with_skills(policy()).await;
    let http = Http::of(&app);
    let change = r#"{"canaryPercent": 25, "stages": [{"stage": "STAGE_PUBLISH", "useSkills": false}], "reason": "slowly"}"#;
    let updated = http.post("/v1/SkillService/UpdateSkillPolicy", change).await;
    insta::assert_snapshot!(updated.steady(), @r#"
    200
    {
      "policy": {
        "allowedSkills": [
          "review",
          "speckit"
        ],
        "canaryPercent": 25,
        "changedBy": "anonymous",
        "createdAt": "<time>",
        "defaultSkill": "speckit",
        "fallbackEnabled": true,
        "reason": "slowly",
        "stages": [
          {
            "stage": "STAGE_DISCOVER",
            "useSkills": true
          },
          {
            "stage": "STAGE_SUBMIT",
            "useSkills": true
          },
          {
            "stage": "STAGE_PUBLISH"
          }
        ],
        "useSkills": true,
        "version": "2"
      }
    }
    "#);
    let refused = http.post("/v1/SkillService/UpdateSkillPolicy", r#"{"canaryPercent": 101}"#).await;
    assert!(refused.steady().contains("INVALID_CANARY_PERCENT"), "{}", refused.steady());
}
