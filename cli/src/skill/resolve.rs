//! `moorline skill resolve`.

use moorline_proto::v1::{ResolveStagesRequest, StageSkill};

use super::choice;
use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Resolution};

/// Say what would be chosen for each stage of a run, and why.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run, or an id that a run could have; any new run when not given.
    run_id: Option<String>,
    /// What the run would ask for; what it has asked for when not given.
    #[arg(long = "skill", value_name = "STAGE=SKILL", value_parser = choice::parse)]
    skills: Vec<StageSkill>,
}

/// Says what would be chosen.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = ResolveStagesRequest {
        run_id: args.run_id.clone().unwrap_or_default(),
        stage_skills: args.skills.clone(),
    };
    let answer = client::skills(global)?.resolve_stages(request).await?.into_inner();
    console.show(&Resolution::from(answer))?;
    Ok(Exit::Ok)
}
