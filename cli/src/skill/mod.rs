//! `moorline skill …`: one file per verb.

mod check;
pub mod choice;
mod list;
mod policy;
mod resolve;

use clap::Subcommand;

use crate::{args::Global, console::Console, error::Error, exit::Exit};

/// What to do with skills.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with skills in folders of this machine, and how to mend it; no server is asked.
    Check(check::Args),
    /// List the skills of the workers that are connected.
    List,
    /// Show and change which skills carry which stages.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Say what would be chosen for each stage of a run, and why.
    Resolve(resolve::Args),
}

/// Does it.
pub async fn execute(command: &Command, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    match command {
        Command::Check(args) => check::execute(args, console),
        Command::List => list::execute(global, console).await,
        Command::Policy(command) => policy::execute(command, global, console).await,
        Command::Resolve(args) => resolve::execute(args, global, console).await,
    }
}
