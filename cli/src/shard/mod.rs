//! `moorline shard …`: one file per verb.

mod activate;
mod drain;
mod list;
mod resize;
mod show;
mod watch;

use clap::Subcommand;
use moorline_proto::v1;

use crate::{args::Global, console::Console, error::Error, exit::Exit, view};

/// What to do with shards.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every shard with the health of its login.
    List,
    /// Show one shard with its login and its latest check.
    Show(show::Args),
    /// Let a shard take no new work.
    Drain(drain::Args),
    /// Let a drained shard take work again.
    Activate(activate::Args),
    /// Route new runs over another number of shards.
    Resize(resize::Args),
    /// Follow the shards: all of them at first, then each that changes.
    Watch(watch::Args),
}

/// Does it.
pub async fn execute(command: &Command, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    match command {
        Command::List => list::execute(global, console).await,
        Command::Show(args) => show::execute(args, global, console).await,
        Command::Drain(args) => drain::execute(args, global, console).await,
        Command::Activate(args) => activate::execute(args, global, console).await,
        Command::Resize(args) => resize::execute(args, global, console).await,
        Command::Watch(args) => watch::execute(args, global, console).await,
    }
}

/// The shard of an answer.
fn answered(shard: Option<v1::Shard>) -> Result<view::Shard, Error> {
    shard.map(view::Shard::from).ok_or(Error::Incomplete("shard"))
}
