//! `moorline volume …`: one file per verb.

mod check;
mod checks;
mod gc;
mod list;
mod login;
mod logout;
mod notes;
mod show;

use clap::Subcommand;
use moorline_proto::v1;

use crate::{args::Global, console::Console, error::Error, exit::Exit, view};

/// What to do with the volumes that hold logins.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every volume with the state of its login.
    List,
    /// Show one volume, as its worker last saw it.
    Show(show::Args),
    /// Have a volume's worker check its login now.
    Check(check::Args),
    /// List login checks, newest first.
    Checks(checks::Args),
    /// Log a volume in, or renew its login.
    Login(login::Args),
    /// Log a volume out.
    Logout(logout::Args),
    /// Replace the operators' notes on a volume.
    Notes(notes::Args),
    /// Remove what the agent has piled up beside its login.
    Gc(gc::Args),
}

impl Command {
    /// Whether the server has to ask a worker before it answers.
    pub fn asks_a_worker(&self) -> bool {
        match self {
            Self::Check(_) | Self::Login(_) | Self::Logout(_) | Self::Gc(_) => true,
            Self::List | Self::Show(_) | Self::Checks(_) | Self::Notes(_) => false,
        }
    }
}

/// Does it.
pub async fn execute(command: &Command, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    match command {
        Command::List => list::execute(global, console).await,
        Command::Show(args) => show::execute(args, global, console).await,
        Command::Check(args) => check::execute(args, global, console).await,
        Command::Checks(args) => checks::execute(args, global, console).await,
        Command::Login(args) => login::execute(args, global, console).await,
        Command::Logout(args) => logout::execute(args, global, console).await,
        Command::Notes(args) => notes::execute(args, global, console).await,
        Command::Gc(args) => gc::execute(args, global, console).await,
    }
}

/// The volume of an answer.
fn answered(volume: Option<v1::AuthVolume>) -> Result<view::Volume, Error> {
    volume.map(view::Volume::from).ok_or(Error::Incomplete("volume"))
}
