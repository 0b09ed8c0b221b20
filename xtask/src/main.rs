//! The project's own commands: `cargo xtask demo`, `soak`, `bench`, `images`, `stack` and `test`.
//!
//! # Layout
//! - [`install`] puts on the machine what is missing: system packages, the pinned Codex CLI, test tools.
//! - [`images`] finds a Docker client, starts the engine and builds the project's images.
//! - [`demo`] shows one run, end to end, on real parts.
//! - [`stack`] makes the stack file for Docker Swarm.
//! - [`soak`] breaks everything at random, and checks what was promised.
//! - [`mod@bench`] measures what a release build does, beside what the machine can do.
//! - [`mod@test`] is everything that CI runs.
//! - [`step`], [`mod@cargo`], [`command`], [`service`], [`interrupt`], [`paths`] and [`checksum`] serve them all.
//!
//! People read standard error; standard output is for programs.

mod bench;
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
mod stack;
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
    /// Builds the images of server, worker and jobs: a line of name, size and digest for each on standard output.
    Images(images::Args),
    /// Makes the stack file for Docker Swarm from docker-compose.yaml.
    Stack(stack::Args),
    /// Measures a release build on a Postgres of its own, beside the ceiling of the machine: a table, and JSON lines on standard output.
    Bench(bench::Args),
    /// Scripted workers in a process that can be killed; for `bench` alone.
    #[cfg(feature = "bench")]
    #[command(hide = true)]
    BenchDriver(bench::driver::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => interrupt::install().and_then(|()| demo::main(&args)),
        Command::Soak(args) => interrupt::install().and_then(|()| soak::main(&args)),
        Command::Test(args) => interrupt::install().and_then(|()| test::main(&args)),
        Command::Images(args) => interrupt::install().and_then(|()| images::main(&args)),
        Command::Stack(args) => stack::main(&args),
        Command::Bench(args) => interrupt::install().and_then(|()| bench::main(&args)),
        #[cfg(feature = "bench")]
        Command::BenchDriver(args) => bench::driver::main(&args),
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
