//! Everything that can be set for a server, read once at start.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use secrecy::SecretString;

use crate::flow::Timers;

/// Settings of one server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether it may listen beyond loopback although nobody's identity is checked yet.
    pub insecure: bool,
    /// Where its state is.
    pub database: Database,
    /// Folder of artifacts.
    pub artifact_root: PathBuf,
    /// Shards that an empty database is seeded with.
    pub shards: u32,
    /// Names of their volumes, before the number.
    pub volume_prefix: String,
    /// How long things may take.
    pub timers: Timers,
}

/// Where the state of a server is.
#[derive(Debug, Clone)]
pub enum Database {
    /// In a Postgres that runs already.
    External(SecretString),
    /// In a private cluster that is started and stopped with the server.
    Embedded {
        /// Its data directory.
        data_dir: PathBuf,
    },
}

impl Config {
    /// Settings with defaults for everything that has one.
    pub fn new(listen: SocketAddr, database: Database, artifact_root: PathBuf) -> Self {
        Self {
            listen,
            insecure: false,
            database,
            artifact_root,
            shards: 3,
            volume_prefix: "codex_auth_".to_owned(),
            timers: Timers::default(),
        }
    }
}

/// The control plane of Moorline: routes runs to shards and holds all state in Postgres.
///
/// Every option can be set by the variable named with it; a blank variable counts as not set.
#[derive(Debug, Parser)]
#[command(name = "moorline-server", version)]
pub struct Args {
    /// What to do; serve when left out.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Address to listen on. Beyond loopback only with --insecure.
    #[arg(long, env = "MOORLINE_LISTEN", default_value = "127.0.0.1:7420", global = true)]
    pub listen: SocketAddr,

    /// Listen beyond loopback although callers are not identified yet: anyone who reaches the port can run agents.
    #[arg(long, env = "MOORLINE_INSECURE", global = true, value_parser = clap::builder::FalseyValueParser::new(), default_value_t = false, num_args = 0)]
    pub insecure: bool,

    /// Postgres to use; without it a private one is started in the data directory.
    #[arg(long, env = "MOORLINE_DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<String>,

    /// Folder of the private Postgres and, unless set otherwise, of the artifacts.
    #[arg(long, env = "MOORLINE_DATA_DIR", default_value = "/var/lib/moorline", global = true)]
    pub data_dir: PathBuf,

    /// Folder of artifacts; `artifacts` in the data directory when left out.
    #[arg(long, env = "SPEC_WORKFLOW_ARTIFACT_ROOT", global = true)]
    pub artifact_root: Option<PathBuf>,

    /// Shards that an empty database is seeded with. Afterwards the database wins.
    #[arg(long, env = "CODEX_SHARDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=4096), global = true)]
    pub shards: u32,
}

/// What the program can do.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub enum Command {
    /// Serve until asked to stop (SIGINT or SIGTERM).
    Serve,
    /// Bring the schema of the database up to date, and end.
    Migrate,
}

impl Args {
    /// The settings that these arguments come to.
    pub fn config(self) -> Config {
        let database = match self.database_url.filter(|url| !url.trim().is_empty()) {
            Some(url) => Database::External(SecretString::from(url)),
            None => Database::Embedded {
                data_dir: self.data_dir.join("postgres"),
            },
        };
        let artifact_root = self
            .artifact_root
            .filter(|root| !root.as_os_str().is_empty())
            .unwrap_or_else(|| self.data_dir.join("artifacts"));
        Config {
            insecure: self.insecure,
            shards: self.shards,
            ..Config::new(self.listen, database, artifact_root)
        }
    }
}
