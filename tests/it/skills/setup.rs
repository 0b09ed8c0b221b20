//! Jobs that go one way or the other.

use serde_json::{Value, json};

use crate::support::TestApp;

/// What is decided of a stage that goes by a skill.
pub fn by_skill(stage: &str, skill: &str) -> Value {
    json!({
        "stage": stage, "selected_skill": skill, "execution_path": "skill", "use_skills": true, "fallback_enabled": true,
        "shadow_mode": false, "source": "default", "canary_percent": 100, "canary_bucket": 7, "policy_version": 1,
    })
}

/// What is decided of a stage that is outside the canary's share.
pub fn direct(stage: &str, skill: &str) -> Value {
    let mut decision = by_skill(stage, skill);
    for (name, value) in [
        ("execution_path", json!("direct_only")),
        ("use_skills", json!(false)),
        ("direct_reason", json!("outside_canary")),
        ("canary_percent", json!(0)),
    ] {
        decision[name] = value;
    }
    decision
}

/// Has every job that waits need this skill; nothing of it is what a policy has decided.
pub async fn need(app: &TestApp, run_id: &str, skill: Option<&str>) {
    let database = app.database.connect().await.unwrap();
    let query = "update jobs set skill = $2 where run_id::text = $1 and status = 'queued'";
    assert_eq!(database.execute(query, &[&run_id, &skill]).await.unwrap(), 1);
}

/// Gives the run's waiting job this decision.
pub async fn decide(app: &TestApp, run_id: &str, decision: &Value) {
    let database = app.database.connect().await.unwrap();
    let query = "update jobs set decision = $2::text::jsonb where run_id::text = $1 and status = 'queued'";
    let decision = decision.to_string();
    assert_eq!(database.execute(query, &[&run_id, &decision]).await.unwrap(), 1);
}
