//! `moorline skill policy …`: one file per verb.

mod history;
mod set;
mod show;

use clap::Subcommand;
use moorline_proto::v1;

use crate::{args::Global, console::Console, error::Error, exit::Exit, view};

/// What to do with the policy.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show which skills carry which stages.
    Show,
    /// Change which skills carry which stages, for runs that are created or retried from then on.
    Set(Box<set::Args>),
    /// List the policy's versions, the latest first: who has changed what, and why.
    History(history::Args),
}

/// Does it.
pub async fn execute(command: &Command, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    match command {
        Command::Show => show::execute(global, console).await,
        Command::Set(args) => set::execute(args, global, console).await,
        Command::History(args) => history::execute(args, global, console).await,
    }
}

/// The policy of an answer.
fn answered(policy: Option<v1::SkillPolicy>) -> Result<view::SkillPolicy, Error> {
    policy.map(view::SkillPolicy::from).ok_or(Error::Incomplete("policy"))
}
