//! The worker that is killed: a process with jobs in hand.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::super::{
    cluster::Database,
    driver::Told,
    fleet::{Held, Script},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// See the module. Dropping it kills it.
pub struct Holder {
    child: Child,
    told: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    /// Starts it, and waits for its Welcome; with it, how many jobs of its inventory it was to go on with.
    pub async fn start(server: SocketAddr, script: &Script) -> Result<(Self, usize)> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["bench-driver", &server.to_string(), &serde_json::to_string(script)?])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().context("could not start the worker")?;
        let told = child.stdout.take().context("no standard output")?;
        let mut holder = Self {
            child,
            told: BufReader::new(told).lines(),
        };
        loop {
            if let Told::Welcomed(kept) = holder.next().await? {
                return Ok((holder, kept));
            }
        }
    }

    /// Waits until it has so many jobs in hand, and until the server knows that they run.
    pub async fn hold(&mut self, database: &Database, jobs: usize) -> Result<Vec<Held>> {
        let mut held = Vec::new();
        while held.len() < jobs {
            if let Told::Accepted(_, job) = self.next().await? {
                held.push(job);
            }
        }
        let client = database.connect().await?;
        for _ in 0..1000 {
            let running: i64 = client
                .query_one("select count(*) from jobs where status = 'running'", &[])
                .await?
                .get(0);
            if usize::try_from(running)? >= jobs {
                return Ok(held);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("the jobs in hand never ran")
    }

    /// Kills it: its end is its stream's end.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("the worker could not be killed")
    }

    async fn next(&mut self) -> Result<Told> {
        let line = tokio::time::timeout(PATIENCE, self.told.next_line()).await;
        let line = line.context("the worker has said nothing for too long")??;
        ensure!(line.is_some(), "the worker ended by itself");
        Ok(serde_json::from_str(&line.unwrap_or_default())?)
    }
}
