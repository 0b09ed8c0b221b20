//! The policy of skills: what it decides of runs, and how it changes.
//!
//! Contract: 007/FR-034, 007/FR-035, 007/FR-055, 007/FR-056.

mod change;
mod choice;
mod record;
mod resolve;
mod rollout;

use moorline_proto::v1::{self, Stage};
use moorline_server::domain::skill;

use crate::support::{TestApp, app::request};

const STAGES: [Stage; 3] = [Stage::Discover, Stage::Submit, Stage::Publish];

/// Skills for every stage of every run: `speckit`, and `review` where it is asked for.
fn policy() -> skill::Policy {
    skill::Policy {
        allowed_skills: ["speckit", "review"].map(str::to_owned).into(),
        ..skill::Policy::default()
    }
}

/// A request for a run that asks for these skills.
fn asking(feature: &str, skills: &[(Stage, &str)]) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        options: Some(v1::RunOptions {
            stage_skills: choices(skills),
            ..Default::default()
        }),
        ..request(feature)
    }
}

fn choices(skills: &[(Stage, &str)]) -> Vec<v1::StageSkill> {
    let choice = |(stage, skill): &(Stage, &str)| v1::StageSkill {
        stage: (*stage).into(),
        skill: (*skill).to_owned(),
    };
    skills.iter().map(choice).collect()
}

async fn update(app: &TestApp, change: v1::UpdateSkillPolicyRequest) -> Result<v1::SkillPolicy, tonic::Status> {
    let updated = app.skills().update_skill_policy(change).await?;
    Ok(updated.into_inner().policy.expect("the policy"))
}

/// Sets the canary, and returns the version that does.
async fn canary(app: &TestApp, percent: i32) -> i64 {
    let change = v1::UpdateSkillPolicyRequest {
        canary_percent: Some(percent),
        ..Default::default()
    };
    update(app, change).await.expect("a version").version
}

async fn current(app: &TestApp) -> v1::SkillPolicy {
    let policy = app
        .skills()
        .get_skill_policy(v1::GetSkillPolicyRequest {})
        .await
        .expect("the policy");
    policy.into_inner().policy.expect("the policy")
}

fn names(names: &[&str]) -> Option<v1::SkillNames> {
    Some(v1::SkillNames {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    })
}
