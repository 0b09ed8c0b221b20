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
    outcome.err.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_skills_of_the_fleet_are_shown() {
    insta::assert_snapshot!(shown("skill list").await.0, @"");
    insta::assert_snapshot!(shown("skill list --output json").await.0, @"");
}

#[tokio::test]
async fn the_policy_is_shown_with_its_history() {
    insta::assert_snapshot!(shown("skill policy show").await.0, @"");
    insta::assert_snapshot!(shown("skill policy show -o json").await.0, @"");
    insta::assert_snapshot!(shown("skill policy history --limit 2").await.0, @"");
}

#[tokio::test]
async fn only_what_is_given_of_the_policy_is_changed() {
    let (text, asked) = shown("skill policy set --canary 25 --if-version 4").await;
    assert!(
        text.contains("25 % of runs") && text.contains("created or retried from now on"),
        "{text}"
    );
    insta::assert_snapshot!(asked.join("\n"), @"");
    let line = "skill policy set --use-skills off --shadow on --fallback off --allow a,b, --default a --stage submit=b --stage submit=off --stage \
                publish= --repository-skills= --reason slowly";
    insta::assert_snapshot!(shown(line).await.1.join("\n"), @"");
    let refused = [
        usage("skill policy set").await,
        usage("skill policy set --reason why").await,
        usage("skill policy set --canary -1").await,
        usage("skill policy set --canary 101").await,
        usage("skill policy set --shadow maybe").await,
        usage("skill policy set --stage build=x").await,
    ];
    insta::assert_snapshot!(refused.join("\n"), @"");
}

#[tokio::test]
async fn what_would_be_chosen_is_shown_with_why() {
    let (text, asked) = shown("skill resolve 01932c07-a3f0-7aaa-8bbb-0123456789ab --skill publish=own").await;
    insta::assert_snapshot!(text, @"");
    insta::assert_snapshot!(asked.join("\n"), @"");
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
    let skills = &asked[asked.find("stage_skills").expect("skills")..];
    insta::assert_snapshot!(skills, @"");
    insta::assert_snapshot!(usage("run create --repository a/b --feature f --skill submit").await, @"");
}
