//! Which way a stage is to go or went: by a skill, or by the built-in code.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    names,
    table::one_line,
    view::{Failure, set, shown},
};

/// What was decided of a stage before its job was offered.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StageDecision`, described there")]
pub struct Decision {
    pub stage: Option<String>,
    pub selected_skill: String,
    pub execution_path: Option<String>,
    pub use_skills: bool,
    pub fallback_enabled: bool,
    pub shadow_mode: bool,
    pub source: Option<String>,
    pub replaced_skill: Option<String>,
    pub direct_reason: Option<String>,
    pub canary_percent: i32,
    pub canary_bucket: i32,
    pub policy_version: i64,
    pub repository_skill: bool,
}

impl From<v1::StageDecision> for Decision {
    fn from(decision: v1::StageDecision) -> Self {
        Self {
            stage: names::of::<v1::Stage>(decision.stage),
            execution_path: names::of::<v1::ExecutionPath>(decision.execution_path),
            source: names::of::<v1::SkillSource>(decision.source),
            direct_reason: names::of::<v1::DirectReason>(decision.direct_reason),
            selected_skill: decision.selected_skill,
            use_skills: decision.use_skills,
            fallback_enabled: decision.fallback_enabled,
            shadow_mode: decision.shadow_mode,
            replaced_skill: set(decision.replaced_skill),
            canary_percent: decision.canary_percent,
            canary_bucket: decision.canary_bucket,
            policy_version: decision.policy_version,
            repository_skill: decision.repository_skill,
        }
    }
}

impl Decision {
    /// A few words for people: `skill speckit`, `direct_only`, and whether a shadow was asked for.
    pub fn words(&self) -> String {
        let shadow = if self.shadow_mode { ", shadow" } else { "" };
        format!("{}{shadow}", way(&self.execution_path, &self.selected_skill))
    }
}

/// How an attempt went.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StageExecution`, described there")]
pub struct Execution {
    pub stage: Option<String>,
    pub selected_skill: String,
    pub execution_path: Option<String>,
    pub used_skills: bool,
    pub used_fallback: bool,
    pub shadow_mode_requested: bool,
    pub duration_ms: i64,
    pub skill_failure: Option<Failure>,
    pub skill_digest: Option<String>,
    pub shadow: Option<Shadow>,
}

/// What came of a stage's other way.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `ShadowOutcome`, described there")]
pub struct Shadow {
    pub execution_path: Option<String>,
    pub status: Option<String>,
    pub files: i32,
    pub artifact_id: Option<String>,
    pub detail: Option<String>,
    pub duration_ms: i64,
}

impl From<v1::StageExecution> for Execution {
    fn from(execution: v1::StageExecution) -> Self {
        let shadow = |shadow: v1::ShadowOutcome| Shadow {
            execution_path: names::of::<v1::ExecutionPath>(shadow.execution_path),
            status: names::of::<v1::ShadowStatus>(shadow.status),
            files: shadow.files,
            artifact_id: set(shadow.artifact_id),
            detail: set(shadow.detail),
            duration_ms: shadow.duration_ms,
        };
        Self {
            stage: names::of::<v1::Stage>(execution.stage),
            execution_path: names::of::<v1::ExecutionPath>(execution.execution_path),
            selected_skill: execution.selected_skill,
            used_skills: execution.used_skills,
            used_fallback: execution.used_fallback,
            shadow_mode_requested: execution.shadow_mode_requested,
            duration_ms: execution.duration_ms,
            skill_failure: execution.skill_failure.map(Failure::from),
            skill_digest: set(execution.skill_digest),
            shadow: execution.shadow.map(shadow),
        }
    }
}

impl Execution {
    /// A few words for people: `skill speckit`, `direct_fallback from speckit (SKILL_TIMED_OUT)`, and what a shadow found.
    pub fn words(&self) -> String {
        let why = self.skill_failure.as_ref().map(|failure| format!(" ({})", one_line(&failure.code)));
        let shadow = match &self.shadow {
            Some(shadow) => format!(", shadow {}", shown(shadow.status.as_ref())),
            None if self.shadow_mode_requested => ", no shadow".to_owned(),
            None => String::new(),
        };
        format!("{}{}{shadow}", way(&self.execution_path, &self.selected_skill), shown(why))
    }
}

fn way(path: &Option<String>, skill: &str) -> String {
    match path.as_deref() {
        Some("skill") => format!("skill {skill}"),
        Some("direct_fallback") => format!("direct_fallback from {skill}"),
        other => other.unwrap_or_default().to_owned(),
    }
}

/// The ways of a run's stages, as far as they differ.
pub fn of_run(decisions: &[Decision]) -> String {
    let mut ways: Vec<String> = decisions
        .iter()
        .map(|decision| way(&decision.execution_path, &decision.selected_skill))
        .collect();
    ways.dedup();
    ways.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_words() {
        let mut told = Vec::new();
        for path in [
            v1::ExecutionPath::Skill,
            v1::ExecutionPath::DirectFallback,
            v1::ExecutionPath::DirectOnly,
        ] {
            for shadow in [None, Some(v1::ShadowStatus::Drift)] {
                let execution = v1::StageExecution {
                    selected_skill: "speckit".into(),
                    execution_path: path.into(),
                    used_fallback: path == v1::ExecutionPath::DirectFallback,
                    skill_failure: (path == v1::ExecutionPath::DirectFallback).then(|| v1::Failure {
                        code: "SKILL_TIMED_OUT".into(),
                        ..Default::default()
                    }),
                    shadow_mode_requested: path == v1::ExecutionPath::Skill,
                    shadow: shadow.map(|status| v1::ShadowOutcome {
                        status: status.into(),
                        ..Default::default()
                    }),
                    ..Default::default()
                };
                told.push(Execution::from(execution).words());
            }
        }
        let decision = |path: v1::ExecutionPath, shadow_mode| {
            Decision::from(v1::StageDecision {
                selected_skill: "speckit".into(),
                execution_path: path.into(),
                shadow_mode,
                ..Default::default()
            })
        };
        let [by_skill, direct] = [v1::ExecutionPath::Skill, v1::ExecutionPath::DirectOnly].map(|path| decision(path, true));
        told.extend([by_skill.words(), direct.words(), of_run(&[by_skill, direct]), of_run(&[])]);
        insta::assert_snapshot!(told.join("\n"), @r"
        skill speckit, no shadow
        skill speckit, shadow drift
        direct_fallback from speckit (SKILL_TIMED_OUT)
        direct_fallback from speckit (SKILL_TIMED_OUT), shadow drift
        direct_only
        direct_only, shadow drift
        skill speckit, shadow
        direct_only, shadow
        skill speckit, direct_only
        ");
    }
}
