//! Skills and their policy, as people and programs see them.

use moorline::exit::Exit;

use crate::{fake::Fake, moorline};

/// What a command shows, and what it has asked.
async fn shown(line: &str) -> (String, Vec<String>) {
    let server = Fake::default().start().await;
    let outcome = moorline(&server.url, line).await;
    assert_eq!(outcome.exit, Exit::Ok, "{}", outcome.err);
    let asked = server.fake.requests.lock().expect("unpoisoned").clone();
    (format!("{}{}", outcome.out, outcome.err), asked)
}

async fn usage(line: &str) -> String {
    let outcome = moorline("http://127.0.0.1:1", line).await;
    assert_eq!(outcome.exit, Exit::Usage, "{line}");
    outcome.err
}

#[tokio::test]
async fn the_skills_of_the_fleet_are_shown() {
    insta::assert_snapshot!(shown("skill list").await.0, @r#"
    SKILL    VERSION  DIGEST        STAGES            STATE  ALLOWED  WORKERS            DETAIL
    own               5e5e5e5e5e5e  discover,publish  error  no       default-2          it isn't in .agents/skills: copy it there
    speckit  1.0.0    5e5e5e5e5e5e  discover,publish  ready  yes      codex-0,default-1
    "#);
    insta::assert_snapshot!(shown("skill list --output json").await.0, @r#"
    {
      "skills": [
        {
          "name": "own",
          "description": "Works through a Spec Kit task list.",
          "version": null,
          "digest": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e",
          "stages": [
            {
              "stage": "discover",
              "kind": "executable"
            },
            {
              "stage": "publish",
              "kind": "executable"
            }
          ],
          "ready": false,
          "detail": "it isn't in .agents/skills: copy it there",
          "workers": [
            "default-2"
          ],
          "allowed": false
        },
        {
          "name": "speckit",
          "description": "Works through a Spec Kit task list.",
          "version": "1.0.0",
          "digest": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e",
          "stages": [
            {
              "stage": "discover",
              "kind": "executable"
            },
            {
              "stage": "publish",
              "kind": "executable"
            }
          ],
          "ready": true,
          "detail": null,
          "workers": [
            "codex-0",
            "default-1"
          ],
          "allowed": true
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn the_policy_is_shown_with_its_history() {
    insta::assert_snapshot!(shown("skill policy show").await.0, @r#"
    version         4
    skills          on
    canary          25 % of runs
    default skill   speckit
    stages          submit=own, publish=off
    allowed skills  own, speckit
    shadow          on
    fallback        on
    changed by      anonymous
    reason          slowly
    changed         2026-01-02 03:05:05Z
    "#);
    insta::assert_snapshot!(shown("skill policy show -o json").await.0, @r#"
    {
      "version": 4,
      "use_skills": true,
      "stages": [
        {
          "stage": "discover",
          "use_skills": true,
          "skill": null
        },
        {
          "stage": "submit",
          "use_skills": true,
          "skill": "own"
        },
        {
          "stage": "publish",
          "use_skills": false,
          "skill": null
        }
      ],
      "default_skill": "speckit",
      "allowed_skills": [
        "own",
        "speckit"
      ],
      "canary_percent": 25,
      "shadow_mode": true,
      "fallback_enabled": true,
      "repository_skills": [],
      "changed_by": "anonymous",
      "reason": "slowly",
      "created_at": "2026-01-02T03:05:05Z"
    }
    "#);
    insta::assert_snapshot!(shown("skill policy history --limit 2").await.0, @r#"
    VERSION  SKILLS  CANARY  DEFAULT  STAGES                   ALLOWED      SHADOW  FALLBACK  BY         CHANGED               REASON
    4        on      25 %    speckit  submit=own, publish=off  own,speckit  on      on        anonymous  2026-01-02 03:05:05Z  slowly
    3        on      25 %    speckit  submit=own, publish=off  own,speckit  on      on        anonymous  2026-01-02 03:05:05Z  slowly

    There are more: raise --limit, or go on with --before 3
    "#);
}

#[tokio::test]
async fn only_what_is_given_of_the_policy_is_changed() {
    let (text, asked) = shown("skill policy set --canary 25 --if-version 4").await;
    assert!(
        text.contains("25 % of runs") && text.contains("created or retried from now on"),
        "{text}"
    );
    insta::assert_snapshot!(asked.join("\n"), @r#"UpdateSkillPolicyRequest { use_skills: None, stages: [], default_skill: None, allowed_skills: None, canary_percent: Some(25), shadow_mode: None, fallback_enabled: None, repository_skills: None, expected_version: 4, reason: "" }"#);
    let line = "skill policy set --use-skills off --shadow on --fallback off --allow a,b, --default a --stage submit=b --stage submit=off --stage \
                publish= --repository-skills= --reason slowly";
    insta::assert_snapshot!(shown(line).await.1.join("\n"), @r#"UpdateSkillPolicyRequest { use_skills: Some(false), stages: [StagePolicyChange { stage: Submit, use_skills: Some(false), skill: Some("b") }, StagePolicyChange { stage: Publish, use_skills: None, skill: Some("") }], default_skill: Some("a"), allowed_skills: Some(SkillNames { names: ["a", "b"] }), canary_percent: None, shadow_mode: Some(true), fallback_enabled: Some(false), repository_skills: Some(SkillNames { names: [] }), expected_version: 0, reason: "slowly" }"#);
    for (line, words) in [
        ("skill policy set", "name at least one change"),
        ("skill policy set --reason why", "name at least one change"),
        ("skill policy set --canary -1", "0..=100"),
        ("skill policy set --canary 101", "0..=100"),
        ("skill policy set --shadow maybe", "possible values: on, off"),
        ("skill policy set --stage build=x", "give discover, submit or publish"),
    ] {
        let said = usage(line).await;
        assert!(said.contains(words), "{line}: {said}");
    }
}

#[tokio::test]
async fn what_would_be_chosen_is_shown_with_why() {
    let (text, asked) = shown("skill resolve 01932c07-a3f0-7aaa-8bbb-0123456789ab --skill publish=own").await;
    insta::assert_snapshot!(text, @r#"
    policy 4

    STAGE     WAY            RECORDED                WORKERS  WHY
    discover  skill speckit  direct_only (policy 3)  2        discover goes by skill speckit (the default).
    submit    not known yet                          0        submit goes by skill speckit (the default) for 25 % of runs.
    "#);
    insta::assert_snapshot!(asked.join("\n"), @r#"ResolveStagesRequest { run_id: "01932c07-a3f0-7aaa-8bbb-0123456789ab", stage_skills: [StageSkill { stage: Publish, skill: "own" }] }"#);
    let json = shown("skill resolve -o json").await.0;
    let json: serde_json::Value = serde_json::from_str(&json).expect("a document");
    assert_eq!(json["stages"][0]["decision"]["selected_skill"], "speckit");
    assert_eq!(json["stages"][1]["recorded"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_run_asks_for_skills_stage_by_stage() {
    let server = Fake::with_run(crate::samples::succeeded(), Vec::new()).start().await;
    let line = "run create --repository a/b --feature f --skill submit=speckit --skill publish=own";
    assert_eq!(moorline(&server.url, line).await.exit, Exit::Ok);
    let asked = server.fake.requests.lock().expect("unpoisoned").join("\n");
    let choices = r#"stage_skills: [StageSkill { stage: Submit, skill: "speckit" }, StageSkill { stage: Publish, skill: "own" }]"#;
    assert!(asked.contains(choices), "{asked}");
    let said = usage("run create --repository a/b --feature f --skill submit").await;
    assert!(said.contains("such as submit=speckit"), "{said}");
}
