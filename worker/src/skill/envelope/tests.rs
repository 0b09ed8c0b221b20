//! What counts as a result, and what doesn't, with what is said of it.

use super::*;
use crate::{stage::Error, testing::offered};

fn ctx() -> Context {
    offered(v1::Offer {
        run_id: "run-1".to_owned(),
        job_id: "job-1".to_owned(),
        attempt: 2,
        stage: v1::Stage::Discover.into(),
        spec: Some(v1::JobSpec {
            feature_key: "001-x".to_owned(),
            ..v1::JobSpec::default()
        }),
        decision: Some(v1::StageDecision {
            policy_version: 3,
            ..v1::StageDecision::default()
        }),
        ..v1::Offer::default()
    })
}

fn good() -> Value {
    json!({
        "run_id": "run-1", "stage": "discover", "selected_skill_id": "speckit", "execution_path": "skill", "status": "succeeded",
        "duration_ms": 7, "artifacts": {"phase": null}, "error": null, "more": [1],
    })
}

fn said(content: &[u8]) -> String {
    match read(content, &ctx(), "speckit", &Redactor::default()) {
        Err(Fault::Skill(failure)) => format!("{}: {}", failure.code, failure.message),
        other => panic!("{other:?}"),
    }
}

fn with(field: &str, value: Value) -> String {
    let mut answer = good();
    answer[field] = value;
    said(answer.to_string().as_bytes())
}

#[test]
fn a_request_says_what_is_asked_and_for_whom() {
    let request = Request::new(&ctx(), "speckit", Leg::Shadow, json!({"checkout": "/work"}));
    insta::assert_snapshot!(serde_json::to_string_pretty(&request).unwrap(), @r#"
    {
      "run_id": "run-1",
      "feature_id": "001-x",
      "stage": "discover",
      "requested_skill_id": "speckit",
      "payload": {
        "checkout": "/work"
      },
      "metadata": {
        "attempt": 2,
        "job_id": "job-1",
        "policy_version": 3,
        "protocol": "moorline.stage/1",
        "shadow": true
      }
    }
    "#);
}

#[test]
fn a_result_of_this_request_gives_its_artifacts() {
    let read = read(format!("\n{}\n", good()).as_bytes(), &ctx(), "speckit", &Redactor::default()).unwrap();
    assert_eq!(Value::from(read), json!({"phase": null}));
}

#[test]
fn what_is_no_result_is_quoted() {
    assert!(said(b"").contains("but nothing"));
    let long = said("hello \u{1b}[1mworld ".repeat(100).as_bytes());
    assert!(
        long.starts_with("SKILL_NO_RESULT: ") && long.contains("`hello [1mworld hello") && long.len() < 800,
        "{long}"
    );
    assert!(said(b"{\"run_id\": 1}").starts_with("SKILL_NO_RESULT: "));
    assert!(said(&[0xff, 0xfe]).starts_with("SKILL_NO_RESULT: "));
    assert!(
        said("[".repeat(100_000).as_bytes()).starts_with("SKILL_NO_RESULT: "),
        "no stack is spent on it"
    );
    let secret = said(b"token ghp_0123456789abcdefghij0123456789");
    assert!(!secret.contains("ghp_0"), "{secret}");
}

#[test]
fn a_field_that_is_missing_is_an_error() {
    for field in [
        "run_id",
        "stage",
        "selected_skill_id",
        "execution_path",
        "status",
        "duration_ms",
        "artifacts",
        "error",
    ] {
        let mut answer = good();
        answer.as_object_mut().unwrap().remove(field);
        let said = said(answer.to_string().as_bytes());
        assert!(
            said.starts_with("SKILL_NO_RESULT: ") && said.contains(&format!("`{field}`")),
            "{said}"
        );
    }
    assert!(with("status", json!("done")).starts_with("SKILL_NO_RESULT: "));
    assert!(with("artifacts", json!([])).starts_with("SKILL_NO_RESULT: "));
}

#[test]
fn a_result_of_another_request_is_refused() {
    for (field, other) in [
        ("run_id", "run-2"),
        ("stage", "submit"),
        ("selected_skill_id", "other"),
        ("execution_path", "direct_only"),
    ] {
        let said = with(field, json!(other));
        assert!(said.starts_with("SKILL_RESULT_MISMATCH: ") && said.contains(other), "{said}");
    }
    assert!(with("run_id", json!("x".repeat(100_000))).len() < 600);
}

#[test]
fn a_failure_is_told_in_the_skills_own_words() {
    let mut answer = good();
    answer["status"] = json!("failed");
    answer["error"] = json!({"code": "NO_SPEC", "message": format!("there is\nno spec.md {}", "x".repeat(9000))});
    match read(answer.to_string().as_bytes(), &ctx(), "speckit", &Redactor::default()) {
        Err(Fault::Skill(failure)) => {
            assert_eq!(
                (failure.code.as_str(), failure.details["skill_code"].as_str()),
                ("SKILL_FAILED", "NO_SPEC")
            );
            assert!(
                failure.message.contains("(NO_SPEC: there is no spec.md xxx") && failure.message.len() < 700,
                "{}",
                failure.message
            );
        }
        other => panic!("{other:?}"),
    }
    answer["error"] = Value::Null;
    assert!(said(answer.to_string().as_bytes()).contains("UNSPECIFIED: it gave no reason"));
    assert!(matches!(Fault::of_skill("X", "y").into_error(), Error::Failed(_)));
}
