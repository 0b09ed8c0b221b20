//! A Postgres of the benchmark's own, set as a production one would be where it matters here, and databases in it.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use moorline_server::embedded;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The database that others are copied from: migrated, and otherwise empty.
const TEMPLATE: &str = "bench_template";

/// See the module.
#[derive(Debug)]
pub struct Cluster {
    postgres: embedded::Cluster,
    // Removed after Postgres, since fields drop in order.
    folder: TempDir,
}

impl Cluster {
    /// Makes and starts it, with `fsync` and `synchronous_commit` on.
    pub async fn start(server: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("moorline-bench-").tempdir()?;
        // Postgres may run as another user, who must pass through.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        let mut options = embedded::Options::from_env(folder.path().join("postgres"));
        options.settings = [
            "shared_buffers=512MB",
            "autovacuum_naptime=1s",
            "max_wal_size=4GB",
            "shared_preload_libraries=pg_stat_statements",
        ]
        .map(str::to_owned)
        .to_vec();
        let postgres = embedded::start(options)
            .await
            .context("the benchmark's Postgres could not be started")?;
        let cluster = Self { postgres, folder };
        cluster.make_template(server).await?;
        Ok(cluster)
    }

    async fn make_template(&self, server: &Path) -> Result<()> {
        let admin = connect(&self.admin_url("postgres")).await?;
        admin
            .batch_execute(&format!("create database {TEMPLATE} owner {}", embedded::DATABASE))
            .await?;
        let template = connect(&self.admin_url(TEMPLATE)).await?;
        let extension = template.batch_execute("create extension pg_stat_statements").await;
        extension.context("pg_stat_statements is missing: install the contrib package of this PostgreSQL")?;
        drop(template);
        let mut migrate = std::process::Command::new(server);
        migrate
            .arg("migrate")
            .env("MOORLINE_DATABASE_URL", self.postgres.connection_string(TEMPLATE))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        ensure!(
            migrate.status()?.success(),
            "the schema could not be made by `moorline-server migrate`"
        );
        Ok(())
    }

    /// Makes a database with the schema and nothing else in it.
    pub async fn database(&self, name: &str) -> Result<Database> {
        let admin = connect(&self.admin_url("postgres")).await?;
        // Its last connection may still be ending.
        let mut attempts = 0;
        let copy = format!("create database {name} template {TEMPLATE} owner {}", embedded::DATABASE);
        while let Err(error) = admin.batch_execute(&copy).await {
            attempts += 1;
            ensure!(attempts < 50, "database {name} could not be made: {error}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Ok(Database {
            url: self.postgres.connection_string(name),
            admin_url: self.admin_url(name),
            name: name.to_owned(),
        })
    }

    /// Removes a database that is not needed any more, and with it what its vacuums would cost.
    pub async fn drop_database(&self, database: Database) -> Result<()> {
        let admin = connect(&self.admin_url("postgres")).await?;
        admin
            .batch_execute(&format!("drop database {} with (force)", database.name))
            .await?;
        Ok(())
    }

    /// A folder that goes with the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it and removes its files.
    pub async fn stop(self) -> Result<()> {
        self.postgres.stop().await?;
        Ok(())
    }

    fn admin_url(&self, database: &str) -> String {
        format!("host='{}' user=postgres dbname={database}", self.postgres.socket_dir().display())
    }
}

/// A database of the cluster.
#[derive(Debug, Clone)]
pub struct Database {
    /// As the server connects.
    pub url: String,
    /// As Postgres' superuser.
    admin_url: String,
    name: String,
}

impl Database {
    /// A connection as the server's role.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.url).await
    }

    /// Connection string of the superuser.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// A connection as the superuser.
    pub async fn admin(&self) -> Result<Client> {
        connect(&self.admin_url).await
    }

    /// Writes out what earlier measurements have left, so that the next one doesn't pay for it.
    pub async fn settle(&self) -> Result<()> {
        Ok(self.admin().await?.batch_execute("checkpoint").await?)
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .context("the benchmark's Postgres does not answer")?;
    tokio::spawn(connection);
    Ok(client)
}
