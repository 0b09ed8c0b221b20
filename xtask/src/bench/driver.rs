//! A scripted worker in a process of its own, which can be killed. It tells what happens to it in JSON lines.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::fleet::{Fleet, Held, Script, Tally};

/// What it does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the server is.
    server: SocketAddr,
    /// The worker, as JSON.
    script: String,
}

/// What it tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    /// The server welcomed it, and let it go on with so many jobs.
    Welcomed(usize),
    /// It has accepted a job of this run.
    Accepted(String, Held),
}

/// Runs until it is killed.
pub fn main(args: &Args) -> Result<()> {
    let script: Script = serde_json::from_str(&args.script).context("the script can't be read")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(live(args.server, script))
}

async fn live(server: SocketAddr, script: Script) -> Result<()> {
    let (told, mut offers) = mpsc::channel(64);
    let mut fleet = Fleet::new(Tally::telling(told));
    fleet.alone(server, script)?;
    fleet.gate.open();
    let mut welcomes = 0;
    loop {
        tokio::select! {
            biased;
            counts = fleet.tally.changed(|counts| counts.welcomes > welcomes) => {
                welcomes = counts.welcomes;
                say(&Told::Welcomed(counts.kept))?;
            }
            Some(offered) = offers.recv() => {
                let held = Held {
                    job_id: offered.job_id,
                    lease_token: offered.lease_token,
                    stage: offered.stage,
                    finished: false,
                    other: false,
                };
                say(&Told::Accepted(offered.run_id, held))?;
            }
        }
    }
}

fn say(told: &Told) -> Result<()> {
    // Standard output is flushed at the end of each line.
    println!("{}", serde_json::to_string(told)?);
    Ok(())
}
