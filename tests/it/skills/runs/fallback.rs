//! Skills that fail by themselves, and what takes over.

use moorline_proto::v1::{self, FailureClass, RunStatus, Stage};
use moorline_tests::repo::SampleRepository;

use super::{allowing, fleet};
use crate::{
    skills::{
        root::Root,
        view::{ended, execution, failure, way},
    },
    support::{Fleet, fleet::repository},
};

/// Stages of three skills that are broken in a way of their own.
fn broken() -> Root {
    Root::new()
        .with(
            "breaks",
            &["discover", "submit"],
            "print('no luck', file=sys.stderr)\nsys.exit(3)\n",
        )
        .with("babbles", &["publish"], "print('rubbish')\n")
}

fn asking(fleet: &Fleet, origin: &SampleRepository, skills: &[(Stage, &str)]) -> v1::CreateRunRequest {
    let skills = skills.iter().map(|(stage, skill)| v1::StageSkill {
        stage: (*stage).into(),
        skill: (*skill).to_owned(),
    });
    v1::CreateRunRequest {
        options: Some(v1::RunOptions {
            stage_skills: skills.collect(),
            ..Default::default()
        }),
        ..fleet.request(origin)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_code_takes_over_from_skills_that_fail() {
    let root = broken();
    let fleet = fleet(&root, allowing(&["breaks", "babbles"])).await;
    let origin = repository(SampleRepository::builder());
    let request = asking(&fleet, &origin, &[(Stage::Submit, "breaks"), (Stage::Publish, "babbles")]);
    let run = fleet.app.create_with(request).await.unwrap();
    let view = ended(&fleet.app, &run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");
    assert_eq!(way(&view, Stage::Discover), "skill used=true fallback=false");
    for (stage, skill, code) in [
        (Stage::Submit, "breaks", "SKILL_FAILED"),
        (Stage::Publish, "babbles", "SKILL_NO_RESULT"),
    ] {
        assert_eq!(way(&view, stage), "direct_fallback used=true fallback=true");
        let execution = execution(&view, stage);
        let failure = execution.skill_failure.unwrap();
        assert_eq!(
            (execution.selected_skill.as_str(), failure.code.as_str()),
            (skill, code),
            "{}",
            failure.message
        );
    }
    let why = execution(&view, Stage::Submit).skill_failure.unwrap().message;
    assert!(why.contains("exit code 3") && why.contains("no luck"), "{why}");
    assert_eq!(origin.log(&run.branch_name).unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_both_ways_fail_both_reasons_are_kept_and_without_a_fallback_the_skill_s() {
    let root = broken();
    let fleet = fleet(&root, allowing(&["breaks", "babbles"])).await;
    let origin = repository(SampleRepository::builder().tasks("## Phase 1: A\n\n- [y] T001 One\n"));
    let run = fleet
        .app
        .create_with(asking(&fleet, &origin, &[(Stage::Discover, "breaks")]))
        .await
        .unwrap();
    let view = ended(&fleet.app, &run.run_id).await;
    let both = failure(&view);
    assert_eq!((both.code.as_str(), both.class()), ("SKILL_AND_FALLBACK_FAILED", FailureClass::Job));
    assert!(
        both.message.contains("no luck") && both.message.contains("line 3"),
        "{}",
        both.message
    );
    let detail = |name: &str| both.details.get(name).map(String::as_str);
    assert_eq!((detail("skill"), detail("skill_code")), (Some("breaks"), Some("SKILL_FAILED")));
    assert_eq!(detail("direct_code"), Some("TASKS_MALFORMED"));
    assert_eq!(way(&view, Stage::Discover), "direct_fallback used=true fallback=true");

    let off = v1::UpdateSkillPolicyRequest {
        fallback_enabled: Some(false),
        ..Default::default()
    };
    fleet.app.skills().update_skill_policy(off).await.unwrap();
    let origin = repository(SampleRepository::builder());
    let run = fleet
        .app
        .create_with(asking(&fleet, &origin, &[(Stage::Discover, "breaks")]))
        .await
        .unwrap();
    let view = ended(&fleet.app, &run.run_id).await;
    assert_eq!(failure(&view).code, "SKILL_FAILED");
    assert_eq!(way(&view, Stage::Discover), "skill used=true fallback=false");
    assert_eq!(origin.branches().unwrap(), ["main"]);
}
