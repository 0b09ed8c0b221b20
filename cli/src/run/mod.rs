//! `moorline run …`: one file per verb.

mod artifacts;
mod cancel;
mod create;
mod download;
mod get;
mod list;
mod logs;
mod progress;
mod retry;
mod watch;

use clap::Subcommand;
use moorline_proto::v1;

use crate::{args::Global, console::Console, error::Error, exit::Exit, view};

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a run.
    Create(Box<create::Args>),
    /// Show a run with its jobs and artifacts.
    Get(get::Args),
    /// List runs, newest first.
    List(list::Args),
    /// Follow a run until it ends.
    Watch(watch::Args),
    /// Cancel a run.
    Cancel(cancel::Args),
    /// Queue a failed run again.
    Retry(retry::Args),
    /// Print the output of a run's jobs.
    Logs(logs::Args),
    /// List what a run has stored.
    Artifacts(artifacts::Args),
    /// Fetch the content of an artifact.
    Download(download::Args),
}

/// Does it.
pub async fn execute(command: &Command, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    match command {
        Command::Create(args) => create::execute(args, global, console).await,
        Command::Get(args) => get::execute(args, global, console).await,
        Command::List(args) => list::execute(args, global, console).await,
        Command::Watch(args) => watch::execute(args, global, console).await,
        Command::Cancel(args) => cancel::execute(args, global, console).await,
        Command::Retry(args) => retry::execute(args, global, console).await,
        Command::Logs(args) => logs::execute(args, global, console).await,
        Command::Artifacts(args) => artifacts::execute(args, global, console).await,
        Command::Download(args) => download::execute(args, global, console).await,
    }
}

/// The run of an answer.
fn answered(run: Option<v1::Run>) -> Result<view::Run, Error> {
    run.map(view::Run::from).ok_or(Error::Incomplete("run"))
}
