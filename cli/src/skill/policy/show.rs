//! `moorline skill policy show`.

use moorline_proto::v1::GetSkillPolicyRequest;

use super::answered;
use crate::{args::Global, client, console::Console, error::Error, exit::Exit};

/// Shows the policy.
pub async fn execute(global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let answer = client::skills(global)?
        .get_skill_policy(GetSkillPolicyRequest {})
        .await?
        .into_inner();
    console.show(&answered(answer.policy)?)?;
    Ok(Exit::Ok)
}
