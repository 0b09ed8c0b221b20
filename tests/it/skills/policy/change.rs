//! How the policy changes.

use futures::future::join_all;
use moorline_proto::v1::{self, Stage};

use super::{canary, current, names, policy, update};
use crate::support::{TestApp, fact, kind};

#[tokio::test(flavor = "multi_thread")]
async fn each_change_makes_a_version_and_the_history_says_who_and_why() {
    let app = TestApp::with_skills(policy()).await;
    let change = v1::UpdateSkillPolicyRequest {
        shadow_mode: Some(true),
        stages: vec![v1::StagePolicyChange {
            stage: Stage::Submit.into(),
            skill: Some("review".to_owned()),
            use_skills: None,
        }],
        expected_version: 1,
        reason: " compare first ".to_owned(),
        ..Default::default()
    };
    let second = update(&app, change.clone()).await.unwrap();
    assert_eq!((second.version, second.shadow_mode, second.canary_percent), (2, true, 100));
    assert_eq!((second.changed_by.as_str(), second.reason.as_str()), ("anonymous", "compare first"));
    let of_stages: Vec<_> = second
        .stages
        .iter()
        .map(|stage| (stage.stage(), stage.use_skills, stage.skill.as_str()))
        .collect();
    assert_eq!(
        of_stages,
        [
            (Stage::Discover, true, ""),
            (Stage::Submit, true, "review"),
            (Stage::Publish, true, "")
        ]
    );
    let refused = update(&app, change.clone()).await.unwrap_err();
    assert_eq!(kind(&refused), "FailedPrecondition POLICY_CHANGED");
    assert_eq!(
        (fact(&refused, "version"), fact(&refused, "changed_by")),
        ("2".to_owned(), "anonymous".to_owned())
    );
    // What changes nothing makes no version, and taking back is a change as any other.
    let same = v1::UpdateSkillPolicyRequest {
        expected_version: 0,
        ..change
    };
    assert_eq!(update(&app, same).await.unwrap(), second);
    let back = v1::UpdateSkillPolicyRequest {
        shadow_mode: Some(false),
        stages: vec![v1::StagePolicyChange {
            stage: Stage::Submit.into(),
            skill: Some(String::new()),
            use_skills: None,
        }],
        ..Default::default()
    };
    assert_eq!(update(&app, back).await.unwrap().stages[1].skill, "");

    let list = async |page_size, before_version| {
        let request = v1::ListSkillPoliciesRequest { page_size, before_version };
        let policies = app.skills().list_skill_policies(request).await.unwrap().into_inner().policies;
        policies
            .into_iter()
            .map(|policy| (policy.version, policy.changed_by))
            .collect::<Vec<_>>()
    };
    let said = |version, by: &str| (version, by.to_owned());
    assert_eq!(list(0, 0).await, [said(3, "anonymous"), said(2, "anonymous"), said(1, "settings")]);
    assert_eq!(list(1, 3).await, [said(2, "anonymous")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_could_follow_is_refused_and_changes_nothing() {
    let app = TestApp::with_skills(policy()).await;
    let empty = v1::UpdateSkillPolicyRequest::default;
    for (change, reason) in [
        (
            v1::UpdateSkillPolicyRequest {
                canary_percent: Some(-1),
                ..empty()
            },
            "INVALID_CANARY_PERCENT",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                canary_percent: Some(101),
                ..empty()
            },
            "INVALID_CANARY_PERCENT",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                allowed_skills: names(&[]),
                ..empty()
            },
            "NO_SKILL_ALLOWED",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                allowed_skills: names(&["review"]),
                ..empty()
            },
            "SKILL_NOT_ALLOWED",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                allowed_skills: names(&["speckit", "a/b"]),
                ..empty()
            },
            "INVALID_SKILL_NAME",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                default_skill: Some("deploy".to_owned()),
                ..empty()
            },
            "SKILL_NOT_ALLOWED",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                default_skill: Some(String::new()),
                ..empty()
            },
            "INVALID_SKILL_NAME",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                repository_skills: names(&["deploy"]),
                ..empty()
            },
            "SKILL_NOT_ALLOWED",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                stages: vec![v1::StagePolicyChange::default()],
                ..empty()
            },
            "INVALID_STAGE_SKILLS",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                reason: "x".repeat(513),
                ..empty()
            },
            "TOO_LONG",
        ),
        (
            v1::UpdateSkillPolicyRequest {
                reason: "\0".to_owned(),
                ..empty()
            },
            "TOO_LONG",
        ),
    ] {
        let refused = update(&app, change.clone()).await.unwrap_err();
        assert_eq!(kind(&refused), format!("InvalidArgument {reason}"), "{change:?}");
    }
    assert_eq!(current(&app).await.version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_at_once_on_two_servers_each_makes_its_own_version_and_none_is_lost() {
    let here = TestApp::with_skills(policy()).await;
    let there = here.peer().await;
    let changes = (1..=10).map(|percent| canary(if percent % 2 == 0 { &here } else { &there }, percent));
    let mut versions = join_all(changes).await;
    versions.sort_unstable();
    assert_eq!(versions, (2..=11).collect::<Vec<_>>());

    let based = (1..=10).map(|n| {
        let change = v1::UpdateSkillPolicyRequest {
            canary_percent: Some(50 + n),
            expected_version: 11,
            ..Default::default()
        };
        update(if n % 2 == 0 { &here } else { &there }, change)
    });
    let (won, lost): (Vec<_>, Vec<_>) = join_all(based).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 9));
    for refused in lost {
        assert_eq!(kind(&refused.unwrap_err()), "FailedPrecondition POLICY_CHANGED");
    }
    assert_eq!(current(&there).await, won.into_iter().next().unwrap().unwrap());
}
