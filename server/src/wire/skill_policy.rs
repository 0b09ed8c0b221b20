//! The policy of skills, and what it would decide.

use std::collections::{BTreeMap, BTreeSet};

use moorline_proto::v1;
use strum::VariantArray as _;

use super::{
    skill::{decision, stage_of},
    timestamp,
};
use crate::{
    db::skill_policies::Row,
    domain::{
        Error,
        skill::{Foreseen, Policy, canary_percent},
        stage::Stage,
    },
    flow::skill::{Change, Resolved, StageChange},
};

/// A version of the policy as a message.
pub fn message(row: Row, policy: Policy) -> v1::SkillPolicy {
    let stage = |stage: &Stage| {
        let of_stage = policy.stage(*stage);
        v1::StagePolicy {
            stage: v1::Stage::from(*stage).into(),
            use_skills: of_stage.use_skills,
            skill: of_stage.skill.unwrap_or_default(),
        }
    };
    v1::SkillPolicy {
        version: row.version,
        use_skills: policy.use_skills,
        stages: Stage::VARIANTS.iter().map(stage).collect(),
        default_skill: policy.default_skill,
        allowed_skills: policy.allowed_skills.into_iter().collect(),
        canary_percent: policy.canary_percent.into(),
        shadow_mode: policy.shadow_mode,
        fallback_enabled: policy.fallback_enabled,
        repository_skills: policy.repository_skills.into_iter().collect(),
        changed_by: row.changed_by,
        reason: row.reason,
        created_at: Some(timestamp(row.created_at)),
    }
}

/// What is to change, out of a message.
///
/// # Errors
///
/// `INVALID_STAGE_SKILLS`, when a change has no stage, or two have the same; `INVALID_CANARY_PERCENT`; `UNKNOWN_VALUE`.
pub fn change_of(wire: v1::UpdateSkillPolicyRequest) -> Result<Change, Error> {
    let mut stages = BTreeMap::new();
    for change in wire.stages {
        let stage = stage_of("stages", change.stage)?;
        let change = StageChange {
            use_skills: change.use_skills,
            skill: change.skill,
        };
        if stages.insert(stage, change).is_some() {
            let message = format!("stages names two changes for {stage}: make one of them");
            return Err(Error::invalid("stages", "INVALID_STAGE_SKILLS", message));
        }
    }
    let names = |list: v1::SkillNames| list.names.into_iter().collect::<BTreeSet<_>>();
    Ok(Change {
        use_skills: wire.use_skills,
        stages,
        default_skill: wire.default_skill,
        allowed_skills: wire.allowed_skills.map(names),
        canary_percent: wire.canary_percent.map(|given| canary_percent(given.into())).transpose()?,
        shadow_mode: wire.shadow_mode,
        fallback_enabled: wire.fallback_enabled,
        repository_skills: wire.repository_skills.map(names),
        expected_version: Some(wire.expected_version).filter(|version| *version != 0),
        reason: wire.reason,
    })
}

/// What would be chosen for a stage as a message; `skills` are those of the connected workers.
pub fn resolution(resolved: Resolved, skills: &[(String, Vec<v1::StartupSkill>)]) -> v1::StageResolution {
    let (explanation, chosen) = (resolved.foreseen.explanation(), foreseen(resolved.foreseen));
    let carries = |skill: &v1::StartupSkill| {
        let of_stage = |carried: &v1::SkillStage| carried.stage == chosen.stage;
        skill.ready && skill.name == chosen.selected_skill && skill.stages.iter().any(of_stage)
    };
    let workers = skills.iter().filter(|(_, skills)| skills.iter().any(carries)).count();
    v1::StageResolution {
        explanation,
        workers: i32::try_from(workers).unwrap_or(i32::MAX),
        decision: Some(chosen),
        recorded: resolved.recorded.map(decision),
    }
}

/// Where there is no run, there is no place in the canary, and where the way hangs on that, there is no way.
fn foreseen(foreseen: Foreseen) -> v1::StageDecision {
    const NOWHERE: i32 = -1;
    match foreseen {
        Foreseen::Settled(settled) => decision(settled),
        Foreseen::ForAnyRun(settled) => v1::StageDecision {
            canary_bucket: NOWHERE,
            ..decision(settled)
        },
        Foreseen::Open(open) => v1::StageDecision {
            canary_bucket: NOWHERE,
            execution_path: v1::ExecutionPath::Unspecified.into(),
            direct_reason: v1::DirectReason::Unspecified.into(),
            use_skills: false,
            ..decision(open)
        },
    }
}

/// The skills of the connected workers, form by form.
pub fn fleet(skills: &[(String, Vec<v1::StartupSkill>)], policy: &Policy) -> Vec<v1::FleetSkill> {
    let mut forms: Vec<v1::FleetSkill> = Vec::new();
    for (worker, skill) in skills
        .iter()
        .flat_map(|(worker, skills)| skills.iter().map(move |skill| (worker, skill)))
    {
        match forms.iter_mut().find(|form| form.skill.as_ref() == Some(skill)) {
            Some(form) => form.workers.push(worker.clone()),
            None => forms.push(v1::FleetSkill {
                allowed: policy.allows(&skill.name),
                skill: Some(skill.clone()),
                workers: vec![worker.clone()],
            }),
        }
    }
    forms.sort_by(|one, other| key(one).cmp(&key(other)));
    forms
}

fn key(form: &v1::FleetSkill) -> Option<(&str, &str, &str)> {
    form.skill
        .as_ref()
        .map(|skill| (skill.name.as_str(), skill.digest.as_str(), skill.detail.as_str()))
}
