//! `cargo xtask bench`: how fast a release build is, beside how fast the machine can be.
//!
//! # Layout
//! - `launch` builds the server and this program with optimisation and starts that one; the rest is compiled there alone, with the
//!   feature `bench`, so that the other commands stay quick to build.
//! - `run` goes through the workloads, one file each: `drain`, `ping`, `backlog`, `idle`, `storm`, `lost`.
//! - `stage` is what they run on: `cluster`, a Postgres of its own, and `server`, the server as a child process.
//! - `fleet` is scripted workers over real gRPC; `requests` creates runs; `driver` is a worker that can be killed.
//! - `plan` reads how Postgres goes about a claim; `process`, what a process uses.
//! - `ceiling` makes the same row changes in plain SQL. `check` reads the database afterwards: figures of wrong results are worth nothing.
//! - `line` is a figure, and how figures are shown.

#[cfg(feature = "bench")]
mod backlog;
#[cfg(feature = "bench")]
mod ceiling;
#[cfg(feature = "bench")]
mod check;
#[cfg(feature = "bench")]
mod cluster;
#[cfg(feature = "bench")]
mod drain;
#[cfg(feature = "bench")]
pub mod driver;
#[cfg(feature = "bench")]
mod fleet;
#[cfg(feature = "bench")]
mod idle;
#[cfg(not(feature = "bench"))]
mod launch;
#[cfg(feature = "bench")]
mod line;
#[cfg(feature = "bench")]
mod lost;
#[cfg(feature = "bench")]
mod ping;
#[cfg(feature = "bench")]
mod plan;
#[cfg(feature = "bench")]
mod process;
#[cfg(feature = "bench")]
mod requests;
#[cfg(feature = "bench")]
mod run;
#[cfg(feature = "bench")]
mod server;
#[cfg(feature = "bench")]
mod stage;
#[cfg(feature = "bench")]
mod storm;

#[cfg(not(feature = "bench"))]
pub use launch::main;
#[cfg(feature = "bench")]
pub use run::main;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only these workloads, separated by commas.
    #[arg(long, value_name = "WORKLOADS", value_delimiter = ',')]
    only: Vec<Workload>,
    /// Only JSON lines, and nothing for people.
    #[arg(long)]
    json: bool,
    /// Sizes and times as a part of the full ones, to try something quickly. The targets are for 1.
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = scale)]
    scale: f64,
}

/// A workload, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Workload {
    /// Runs that are answered at once, queued beforehand; then a queue that is kept full.
    Drain,
    /// From CreateRun to the offer at the worker, on an idle system.
    Ping,
    /// The same as drain, with a million other runs queued and a million finished.
    Backlog,
    /// Ten thousand workers without work.
    Idle,
    /// The server is killed under a thousand workers.
    Storm,
    /// A worker is killed with eight jobs.
    Lost,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(part) if part > 0.0 && part <= 1.0 => Ok(part),
        _ => Err("give a number above 0, up to 1".to_owned()),
    }
}
