//! The Postgres that tests run on: the given one, or an embedded cluster that all tests of this user share.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use moorline_server::embedded;
use tokio::{sync::OnceCell, time::timeout};

/// Longest time for a running cluster to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Address of the Postgres, as a role that may create databases.
pub(super) async fn url() -> anyhow::Result<String> {
    static URL: OnceCell<String> = OnceCell::const_new();
    let url = URL.get_or_try_init(|| async {
        let url = match std::env::var("MOORLINE_TEST_DATABASE_URL") {
            Ok(url) if !url.is_empty() => url,
            _ => shared(&directory()).await?,
        };
        super::sweep::old_databases(&url).await?;
        anyhow::Ok(url)
    });
    Ok(url.await?.clone())
}

/// Outside the build directory: where root runs the tests, the user that Postgres runs as may not enter that.
fn directory() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("moorline-test-postgres-{uid}"))
}

/// The cluster of a directory, started by the first who comes and left running for the others.
pub(super) async fn shared(directory: &Path) -> anyhow::Result<String> {
    let _lock = lock(directory.with_extension("lock")).await?;
    let note = directory.join("url");
    if let Ok(url) = std::fs::read_to_string(&note)
        && answers(&url).await
    {
        return Ok(url);
    }
    let cluster = match start(directory).await {
        Ok(cluster) => cluster,
        // It writes nothing through to the disk, so a crash of the machine, or another version of Postgres, may have spoilt it.
        Err(embedded::Error::StartFailed { .. } | embedded::Error::VersionMissing { .. }) => {
            std::fs::remove_dir_all(directory).with_context(|| format!("could not remove {}", directory.display()))?;
            start(directory).await?
        }
        Err(error) => return Err(error).context("no Postgres for tests"),
    };
    let url = cluster.connection_string(embedded::DATABASE);
    std::fs::write(&note, &url).with_context(|| format!("could not write {}", note.display()))?;
    cluster.leave_running();
    Ok(url)
}

async fn start(directory: &Path) -> Result<embedded::Cluster, embedded::Error> {
    let options = embedded::Options::from_env(directory);
    embedded::start(embedded::Options {
        durable: false,
        max_connections: 400,
        ..options
    })
    .await
}

async fn answers(url: &str) -> bool {
    let asked = async {
        super::connect(url)
            .await?
            .simple_query("select 1")
            .await
            .map_err(anyhow::Error::from)
    };
    timeout(ANSWER, asked).await.is_ok_and(|answer| answer.is_ok())
}

/// One process at a time looks and starts. The lock ends with the file.
async fn lock(path: PathBuf) -> anyhow::Result<File> {
    let locked = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("could not open {}", path.display()))?;
        let own = file.metadata()?.uid() == rustix::process::geteuid().as_raw();
        ensure!(
            own,
            "{} belongs to another user: remove it, or set TMPDIR to a directory of your own",
            path.display()
        );
        file.lock().with_context(|| format!("could not lock {}", path.display()))?;
        Ok(file)
    });
    locked.await?
}
