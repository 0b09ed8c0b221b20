//! What runs ask for, and what is decided of them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::{Error, Flow};
use crate::{
    db::instances,
    domain::{
        self,
        skill::{self, Decision, Policy},
        stage::Stage,
    },
};

/// Skills by stage, as a run asks for them.
pub type Choices = BTreeMap<Stage, String>;

/// Checks that a run may have what it asks for.
///
/// # Errors
///
/// `SKILL_NOT_ALLOWED`, with those that are allowed.
pub(in crate::flow) fn check(policy: &Policy, choices: &Choices) -> Result<(), domain::Error> {
    match choices.iter().find(|(_, skill)| !policy.allows(skill)) {
        Some((stage, skill)) => Err(policy.refusal(*stage, skill)),
        None => Ok(()),
    }
}

/// Checks that a run has the stages that it asks for skills for.
///
/// # Errors
///
/// `INVALID_STAGE_SKILLS`.
pub(in crate::flow) fn check_stages(stages: &[Stage], choices: &Choices) -> Result<(), domain::Error> {
    match choices.keys().find(|stage| !stages.contains(stage)) {
        Some(stage) => {
            let message = format!("the run has no {stage}, which force_phase leaves out: take that stage out of stage_skills");
            Err(domain::Error::invalid("options.stage_skills", "INVALID_STAGE_SKILLS", message))
        }
        None => Ok(()),
    }
}

/// What is decided for each stage of a run.
pub(in crate::flow) fn decide(policy: &Policy, run_id: Uuid, stages: &[Stage], choices: &Choices) -> Vec<Decision> {
    let asked = |stage| choices.get(stage).map(String::as_str);
    stages
        .iter()
        .map(|stage| skill::decide(policy, run_id, *stage, asked(stage)))
        .collect()
}

/// A refusal of a choice, told apart: a skill that no worker has shown is more likely mistyped than not allowed.
pub(in crate::flow) async fn refused(flow: &Flow, error: Error) -> Error {
    let Error::Refused(refusal) = &error else { return error };
    let fact = |name: &str| {
        refusal
            .metadata
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone())
    };
    let (Some(skill), Some(stage), Some(allowed)) = (fact("skill"), fact("stage"), fact("allowed")) else {
        return error;
    };
    let shown = match flow.connection().await {
        Ok(mut connection) => instances::have_shown(&mut connection, &skill).await,
        Err(unavailable) => return unavailable,
    };
    match shown {
        Ok(false) => {
            let message = format!(
                "no worker has shown a skill {skill:?} at its latest start, nor is it allowed for {stage}: choose one of {allowed}; `moorline skill list` shows those that workers have"
            );
            domain::Error::invalid("options.stage_skills", "SKILL_UNKNOWN", message)
                .with("stage", stage)
                .with("skill", skill)
                .with("allowed", allowed)
                .into()
        }
        Ok(true) => error,
        Err(failed) => failed.into(),
    }
}
