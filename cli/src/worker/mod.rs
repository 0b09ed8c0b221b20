//! `moorline worker …`: one file per verb.

mod drain;
mod list;
mod show;

use clap::Subcommand;

use crate::{args::Global, console::Console, error::Error, exit::Exit};

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the workers that are connected, or away with a running lease.
    List,
    /// Show one worker with what it has checked at its latest start.
    Show(show::Args),
    /// Have a worker finish what it has, take nothing new, and end.
    Drain(drain::Args),
}

/// Does it.
pub async fn execute(command: &Command, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    match command {
        Command::List => list::execute(global, console).await,
        Command::Show(args) => show::execute(args, global, console).await,
        Command::Drain(args) => drain::execute(args, global, console).await,
    }
}
