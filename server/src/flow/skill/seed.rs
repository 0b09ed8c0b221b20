//! The first policy comes from the settings; afterwards the database wins.

use tracing::{info, warn};

use super::super::Error;
use crate::{
    db::{
        Connection,
        skill_policies::{self, New},
    },
    domain::{skill::Policy, stage::Stage},
};

/// Who has made the first version.
const SETTINGS: &str = "settings";

/// Makes the settings' policy the first version, in a database without one. In another a difference is logged. In the caller's transaction.
///
/// # Errors
///
/// When the database fails.
pub(in crate::flow) async fn seed(connection: &mut Connection, settings: &Policy) -> Result<(), Error> {
    // Of servers that start at the same moment one comes second here, and sees what the other has made.
    skill_policies::lock(connection).await?;
    let Some(version) = skill_policies::version(connection).await? else {
        for (stage, skill) in replaced(settings) {
            warn!(%stage, skill, default = settings.default_skill, "this stage's skill isn't allowed: the default takes its place until it is");
        }
        let new = New {
            version: 1,
            policy: serde_json::to_value(settings)?,
            changed_by: SETTINGS,
            reason: "",
        };
        skill_policies::insert(connection, &new).await?;
        info!(
            use_skills = settings.use_skills,
            canary_percent = settings.canary_percent,
            "policy of skills seeded"
        );
        return Ok(());
    };
    let stored = skill_policies::find(connection, version).await?.policy()?;
    let configured = Policy {
        version,
        ..settings.clone()
    };
    if stored != configured {
        warn!(
            version,
            "the settings of skills (SPEC_WORKFLOW_USE_SKILLS and those beside it) differ from the database, which wins: `moorline skill policy show`"
        );
    }
    Ok(())
}

/// Stages with a skill of their own that isn't allowed.
fn replaced(policy: &Policy) -> impl Iterator<Item = (Stage, &str)> {
    let named = policy
        .stages
        .iter()
        .filter_map(|(stage, of_stage)| Some((*stage, of_stage.skill.as_deref()?)));
    named.filter(|(_, skill)| !policy.allows(skill))
}
