//! `moorline skill policy history`.

use moorline_proto::v1::ListSkillPoliciesRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::SkillPolicies};

/// List the policy's versions, the latest first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// List at most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=200))]
    limit: i32,
    /// Only versions before this one.
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(i64).range(1..))]
    before: Option<i64>,
}

/// Lists the versions.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = ListSkillPoliciesRequest {
        page_size: args.limit,
        before_version: args.before.unwrap_or_default(),
    };
    let policies = client::skills(global)?.list_skill_policies(request).await?.into_inner().policies;
    let list = SkillPolicies {
        policies: policies.into_iter().map(Into::into).collect(),
    };
    console.show(&list)?;
    if let Some(earliest) = list.policies.last().filter(|earliest| earliest.version > 1) {
        console.note(format!(
            "\nThere are more: raise --limit, or go on with --before {}",
            earliest.version
        ))?;
    }
    Ok(Exit::Ok)
}
