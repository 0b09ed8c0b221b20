//! A private Postgres of the server's own, from the machine's Postgres binaries.
//!
//! [`start`] makes a cluster in a data directory at the first start, keeps it between starts and listens on a Unix socket only.
//! Start to end: [`lock`] (one server per directory) → [`account`] (whom Postgres runs as) → [`binaries`] → [`socket`] →
//! [`cluster_dir`] (initdb and access rules) → [`orphan`] (a Postgres that a killed server left behind) → [`postmaster`].
//!
//! Who may connect: the operating-system user that runs the server, and nobody else. Postgres asks the kernel who is at the other
//! end of the socket (`peer` authentication), so there is no password to keep, leak or rotate, and a connection string holds no secret.

mod account;
mod binaries;
mod cluster_dir;
mod database;
mod error;
mod lock;
mod orphan;
mod postmaster;
mod socket;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use self::error::Error;
use self::{account::Account, binaries::Binaries, lock::Lock, postmaster::Postmaster};
use crate::variables::{POSTGRES_BIN, POSTGRES_USER};

/// The database that holds Moorline's state, and the role that owns it.
pub const DATABASE: &str = "moorline";

/// Pause before another start while sessions of a Postgres that was killed are still ending.
const PAUSE: Duration = Duration::from_millis(200);

/// How an embedded Postgres is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory that holds the cluster, its socket, its access rules and its log. Made when it isn't there.
    pub data_dir: PathBuf,
    /// Directory with `initdb`, `postgres` and `pg_ctl` (`MOORLINE_POSTGRES_BIN`); searched for when unset.
    pub bin_dir: Option<PathBuf>,
    /// Whom Postgres runs as when the server runs as root (`MOORLINE_POSTGRES_USER`); `postgres`, else `nobody`, when unset.
    pub user: Option<String>,
    /// Whether commits reach the disk. Off only where losing the data is fine, such as in tests.
    pub durable: bool,
    /// Connections at most.
    pub max_connections: u32,
    /// Further settings of Postgres, such as `shared_buffers=512MB`; they win over those that are always set.
    pub settings: Vec<String>,
    /// Longest time until the first connection, recovery after a crash included.
    pub start_timeout: Duration,
    /// Longest time for a fast shutdown before an immediate one.
    pub stop_timeout: Duration,
}

impl Options {
    /// Options for a data directory, with `MOORLINE_POSTGRES_BIN` and `MOORLINE_POSTGRES_USER` from the environment.
    pub fn from_env(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            bin_dir: POSTGRES_BIN.read().map(PathBuf::from),
            user: POSTGRES_USER.read(),
            ..Self::new(data_dir)
        }
    }

    /// Options for a data directory, whatever the environment says.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            user: None,
            durable: true,
            max_connections: 100,
            settings: Vec::new(),
            start_timeout: Duration::from_secs(120),
            stop_timeout: Duration::from_secs(20),
        }
    }
}

/// A running embedded Postgres. Dropping it begins a fast shutdown; [`Cluster::stop`] also waits for its end.
#[derive(Debug)]
pub struct Cluster {
    postmaster: Postmaster,
    socket_dir: PathBuf,
    stop_timeout: Duration,
    // Held as long as Postgres runs for this process; released after it, since fields drop in order.
    _lock: Lock,
}

/// Starts the cluster of a data directory, and makes it first where there is none.
///
/// A second server on a directory in use is refused. A Postgres that a killed server left running is stopped, and the
/// directory taken over.
pub async fn start(options: Options) -> Result<Cluster, Error> {
    let data_dir = cluster_dir::prepare_data_dir(&options.data_dir)?;
    let lock = Lock::take(&data_dir)?;
    let cluster_dir = data_dir.join("cluster");
    let account = Account::choose(options.user.as_deref(), &cluster_dir).await?;
    account.must_reach(&data_dir).await?;
    let made_by = cluster_dir::major_version(&cluster_dir)?;
    let binaries = Binaries::find(options.bin_dir.as_deref(), made_by, &account, &cluster_dir).await?;
    let socket_dir = socket::prepare(&data_dir, &account)?;
    if made_by.is_none() {
        cluster_dir::create(&cluster_dir, &binaries, &account, options.durable).await?;
    }
    cluster_dir::write_access_rules(&data_dir, &account)?;
    orphan::stop(&cluster_dir, &socket_dir, options.stop_timeout).await?;
    let begun = Instant::now();
    let postmaster = loop {
        let mut postmaster = Postmaster::spawn(&data_dir, &socket_dir, &binaries, &account, &options)?;
        match database::prepare(&mut postmaster, &socket_dir, options.start_timeout).await {
            Ok(()) => break postmaster,
            Err(error) if error.is_in_use_by_old_sessions() && begun.elapsed() < options.start_timeout => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                // The first failure is the one to tell; a failure to stop after it would only hide it.
                let _ = postmaster.stop(options.stop_timeout).await;
                return Err(error);
            }
        }
    };
    tracing::info!(
        data_dir = %data_dir.display(),
        socket_dir = %socket_dir.display(),
        version = binaries.major,
        user = account.name(),
        "embedded Postgres started"
    );
    Ok(Cluster {
        postmaster,
        socket_dir,
        stop_timeout: options.stop_timeout,
        _lock: lock,
    })
}

impl Cluster {
    /// A connection string for a database, as `tokio_postgres::Config` and libpq (`psql`) parse it. It holds no secret.
    pub fn connection_string(&self, database: &str) -> String {
        database::connection_string(&self.socket_dir, DATABASE, database)
    }

    /// The directory of the socket, which only the user that Postgres runs as (and root) can enter.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Process id of the postmaster.
    pub fn pid(&self) -> i32 {
        self.postmaster.pid()
    }

    /// Resolves, with how it ended, when Postgres has ended, asked to or not.
    pub async fn ended(&self) -> String {
        self.postmaster.ended().await
    }

    /// Shuts Postgres down (fast: sessions are cut, all that was committed is kept) and waits for its end.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.postmaster.stop(self.stop_timeout).await
    }

    /// Lets go of Postgres without stopping it; the next [`start`] on the directory takes it over. For tests that share one.
    pub fn leave_running(mut self) {
        self.postmaster.leave_running();
    }
}
