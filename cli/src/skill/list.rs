//! `moorline skill list`.

use moorline_proto::v1::ListSkillsRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Skills};

/// Lists the skills of the fleet.
pub async fn execute(global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let skills = client::skills(global)?.list_skills(ListSkillsRequest {}).await?.into_inner().skills;
    let skills = Skills {
        skills: skills.into_iter().map(Into::into).collect(),
    };
    console.show(&skills)?;
    if skills.skills.is_empty() {
        console.note("No connected worker has shown a skill: `moorline worker show NAME` says what it has found.")?;
    }
    Ok(Exit::Ok)
}
