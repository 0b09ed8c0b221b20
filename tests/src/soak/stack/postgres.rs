//! The Postgres of the soak: durable, and killed all the same.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use anyhow::Context as _;
use moorline_server::embedded::{self, Cluster};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// In order.
    Fast,
    /// At once, without a checkpoint.
    Immediate,
    /// The postmaster is killed; its children find out by themselves.
    Kill,
}

/// See the module.
#[derive(Debug)]
pub struct Postgres {
    cluster: Option<Cluster>,
    url: String,
    folder: TempDir,
}

impl Postgres {
    /// Makes and starts it.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no folder for Postgres")?;
        // Where root runs the soak, Postgres runs as another user, who must get through.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        let mut postgres = Self {
            cluster: None,
            url: String::new(),
            folder,
        };
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// How it is reached; the same after each start.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts it if it is down, with all that was committed.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        if self.cluster.is_none() {
            let options = embedded::Options::from_env(self.folder.path().join("postgres"));
            let cluster = embedded::start(options).await.context("Postgres does not start")?;
            self.url = cluster.connection_string(embedded::DATABASE);
            self.cluster = Some(cluster);
        }
        Ok(())
    }

    /// Stops it, and waits for its end.
    pub async fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let Some(cluster) = self.cluster.take() else { return Ok(()) };
        let signal = match how {
            Stop::Fast => None,
            Stop::Immediate => Some(Signal::QUIT),
            Stop::Kill => Some(Signal::KILL),
        };
        if let Some(signal) = signal {
            let pid = Pid::from_raw(cluster.pid()).context("Postgres has no process")?;
            kill_process(pid, signal).context("could not signal Postgres")?;
            cluster.ended().await;
        }
        Ok(cluster.stop().await?)
    }
}
