//! `moorline completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{args::Cli, console::Console, error::Error, exit::Exit};

/// Prints a completion script.
pub fn execute(shell: Shell, console: &mut Console<'_>) -> Result<Exit, Error> {
    // Made in memory first: the generator panics when a pipe that it writes to is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "moorline", &mut script);
    console.out.write_all(&script)?;
    Ok(Exit::Ok)
}
