//! `moorline shard …`: one file per verb.

mod list;
mod show;

use clap::Subcommand;

use crate::{args::Global, console::Console, error::Error, exit::Exit};

/// What to do with shards.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every shard with the health of its login.
    List,
    /// Show one shard.
    Show(show::Args),
}

/// Does it.
pub async fn execute(command: &Command, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    match command {
        Command::List => list::execute(global, console).await,
        Command::Show(args) => show::execute(args, global, console).await,
    }
}
