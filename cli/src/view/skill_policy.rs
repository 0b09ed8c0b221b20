//! The policy of skills.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    names, table, time,
    view::{set, shown},
};

/// A version of the policy.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `SkillPolicy`, described there")]
pub struct SkillPolicy {
    pub version: i64,
    pub use_skills: bool,
    pub stages: Vec<StagePolicy>,
    pub default_skill: String,
    pub allowed_skills: Vec<String>,
    pub canary_percent: i32,
    pub shadow_mode: bool,
    pub fallback_enabled: bool,
    pub repository_skills: Vec<String>,
    pub changed_by: String,
    pub reason: Option<String>,
    pub created_at: Option<String>,
    /// `created_at` for people.
    #[serde(skip)]
    at: String,
}

/// What it says of one stage.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StagePolicy`, described there")]
pub struct StagePolicy {
    pub stage: Option<String>,
    pub use_skills: bool,
    pub skill: Option<String>,
}

impl From<v1::SkillPolicy> for SkillPolicy {
    fn from(policy: v1::SkillPolicy) -> Self {
        let stage = |stage: v1::StagePolicy| StagePolicy {
            stage: names::of::<v1::Stage>(stage.stage),
            use_skills: stage.use_skills,
            skill: set(stage.skill),
        };
        Self {
            created_at: time::rfc3339(policy.created_at.as_ref()),
            at: time::short(policy.created_at.as_ref()),
            version: policy.version,
            use_skills: policy.use_skills,
            stages: policy.stages.into_iter().map(stage).collect(),
            default_skill: policy.default_skill,
            allowed_skills: policy.allowed_skills,
            canary_percent: policy.canary_percent,
            shadow_mode: policy.shadow_mode,
            fallback_enabled: policy.fallback_enabled,
            repository_skills: policy.repository_skills,
            changed_by: policy.changed_by,
            reason: set(policy.reason),
        }
    }
}

fn switch(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

impl SkillPolicy {
    /// What it says of the stages that it says anything of.
    fn of_stages(&self) -> String {
        let said = self.stages.iter().filter_map(|stage| {
            let name = stage.stage.as_deref()?;
            match (&stage.skill, stage.use_skills) {
                (None, true) => None,
                (skill, true) => Some(format!("{name}={}", shown(skill.as_ref()))),
                (None, false) => Some(format!("{name}=off")),
                (Some(skill), false) => Some(format!("{name}=off (else {skill})")),
            }
        });
        said.collect::<Vec<_>>().join(", ")
    }
}

impl View for SkillPolicy {
    fn table(&self, color: bool) -> String {
        table::card(
            [
                ("version", self.version.to_string()),
                ("skills", switch(self.use_skills)),
                ("canary", format!("{} % of runs", self.canary_percent)),
                ("default skill", self.default_skill.clone()),
                ("stages", self.of_stages()),
                ("allowed skills", self.allowed_skills.join(", ")),
                ("of repositories", self.repository_skills.join(", ")),
                ("shadow", switch(self.shadow_mode)),
                ("fallback", switch(self.fallback_enabled)),
                ("changed by", self.changed_by.clone()),
                ("reason", shown(self.reason.as_ref())),
                ("changed", self.at.clone()),
            ],
            color,
        )
    }
}

/// Versions of the policy.
#[derive(Debug, Serialize)]
pub struct SkillPolicies {
    /// The latest first.
    pub policies: Vec<SkillPolicy>,
}

impl View for SkillPolicies {
    fn table(&self, color: bool) -> String {
        let rows = self.policies.iter().map(|policy| {
            [
                policy.version.to_string(),
                switch(policy.use_skills),
                format!("{} %", policy.canary_percent),
                policy.default_skill.clone(),
                policy.of_stages(),
                policy.allowed_skills.join(","),
                switch(policy.shadow_mode),
                switch(policy.fallback_enabled),
                policy.changed_by.clone(),
                policy.at.clone(),
                shown(policy.reason.as_ref()),
            ]
        });
        let header = [
            "VERSION", "SKILLS", "CANARY", "DEFAULT", "STAGES", "ALLOWED", "SHADOW", "FALLBACK", "BY", "CHANGED", "REASON",
        ];
        table::grid(header, rows, color)
    }
}
