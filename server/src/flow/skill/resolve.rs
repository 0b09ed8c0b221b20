//! What would be chosen for each stage of a run.

use strum::VariantArray as _;
use uuid::Uuid;

use super::{
    super::{Error, Flow},
    choice::{self, Choices},
};
use crate::{
    db::runs,
    domain::{
        skill::{self, Decision, Foreseen},
        stage::Stage,
    },
};

/// What would be chosen by a version of the policy.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The version.
    pub policy_version: i64,
    /// One per stage, in their order.
    pub stages: Vec<Resolved>,
}

/// What would be chosen for a stage.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What the policy says now.
    pub foreseen: Foreseen,
    /// What was decided for the run; `None` where nothing was.
    pub recorded: Option<Decision>,
}

/// Resolves the stages of a run, of one that could have this id, or of any. `choices` take the place of those of a run that is there; one that is
/// asked for and isn't allowed is refused as [`super::super::start::start`] would. Changes nothing.
///
/// # Errors
///
/// `SKILL_NOT_ALLOWED`, `SKILL_UNKNOWN`.
pub async fn resolve(flow: &Flow, run_id: Option<Uuid>, choices: Choices) -> Result<Resolution, Error> {
    let mut connection = flow.connection().await?;
    let policy = flow.policies.latest(&mut connection).await?;
    let policy = policy.ok_or(Error::Database(diesel::result::Error::NotFound))?;
    let run = match run_id {
        Some(id) => runs::find(&mut connection, id).await?,
        None => None,
    };
    // The next step may want the connection.
    drop(connection);
    if let Err(refusal) = choice::check(&policy, &choices) {
        return Err(choice::refused(flow, refusal.into()).await);
    }
    let choices = match &run {
        Some(run) if choices.is_empty() => run.options().stage_skills,
        _ => choices,
    };
    let recorded = run.map(|run| run.decisions()).unwrap_or_default();
    let of_stage = |stage: &Stage| {
        let asked = choices.get(stage).map(String::as_str);
        Resolved {
            foreseen: match run_id {
                Some(run_id) => Foreseen::Settled(skill::decide(&policy, run_id, *stage, asked)),
                None => skill::foresee(&policy, *stage, asked),
            },
            recorded: recorded.iter().find(|decision| decision.stage == *stage).cloned(),
        }
    };
    Ok(Resolution {
        policy_version: policy.version,
        stages: Stage::VARIANTS.iter().map(of_stage).collect(),
    })
}
