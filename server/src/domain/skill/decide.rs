//! What the policy says of a stage of a run. The table of `specs/007-scalable-codex-worker/contracts/skill-policy.md` says the same, and a test
//! goes through it.

use uuid::Uuid;

use super::{Decision, DirectReason, ExecutionPath, Policy, Source, canary::bucket};
use crate::domain::stage::Stage;

/// Decides a stage of a run. `asked` is the skill that the run has asked for.
pub fn decide(policy: &Policy, run_id: Uuid, stage: Stage, asked: Option<&str>) -> Decision {
    decide_at(policy, bucket(run_id, stage), stage, asked)
}

/// What can be told of a stage's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreseen {
    /// It is this.
    Settled(Decision),
    /// It is this for every run, but for where the run stands in the canary.
    ForAnyRun(Decision),
    /// It hangs on where the run will stand in the canary; it is this for those that are in its share.
    Open(Decision),
}

/// Foresees a stage of a run that isn't there yet.
pub fn foresee(policy: &Policy, stage: Stage, asked: Option<&str>) -> Foreseen {
    let [first, last] = [0, 99].map(|bucket| decide_at(policy, bucket, stage, asked));
    match first.execution_path == last.execution_path {
        true => Foreseen::ForAnyRun(first),
        false => Foreseen::Open(first),
    }
}

fn decide_at(policy: &Policy, bucket: u8, stage: Stage, asked: Option<&str>) -> Decision {
    let of_stage = policy.stage(stage);
    let (wanted, source) = match (asked, of_stage.skill.as_deref()) {
        (Some(asked), _) => (asked, Source::Run),
        (None, Some(skill)) => (skill, Source::Stage),
        (None, None) => (policy.default_skill.as_str(), Source::Default),
    };
    let (selected, source, replaced) = if policy.allows(wanted) {
        (wanted, source, "")
    } else {
        (policy.default_skill.as_str(), Source::Default, wanted)
    };
    let direct_reason = if !policy.use_skills {
        Some(DirectReason::SkillsOff)
    } else if !of_stage.use_skills {
        Some(DirectReason::StageOff)
    } else if bucket >= policy.canary_percent {
        Some(DirectReason::OutsideCanary)
    } else {
        None
    };
    let switched_off = matches!(direct_reason, Some(DirectReason::SkillsOff | DirectReason::StageOff));
    Decision {
        stage,
        selected_skill: selected.to_owned(),
        execution_path: match direct_reason {
            Some(_) => ExecutionPath::DirectOnly,
            None => ExecutionPath::Skill,
        },
        use_skills: direct_reason.is_none(),
        fallback_enabled: policy.fallback_enabled,
        shadow_mode: policy.shadow_mode && !switched_off,
        source,
        replaced_skill: replaced.to_owned(),
        direct_reason,
        canary_percent: policy.canary_percent,
        canary_bucket: bucket,
        policy_version: policy.version,
        repository_skill: policy.repository_skills.contains(selected),
    }
}

impl Decision {
    /// The skill that a worker must have to be offered the stage, for its own sake or for its shadow's. None of a repository: the worker finds
    /// that one in the checkout.
    pub fn needed_skill(&self) -> Option<&str> {
        let runs = self.use_skills || self.shadow_mode;
        (runs && !self.repository_skill).then_some(self.selected_skill.as_str())
    }
}

#[cfg(test)]
mod tests;
