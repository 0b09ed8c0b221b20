//! A Postgres of one test's own, for tests that stop it.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use anyhow::Context;
use moorline_server::embedded;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::TestDb;

/// How a Postgres is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// In good order: connections are told, nothing is left to recover.
    Fast,
    /// As a crash does: the next start recovers from the log.
    Crash,
}

/// See the module. Postgres ends when it is dropped.
#[derive(Debug)]
pub struct PrivateCluster {
    folder: TempDir,
    cluster: Option<embedded::Cluster>,
}

impl PrivateCluster {
    /// Makes and starts one.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no folder for a Postgres")?;
        // Where root runs the tests, Postgres runs as another user, who must get through.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        let mut made = Self { folder, cluster: None };
        made.start_again().await?;
        Ok(made)
    }

    /// A database in it, with nothing in it yet.
    pub async fn database(&self) -> anyhow::Result<TestDb> {
        let cluster = self.cluster.as_ref().context("the Postgres is stopped")?;
        TestDb::create(cluster.connection_string(embedded::DATABASE), "template1").await
    }

    /// Stops it, and waits for its end.
    pub async fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let cluster = self.cluster.take().context("the Postgres is stopped already")?;
        if how == Stop::Crash {
            let pid = Pid::from_raw(cluster.pid()).context("the Postgres has no process")?;
            kill_process(pid, Signal::QUIT).context("the Postgres can't be signalled")?;
            cluster.ended().await;
        }
        Ok(cluster.stop().await?)
    }

    /// Starts it again, with all that was committed.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let options = embedded::Options::from_env(self.folder.path().join("postgres"));
        self.cluster = Some(embedded::start(options).await.context("the Postgres does not start")?);
        Ok(())
    }
}
