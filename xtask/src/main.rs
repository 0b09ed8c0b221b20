//! The project's own commands: `cargo xtask demo`, `cargo xtask soak` and `cargo xtask test`.
//!
//! # Layout
//! - [`install`] puts on the machine what is missing: system packages, the pinned Codex CLI, test tools.
//! - [`images`] finds a Docker client, starts the engine and builds the job image.
//! - [`demo`] shows one run, end to end, on real parts.
//! - [`soak`] breaks everything at random, and checks what was promised.
//! - [`mod@test`] is everything that CI runs.
//! - [`step`], [`mod@cargo`], [`command`], [`service`], [`interrupt`], [`paths`] and [`checksum`] serve them all.
//!
//! People read standard error; standard output is for programs.

mod cargo;
mod checksum;
mod command;
mod demo;
mod images;
mod install;
mod interrupt;
mod paths;
mod service;
mod soak;
mod step;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows one run, from a task list to a commit on a branch, on real parts.
    Demo(demo::Args),
    /// Breaks servers, workers, Postgres and their lines at random for some minutes, and checks what was promised.
    Soak(soak::Args),
    /// Runs everything that CI runs.
    Test(test::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => interrupt::install().and_then(|()| demo::main(&args)),
        Command::Soak(args) => interrupt::install().and_then(|()| soak::main(&args)),
        Command::Test(args) => interrupt::install().and_then(|()| test::main(&args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if interrupt::requested() => {
            eprintln!("\ninterrupted: what was started has been stopped");
            // What a shell reports for a command that was ended by Ctrl-C.
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
