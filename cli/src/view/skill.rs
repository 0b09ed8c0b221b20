//! The skills of the fleet, and what would be chosen of them.

use moorline_proto::v1;
use serde::Serialize;

use super::startup::Skill;
use crate::{console::View, table, view::Decision};

/// The skills of the workers that are connected.
#[derive(Debug, Serialize)]
pub struct Skills {
    /// By name and digest.
    pub skills: Vec<FleetSkill>,
}

/// One form of a skill, with the workers that have it.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `FleetSkill`, described there")]
pub struct FleetSkill {
    #[serde(flatten)]
    pub skill: Skill,
    pub workers: Vec<String>,
    pub allowed: bool,
}

impl From<v1::FleetSkill> for FleetSkill {
    fn from(form: v1::FleetSkill) -> Self {
        Self {
            skill: form.skill.unwrap_or_default().into(),
            workers: form.workers,
            allowed: form.allowed,
        }
    }
}

impl View for Skills {
    fn table(&self, color: bool) -> String {
        let rows = self.skills.iter().map(|form| {
            let skill = &form.skill;
            let stages = skill
                .stages
                .iter()
                .filter_map(|carried| carried.stage.as_deref())
                .collect::<Vec<_>>();
            let state = if skill.ready { "ready" } else { "error" };
            [
                skill.name.clone(),
                super::shown(skill.version.as_ref()),
                super::shown(skill.digest.as_ref().map(|digest| digest.chars().take(12).collect::<String>())),
                stages.join(","),
                state.to_owned(),
                if form.allowed { "yes" } else { "no" }.to_owned(),
                form.workers.join(","),
                super::shown(skill.detail.as_ref()),
            ]
        });
        let header = ["SKILL", "VERSION", "DIGEST", "STAGES", "STATE", "ALLOWED", "WORKERS", "DETAIL"];
        table::grid(header, rows, color)
    }
}

/// What would be chosen for each stage.
#[derive(Debug, Serialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the message `ResolveStagesResponse`, described there"
)]
pub struct Resolution {
    pub policy_version: i64,
    pub stages: Vec<StageResolution>,
}

/// What would be chosen for one stage.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StageResolution`, described there")]
pub struct StageResolution {
    pub decision: Option<Decision>,
    pub explanation: String,
    pub workers: i32,
    pub recorded: Option<Decision>,
}

impl From<v1::ResolveStagesResponse> for Resolution {
    fn from(answer: v1::ResolveStagesResponse) -> Self {
        let stage = |stage: v1::StageResolution| StageResolution {
            decision: stage.decision.map(Decision::from),
            explanation: stage.explanation,
            workers: stage.workers,
            recorded: stage.recorded.map(Decision::from),
        };
        Self {
            policy_version: answer.policy_version,
            stages: answer.stages.into_iter().map(stage).collect(),
        }
    }
}

impl View for Resolution {
    fn table(&self, color: bool) -> String {
        let way = |decision: &Option<Decision>| match decision {
            Some(decision) if decision.execution_path.is_none() => "not known yet".to_owned(),
            Some(decision) => decision.words(),
            None => String::new(),
        };
        let rows = self.stages.iter().map(|stage| {
            let name = stage.decision.as_ref().and_then(|decision| decision.stage.clone());
            let recorded = stage
                .recorded
                .as_ref()
                .map(|recorded| format!("{} (policy {})", recorded.words(), recorded.policy_version));
            [
                super::shown(name),
                way(&stage.decision),
                super::shown(recorded),
                stage.workers.to_string(),
                stage.explanation.clone(),
            ]
        });
        let header = ["STAGE", "WAY", "RECORDED", "WORKERS", "WHY"];
        format!("policy {}\n\n{}", self.policy_version, table::grid(header, rows, color))
    }
}
