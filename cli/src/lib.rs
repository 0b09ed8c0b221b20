//! The `moorline` command-line tool.
//!
//! [`run()`] is the whole program: it takes arguments and two streams and answers with an exit code, so that tests call it as users do.
//!
//! # Layout
//!
//! - [`args`]: the command line; a module per noun (`run`, `shard`, `volume`, …), a file per verb
//! - `client`: calls to the server; `resume`: streams that survive a lost connection
//! - [`console`]: where output goes and in which form; `view`: what is shown; `table`, `names`, `time`: how
//! - `dev`: everything in one process; [`bundle`]: the skills that it lays out for its workers
//! - `error`: what can go wrong and what to do about it; [`exit`]: the exit codes

pub mod args;
pub mod bundle;
mod client;
mod completions;
pub mod console;
mod dev;
mod error;
pub mod exit;
mod names;
mod preflight;
mod resume;
mod route;
mod run;
mod shard;
mod skill;
mod table;
mod time;
mod view;
mod volume;
mod worker;

use std::ffi::OsString;

use crate::{
    args::{Cli, Command},
    console::{Console, Format, Stream},
    error::Error,
    exit::Exit,
};

/// Runs one command line, the program's name first. Results go to `out`; notes, progress and errors to `err`.
pub async fn run(args: impl IntoIterator<Item = OsString>, out: &mut dyn Stream, err: &mut dyn Stream) -> Exit {
    let cli = match args::parse(args) {
        Ok(cli) => cli,
        Err(refusal) => return explain(&refusal, out, err),
    };
    let mut console = Console::new(out, err, cli.global.output);
    match dispatch(&cli, &mut console).await {
        Ok(exit) => exit,
        Err(error) => error.report(&cli.global).write(&mut console),
    }
}

async fn dispatch(cli: &Cli, console: &mut Console<'_>) -> Result<Exit, Error> {
    match &cli.command {
        Command::Run(command) => run::execute(command, &cli.global, console).await,
        Command::Shard(command) => shard::execute(command, &cli.global, console).await,
        Command::Volume(command) => volume::execute(command, &cli.global, console).await,
        Command::Preflight(args) => preflight::execute(args, &cli.global, console).await,
        Command::Worker(command) => worker::execute(command, &cli.global, console).await,
        Command::Skill(command) => skill::execute(command, &cli.global, console).await,
        Command::Route(args) => route::execute(args, &cli.global, console).await,
        Command::Completions { shell } => completions::execute(*shell, console),
        Command::Dev(args) => dev::execute(args, console).await,
    }
}

/// Shows help, the version, or what is wrong with the command line.
fn explain(refusal: &clap::Error, out: &mut dyn Stream, err: &mut dyn Stream) -> Exit {
    let asked_for = !refusal.use_stderr();
    let console = Console::new(out, err, Format::Table);
    let stream = if asked_for { console.out } else { console.err };
    // Nobody is left to tell when even this can't be written.
    let _ = write!(stream, "{}", refusal.render());
    if asked_for { Exit::Ok } else { Exit::Usage }
}
