//! An operator changes the policy.

use std::collections::{BTreeMap, BTreeSet};

use diesel_async::AsyncConnection as _;
use tracing::info;

use super::super::{Error, Flow};
use crate::{
    db::skill_policies::{self, New, Row},
    domain::{self, skill::Policy, stage::Stage},
};

/// What is to change; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
#[allow(
    missing_docs,
    reason = "the fields of the proto message UpdateSkillPolicyRequest, documented there"
)]
pub struct Change {
    pub use_skills: Option<bool>,
    pub stages: BTreeMap<Stage, StageChange>,
    pub default_skill: Option<String>,
    pub allowed_skills: Option<BTreeSet<String>>,
    pub canary_percent: Option<u8>,
    pub shadow_mode: Option<bool>,
    pub fallback_enabled: Option<bool>,
    pub repository_skills: Option<BTreeSet<String>>,
    /// `None` for whichever there is.
    pub expected_version: Option<i64>,
    pub reason: String,
}

/// What is to change of one stage.
#[derive(Debug, Clone, Default)]
pub struct StageChange {
    /// Whether skills are used for it.
    pub use_skills: Option<bool>,
    /// Its skill; empty for the default.
    pub skill: Option<String>,
}

/// Longest reason, in characters.
const REASON_MAX: usize = 512;

/// Makes the next version of the policy. A change that changes nothing makes none. Returns the version that counts then.
///
/// # Errors
///
/// `POLICY_CHANGED`, when another version has been made since the expected one; `TOO_LONG`; what no policy is, as [`Policy::check`].
pub async fn change(flow: &Flow, change: &Change, changed_by: &str) -> Result<Row, Error> {
    if change.reason.chars().count() > REASON_MAX || change.reason.contains('\0') {
        let message = format!("a reason has at most {REASON_MAX} characters and no NUL: shorten it");
        return Err(domain::Error::invalid("reason", "TOO_LONG", message).into());
    }
    let mut connection = flow.connection().await?;
    let row = connection
        .transaction(async |connection| {
            skill_policies::lock(connection).await?;
            let Some(latest) = skill_policies::list(connection, None, 1).await?.pop() else {
                // The server that answers has seeded it.
                return Err(Error::Database(diesel::result::Error::NotFound));
            };
            if change.expected_version.is_some_and(|expected| expected != latest.version) {
                return Err(changed_since(&latest, change.expected_version.unwrap_or_default()));
            }
            let before = latest.policy()?;
            let after = change.made_of(&before);
            after.check()?;
            if after == before {
                return Ok(latest);
            }
            let new = New {
                version: latest.version + 1,
                policy: serde_json::to_value(&after)?,
                changed_by,
                reason: change.reason.trim(),
            };
            Ok::<_, Error>(skill_policies::insert(connection, &new).await?)
        })
        .await?;
    let policy = row.policy()?;
    info!(
        version = row.version,
        changed_by,
        reason = row.reason,
        use_skills = policy.use_skills,
        canary_percent = policy.canary_percent,
        shadow_mode = policy.shadow_mode,
        fallback_enabled = policy.fallback_enabled,
        "policy of skills set"
    );
    Ok(row)
}

impl Change {
    fn made_of(&self, before: &Policy) -> Policy {
        let mut stages = before.stages.clone();
        for (stage, change) in &self.stages {
            let mut of_stage = before.stage(*stage);
            of_stage.use_skills = change.use_skills.unwrap_or(of_stage.use_skills);
            if let Some(skill) = &change.skill {
                of_stage.skill = Some(skill.clone()).filter(|skill| !skill.is_empty());
            }
            stages.insert(*stage, of_stage);
        }
        // What says nothing is the same as nothing: a change that comes to that is none.
        stages.retain(|_, of_stage| *of_stage != domain::skill::StagePolicy::default());
        Policy {
            version: before.version,
            use_skills: self.use_skills.unwrap_or(before.use_skills),
            stages,
            default_skill: self.default_skill.clone().unwrap_or_else(|| before.default_skill.clone()),
            allowed_skills: self.allowed_skills.clone().unwrap_or_else(|| before.allowed_skills.clone()),
            canary_percent: self.canary_percent.unwrap_or(before.canary_percent),
            shadow_mode: self.shadow_mode.unwrap_or(before.shadow_mode),
            fallback_enabled: self.fallback_enabled.unwrap_or(before.fallback_enabled),
            repository_skills: self.repository_skills.clone().unwrap_or_else(|| before.repository_skills.clone()),
        }
    }
}

fn changed_since(latest: &Row, expected: i64) -> Error {
    let message = format!(
        "the policy of skills is version {} by now, made by {}, and the change is based on {expected}: look at it (`moorline skill policy show`) and change it again",
        latest.version, latest.changed_by
    );
    domain::Error::precondition("POLICY_CHANGED", message)
        .with("version", latest.version.to_string())
        .with("changed_by", &latest.changed_by)
        .into()
}
