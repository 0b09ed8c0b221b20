//! Skills: what was decided for a stage, and which way it went.

use std::collections::BTreeMap;

use moorline_proto::v1;
use uuid::Uuid;

use super::{
    job, known,
    names::{FromWire as _, number},
};
use crate::domain::{
    self,
    skill::{Decision, Execution, ExecutionPath, Shadow, ShadowStatus, check_name},
    stage::Stage,
};

/// A run's choice for a stage as a message.
pub fn choice((stage, skill): (&Stage, &String)) -> v1::StageSkill {
    v1::StageSkill {
        stage: v1::Stage::from(*stage).into(),
        skill: skill.clone(),
    }
}

/// A run's choices out of messages.
///
/// # Errors
///
/// `INVALID_STAGE_SKILLS`, when one has no stage, or two have the same; `INVALID_SKILL_NAME`; `UNKNOWN_VALUE`.
pub fn choices_of(field: &'static str, wire: &[v1::StageSkill]) -> Result<BTreeMap<Stage, String>, domain::Error> {
    let mut choices = BTreeMap::new();
    for choice in wire {
        let stage = stage_of(field, choice.stage)?;
        check_name(field, &choice.skill)?;
        if choices.insert(stage, choice.skill.clone()).is_some() {
            let message = format!("{field} names two skills for {stage}: name one");
            return Err(domain::Error::invalid(field, "INVALID_STAGE_SKILLS", message));
        }
    }
    Ok(choices)
}

/// The stage that an entry of a list is about.
pub(super) fn stage_of(field: &'static str, wire: i32) -> Result<Stage, domain::Error> {
    known::<Stage, v1::Stage>(field, wire)?.ok_or_else(|| {
        let message = format!("an entry of {field} names no stage: name discover, submit or publish");
        domain::Error::invalid(field, "INVALID_STAGE_SKILLS", message)
    })
}

/// A decision as a message.
pub fn decision(decision: Decision) -> v1::StageDecision {
    v1::StageDecision {
        stage: v1::Stage::from(decision.stage).into(),
        selected_skill: decision.selected_skill,
        execution_path: v1::ExecutionPath::from(decision.execution_path).into(),
        use_skills: decision.use_skills,
        fallback_enabled: decision.fallback_enabled,
        shadow_mode: decision.shadow_mode,
        source: v1::SkillSource::from(decision.source).into(),
        replaced_skill: decision.replaced_skill,
        direct_reason: number::<_, v1::DirectReason>(decision.direct_reason),
        canary_percent: i32::from(decision.canary_percent),
        canary_bucket: i32::from(decision.canary_bucket),
        policy_version: decision.policy_version,
        repository_skill: decision.repository_skill,
    }
}

/// An outcome as a message.
pub fn execution(execution: Execution) -> v1::StageExecution {
    v1::StageExecution {
        stage: v1::Stage::from(execution.stage).into(),
        selected_skill: execution.selected_skill,
        execution_path: v1::ExecutionPath::from(execution.execution_path).into(),
        used_skills: execution.used_skills,
        used_fallback: execution.used_fallback,
        shadow_mode_requested: execution.shadow_mode_requested,
        duration_ms: execution.duration_ms,
        skill_failure: execution.skill_failure.map(job::failure),
        skill_digest: execution.skill_digest,
        shadow: execution.shadow.map(shadow),
    }
}

fn shadow(shadow: Shadow) -> v1::ShadowOutcome {
    v1::ShadowOutcome {
        execution_path: v1::ExecutionPath::from(shadow.execution_path).into(),
        status: v1::ShadowStatus::from(shadow.status).into(),
        files: shadow.files,
        artifact_id: shadow.artifact_id.map(|id| id.to_string()).unwrap_or_default(),
        detail: shadow.detail,
        duration_ms: shadow.duration_ms,
    }
}

/// An outcome out of a message; `None` where it says no stage or no way, as nobody who knows skills would.
pub fn execution_of(wire: v1::StageExecution) -> Option<Execution> {
    Some(Execution {
        stage: Stage::from_wire(wire.stage())?,
        execution_path: ExecutionPath::from_wire(wire.execution_path())?,
        shadow: wire.shadow.clone().and_then(shadow_of),
        selected_skill: wire.selected_skill,
        used_skills: wire.used_skills,
        used_fallback: wire.used_fallback,
        shadow_mode_requested: wire.shadow_mode_requested,
        duration_ms: wire.duration_ms.max(0),
        skill_failure: wire.skill_failure.map(job::failure_of),
        skill_digest: wire.skill_digest,
    })
}

fn shadow_of(wire: v1::ShadowOutcome) -> Option<Shadow> {
    Some(Shadow {
        execution_path: ExecutionPath::from_wire(wire.execution_path())?,
        status: ShadowStatus::from_wire(wire.status())?,
        files: wire.files.max(0),
        artifact_id: Uuid::try_parse(&wire.artifact_id).ok(),
        detail: wire.detail,
        duration_ms: wire.duration_ms.max(0),
    })
}
