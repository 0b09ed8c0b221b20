//! `cargo xtask demo`: one run, from a task list to a commit on a branch, on real parts.

mod args;
mod environment;
mod model;
mod outcome;
mod play;
pub mod sample;
mod session;
mod show;
mod stack;
mod state;
mod stop;

use anyhow::{Result, bail};

pub use args::Args;
pub use environment::clean;
pub use stack::VOLUME_PREFIX;

use crate::{paths::Paths, step::Steps};

/// Runs the demo, or stops one that was kept.
pub fn main(args: &Args) -> Result<()> {
    let paths = Paths::find()?;
    if args.stop {
        return stop::main(&paths);
    }
    let mut steps = Steps::new();
    let played = play::play(&paths, args, &mut steps);
    eprintln!("\n{}", steps.summary());
    let (outcome, endpoint) = played?;
    if args.keep {
        show::kept(&endpoint, &outcome);
    }
    if args.json {
        println!("{}", serde_json::to_string(&outcome)?);
    }
    if outcome.status != "succeeded" {
        bail!("the run ended as {}; logs are in {}", outcome.status, stack::logs(&paths).display());
    }
    Ok(())
}
