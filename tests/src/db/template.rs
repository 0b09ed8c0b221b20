//! The database that test databases are copied from: all migrations applied, made once for each set of migrations.

use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use super::{address, connect};

/// What names of templates begin with; then comes the digest of the migrations.
pub(super) const PREFIX: &str = "moorline_template_";

/// One at a time makes a template, on this server. The number means nothing elsewhere.
const LOCK: &str = "select pg_advisory_lock(7420744207420)";

/// Makes the template unless it is there, and returns its name.
pub(super) async fn ensure(admin_url: &str) -> anyhow::Result<String> {
    static NAME: OnceCell<String> = OnceCell::const_new();
    let name = NAME.get_or_try_init(|| async {
        let name = format!(
            "{PREFIX}{}",
            digest(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations")))?
        );
        make(admin_url, &name).await?;
        anyhow::Ok(name)
    });
    Ok(name.await?.clone())
}

async fn make(admin_url: &str, name: &str) -> anyhow::Result<()> {
    // The lock ends with this connection.
    let client = connect(admin_url).await?;
    client.batch_execute(LOCK).await?;
    if exists(&client, name).await? {
        return Ok(());
    }
    let unfinished = format!("{name}_unfinished");
    client
        .batch_execute(&format!("drop database if exists {unfinished} with (force)"))
        .await?;
    client.batch_execute(&format!("create database {unfinished}")).await?;
    migrate(address::with_database(admin_url, &unfinished)?).await?;
    // Postgres waits some seconds for the connection of the migrations to be gone.
    client
        .batch_execute(&format!("alter database {unfinished} rename to {name}"))
        .await?;
    // The sweep goes by this; the catalogue has no date.
    client
        .batch_execute(&format!("comment on database {name} is '{}'", super::now().as_secs()))
        .await?;
    Ok(())
}

async fn exists(client: &Client, name: &str) -> anyhow::Result<bool> {
    Ok(client
        .query_opt("select 1 from pg_database where datname = $1", &[&name])
        .await?
        .is_some())
}

/// In a runtime of its own: migrations block their thread, which a test's runtime of one thread would not survive.
async fn migrate(url: String) -> anyhow::Result<()> {
    let migrated = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(async move { moorline_server::db::migrations::run(&url).await })?;
        anyhow::Ok(())
    });
    migrated.await?.context("the template could not be migrated")
}

/// A digest of all files below a directory, their paths included.
fn digest(directory: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    collect(directory, &mut files).with_context(|| format!("could not read {}", directory.display()))?;
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.strip_prefix(directory)?.as_os_str().as_encoded_bytes());
        digest.update([0]);
        let content = std::fs::read(&file)?;
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(content);
    }
    Ok(hex::encode(&digest.finalize()[..8]))
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_migration_is_another_template() {
        let dir = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            digest(dir.path()).unwrap()
        };
        let first = file("1/up.sql", "create table a ()");
        let changed = file("1/up.sql", "create table b ()");
        let added = file("2/up.sql", "");
        assert!(first != changed && changed != added);
        assert_eq!(file("1/up.sql", "create table b ()"), added);
    }
}
