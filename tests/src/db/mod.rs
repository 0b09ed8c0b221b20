//! A database for each test, on a real Postgres.
//!
//! [`TestDb::new`] copies a template that has all migrations, so that a test has its database within some 50 ms. The server is the
//! one of `MOORLINE_TEST_DATABASE_URL` (a role that may create databases), or an embedded cluster that all tests of this user share
//! and leave running. It works for `cargo test`, with many tests in one process, and for `cargo nextest`, with a process for each.

mod address;
mod cluster;
mod private;
mod sweep;
mod template;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use tokio_postgres::{Client, NoTls};

pub use self::private::{PrivateCluster, Stop};
use crate::proxy::Target;

/// What names of test databases begin with; then come the seconds since 1970, the process and a number.
const PREFIX: &str = "moorline_test_";

/// A database of one test. It is dropped, whoever is still connected, when this is.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    url: String,
    admin_url: String,
}

impl TestDb {
    /// A database with all migrations applied.
    pub async fn new() -> anyhow::Result<Self> {
        let admin_url = cluster::url().await?;
        let template = template::ensure(&admin_url).await?;
        Self::create(admin_url, &template).await
    }

    /// A database with nothing in it, for tests of the migrations themselves.
    pub async fn empty() -> anyhow::Result<Self> {
        Self::create(cluster::url().await?, "template1").await
    }

    /// Connection string, as the server's `MOORLINE_DATABASE_URL` takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same database as it is found at another address, such as that of a proxy in front of [`TestDb::target`].
    pub fn url_through(&self, proxy: SocketAddr) -> anyhow::Result<String> {
        address::through(&self.url, proxy)
    }

    /// Where its Postgres listens.
    pub fn target(&self) -> anyhow::Result<Target> {
        address::target(&self.url)
    }

    /// A connection to look into it, beside the code under test.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        connect(&self.url).await
    }

    async fn create(admin_url: String, template: &str) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}_{}_{count}", now().as_secs(), std::process::id());
        let url = address::with_database(&admin_url, &name)?;
        let client = connect(&admin_url).await?;
        let sql = format!("create database {name} template {template}");
        client
            .batch_execute(&sql)
            .await
            .with_context(|| format!("could not copy {template}"))?;
        Ok(Self { name, url, admin_url })
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // A thread, since dropping can't wait and the test's runtime may be ending.
        let sql = format!("drop database if exists {} with (force)", self.name);
        let admin_url = self.admin_url.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { Ok::<_, anyhow::Error>(connect(&admin_url).await?.batch_execute(&sql).await?) })
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("{} is left for the next sweep: {error:#}", self.name);
        }
    }
}

pub(crate) async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .context("the test database does not answer")?;
    tokio::spawn(connection);
    Ok(client)
}

fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
