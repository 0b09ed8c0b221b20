//! What runs may ask for.

use moorline_proto::v1::{self, Stage};

use super::{asking, policy};
use crate::support::{
    ScriptedWorker, TestApp, fact, kind,
    scripted_worker::{hello, with_skills},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_that_is_not_allowed_is_refused_with_those_that_are() {
    let app = TestApp::with_skills(policy()).await;
    let shows = with_skills(hello("w", "default"), &[("deploy", &[Stage::Publish])]);
    let _worker = ScriptedWorker::connect(&app, shows).await.unwrap();

    let refused = app.create_with(asking("001-a", &[(Stage::Publish, "deploy")])).await.unwrap_err();
    assert_eq!(kind(&refused), "InvalidArgument SKILL_NOT_ALLOWED");
    let facts = ["stage", "skill", "allowed"].map(|name| fact(&refused, name));
    assert_eq!(facts, ["publish", "deploy", "review,speckit"]);
    insta::assert_snapshot!(refused.message(), @"skill deploy isn't allowed for publish: choose one of review,speckit, or have it allowed (`moorline skill policy set --allow review,speckit,deploy`)");

    // Nobody has ever shown this one.
    let refused = app.create_with(asking("001-a", &[(Stage::Submit, "spekit")])).await.unwrap_err();
    assert_eq!(kind(&refused), "InvalidArgument SKILL_UNKNOWN");
    assert_eq!(fact(&refused, "allowed"), "review,speckit");
    insta::assert_snapshot!(refused.message(), @r#"no worker has shown a skill "spekit" at its latest start, nor is it allowed for submit: choose one of review,speckit; `moorline skill list` shows those that workers have"#);

    let listed = app.runs().list_runs(v1::ListRunsRequest::default()).await.unwrap().into_inner();
    assert!(listed.runs.is_empty());
    // One that is allowed need not have been shown yet: its worker may come later.
    app.create_with(asking("001-a", &[(Stage::Submit, "review")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_names_a_stage_once_and_a_name_that_a_skill_can_have() {
    let app = TestApp::with_skills(policy()).await;
    for (choices, reason) in [
        (&[(Stage::Unspecified, "speckit")][..], "INVALID_STAGE_SKILLS"),
        (&[(Stage::Submit, "speckit"), (Stage::Submit, "review")], "INVALID_STAGE_SKILLS"),
        (&[(Stage::Submit, "")], "INVALID_SKILL_NAME"),
        (&[(Stage::Submit, "../speckit")], "INVALID_SKILL_NAME"),
        (&[(Stage::Submit, "Speckit")], "INVALID_SKILL_NAME"),
    ] {
        let refused = app.create_with(asking("001-a", choices)).await.unwrap_err();
        assert_eq!(kind(&refused), format!("InvalidArgument {reason}"), "{choices:?}");
    }
    let mut request = asking("001-a", &[]);
    request.options.as_mut().unwrap().stage_skills = vec![v1::StageSkill {
        stage: 17,
        skill: "speckit".to_owned(),
    }];
    assert_eq!(kind(&app.create_with(request).await.unwrap_err()), "InvalidArgument UNKNOWN_VALUE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_with_another_skill_is_another_request() {
    let app = TestApp::with_skills(policy()).await;
    let keyed = |skill: &str| v1::CreateRunRequest {
        idempotency_key: "k".to_owned(),
        ..asking("001-a", &[(Stage::Submit, skill)])
    };
    let run = app.create_with(keyed("review")).await.unwrap();
    assert_eq!(app.create_with(keyed("review")).await.unwrap().run_id, run.run_id);
    let refused = app.create_with(keyed("speckit")).await.unwrap_err();
    assert_eq!(kind(&refused), "AlreadyExists IDEMPOTENCY_KEY_REUSED");
    let shown = app.get(&run.run_id).await.run.unwrap().options.unwrap().stage_skills;
    assert_eq!(shown, super::choices(&[(Stage::Submit, "review")]));
}
