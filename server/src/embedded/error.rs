//! Why an embedded Postgres could not be started or stopped.

use std::{io, path::PathBuf, time::Duration};

/// Why an embedded Postgres could not be started or stopped. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable binaries.
    #[error(
        "no usable PostgreSQL {min} or later was found{looked}: install it (Debian and Ubuntu: `apt-get install postgresql`; Fedora and RHEL: \
         `dnf install postgresql-server`; Alpine: `apk add postgresql`; macOS: `brew install postgresql@17`), point MOORLINE_POSTGRES_BIN at \
         the directory with initdb, postgres and pg_ctl, or set MOORLINE_DATABASE_URL to use a server that runs already"
    )]
    BinariesMissing {
        /// Oldest major version that will do.
        min: u32,
        /// Directories that were tried and why each would not do, as the end of a clause; empty when there were none.
        looked: String,
    },
    /// The cluster was made by a version that isn't here.
    #[error(
        "{} was made by PostgreSQL {made_by}, which is not on this machine: install version {made_by} again, or move the data with pg_upgrade",
        cluster_dir.display()
    )]
    VersionMissing {
        /// The cluster.
        cluster_dir: PathBuf,
        /// Major version that made it.
        made_by: u32,
    },
    /// Another server has the directory.
    #[error(
        "the data directory {} is in use by another server ({holder}): stop that one, or give this one a data directory of its own",
        data_dir.display()
    )]
    InUse {
        /// The directory.
        data_dir: PathBuf,
        /// Who has it, such as `pid 4711`.
        holder: String,
    },
    /// There is no such user.
    #[error("there is no user {user} on this machine: set MOORLINE_POSTGRES_USER to an unprivileged one that exists")]
    UserMissing {
        /// The user.
        user: String,
    },
    /// The user has no name.
    #[error("user id {uid} has no name on this machine, and PostgreSQL does not start without one: add it to /etc/passwd")]
    UserNameless {
        /// The user id.
        uid: u32,
    },
    /// Postgres refuses to run as root.
    #[error("PostgreSQL refuses to run as root: set MOORLINE_POSTGRES_USER to an unprivileged user")]
    UserIsRoot,
    /// Only root can run it as someone else.
    #[error(
        "only root can run PostgreSQL as {wanted}; this server runs as {own}: unset MOORLINE_POSTGRES_USER, or start the server as root"
    )]
    UserUnreachable {
        /// Whom it should run as.
        wanted: String,
        /// Whom this process runs as.
        own: String,
    },
    /// A parent directory stands in the way.
    #[error(
        "the user {user}, whom PostgreSQL runs as, cannot enter {}: put the data directory where that user can reach it, such as under \
         /var/lib/moorline, or allow it with `chmod o+x {}`, or set MOORLINE_POSTGRES_USER to a user that can",
        directory.display(), directory.display()
    )]
    Unreachable {
        /// First directory on the path that can't be entered.
        directory: PathBuf,
        /// Whom Postgres runs as.
        user: String,
    },
    /// The short directory for the socket belongs to someone else.
    #[error(
        "{} is not a private directory of this server: remove it, or choose a data directory whose path is at most {limit} bytes long, so that \
         the socket can be in there",
        directory.display()
    )]
    SocketDirTaken {
        /// The directory.
        directory: PathBuf,
        /// Longest data directory that holds its own socket.
        limit: usize,
    },
    /// A path is no text.
    #[error("the path {} is not valid UTF-8: choose another data directory", path.display())]
    PathNotText {
        /// The path.
        path: PathBuf,
    },
    /// `initdb` failed.
    #[error("initdb could not make {} ({status}): {output}", cluster_dir.display())]
    InitFailed {
        /// What it should have made.
        cluster_dir: PathBuf,
        /// How it ended.
        status: String,
        /// Last of what it printed.
        output: String,
    },
    /// Postgres ended before it took a connection.
    #[error("PostgreSQL ended at its start ({status}); its log, {}, ends: {output}", log.display())]
    StartFailed {
        /// How it ended.
        status: String,
        /// The log file.
        log: PathBuf,
        /// Last of what it logged.
        output: String,
    },
    /// Postgres runs, but took no connection in time.
    #[error("PostgreSQL took no connection within {limit:?}: see its log, {}", log.display())]
    StartTimedOut {
        /// The limit.
        limit: Duration,
        /// The log file.
        log: PathBuf,
        /// What the last attempt got.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Postgres does not stop.
    #[error("PostgreSQL (pid {pid}) has not stopped within {limit:?}: see what holds it, then stop it with `kill -QUIT {pid}`")]
    WontStop {
        /// The postmaster.
        pid: i32,
        /// The limit.
        limit: Duration,
    },
    /// Postgres did not accept what was sent to prepare it.
    #[error("the embedded PostgreSQL could not {doing}: see its log, {}", log.display())]
    Query {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// The log file.
        log: PathBuf,
        /// What Postgres said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The system refused.
    #[error("could not {doing} {}: check that it exists and that this user may", path.display())]
    Io {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether sessions of a Postgres that was itself killed still hold the shared memory; they end once they notice.
    pub(super) fn is_in_use_by_old_sessions(&self) -> bool {
        matches!(self, Self::StartFailed { output, .. } if output.contains("pre-existing shared memory block"))
    }

    /// For `map_err`: what was being done to which path.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

/// The last lines of an output, condensed to one line for an error message.
pub(super) fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.len().saturating_sub(6) {
        _ if lines.is_empty() => "(nothing)".to_owned(),
        start => lines[start..].join(" / "),
    }
}
