//! `moorline skill …`: one file per verb.

mod check;

use clap::Subcommand;

use crate::{console::Console, error::Error, exit::Exit};

/// What to do with skills.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with skills in folders of this machine, and how to mend it; no server is asked.
    Check(check::Args),
}

/// Does it.
pub async fn execute(command: &Command, console: &mut Console<'_>) -> Result<Exit, Error> {
    match command {
        Command::Check(args) => check::execute(args, console),
    }
}
