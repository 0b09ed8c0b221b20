//! Everything that can be set for a server, read once at start.

mod secret;
mod skills;
mod timers;

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Parser, builder::FalseyValueParser};
use secrecy::{ExposeSecret as _, SecretString};

pub use secret::Error as SecretError;
pub use skills::{Error as SkillsError, SkillArgs};
pub use timers::TimerArgs;

use crate::{
    domain::skill::Policy,
    flow::{self, Timers},
    session::Limits,
};

/// Settings of one server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where HTTP listens; `None` for nowhere.
    pub http_listen: Option<SocketAddr>,
    /// Host names, lower-case, by which HTTP may be called beside those of loopback and the address that it listens on.
    pub http_hosts: Vec<String>,
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
    /// Name of Gemini's volume, which a database without one is seeded with.
    pub gemini_volume: String,
    /// Which skills carry which stages, in a database that has no policy yet.
    pub skills: Policy,
    /// How long things may take.
    pub timers: Timers,
    /// How many Hellos are worked on, and wait, at once.
    pub admission: Limits,
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
            http_listen: None,
            http_hosts: Vec::new(),
            insecure: false,
            database,
            artifact_root,
            shards: 3,
            gemini_volume: GEMINI_VOLUME.to_owned(),
            volume_prefix: VOLUME_PREFIX.to_owned(),
            skills: Policy::default(),
            timers: Timers::default(),
            admission: Limits::default(),
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
    #[arg(long, env = "MOORLINE_LISTEN", default_value = LISTEN, global = true, value_parser = |text: &str| or_default::<SocketAddr>(text, LISTEN))]
    pub listen: SocketAddr,

    /// Address to listen on for HTTP and JSON; `off`, or nothing, for none. Beyond loopback only with --insecure.
    #[arg(long, env = "MOORLINE_HTTP_LISTEN", default_value = HTTP_LISTEN, global = true, value_parser = http_listen)]
    pub http_listen: HttpListen,

    /// Host names by which HTTP may be called beside localhost and the address that it listens on, comma-separated; others are refused, since a
    /// web page could have made them point here.
    #[arg(long, env = "MOORLINE_HTTP_HOSTS", default_value = "", global = true)]
    pub http_hosts: String,

    /// Listen beyond loopback although callers are not identified yet: anyone who reaches the port can run agents.
    #[arg(long, env = "MOORLINE_INSECURE", global = true, action = clap::ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub insecure: bool,

    /// Postgres to use; without it a private one is started in the data directory.
    #[arg(long, env = "MOORLINE_DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<SecretString>,

    /// File with the address of that Postgres, instead.
    #[arg(long, env = "MOORLINE_DATABASE_URL_FILE", global = true, value_name = "FILE")]
    pub database_url_file: Option<String>,

    /// Folder of the private Postgres and, unless set otherwise, of the artifacts.
    #[arg(long, env = "MOORLINE_DATA_DIR", default_value = DATA_DIR, global = true, value_parser = |text: &str| or_default::<PathBuf>(text, DATA_DIR))]
    pub data_dir: PathBuf,

    /// Folder of artifacts; `artifacts` in the data directory when left out.
    #[arg(long, env = "SPEC_WORKFLOW_ARTIFACT_ROOT", global = true)]
    pub artifact_root: Option<String>,

    /// Shards that an empty database is seeded with. Afterwards the database wins.
    #[arg(long, env = "CODEX_SHARDS", default_value = SHARDS, global = true, value_parser = shards)]
    pub shards: u32,

    /// Auth volume of the queue `gemini`, in a database that has none yet. Afterwards the database wins.
    #[arg(long, env = "MOORLINE_GEMINI_VOLUME", default_value = GEMINI_VOLUME, global = true, value_parser = |text: &str| or_default::<String>(text, GEMINI_VOLUME))]
    pub gemini_volume: String,
    /// Names of the shards' volumes that an empty database is seeded with, and of those that are added, before the number.
    #[arg(long, env = "MOORLINE_VOLUME_PREFIX", default_value = VOLUME_PREFIX, global = true, value_parser = volume_prefix)]
    pub volume_prefix: String,

    /// Workers that are let in at once; each takes a connection to Postgres for a moment.
    #[arg(long, env = "MOORLINE_HELLOS_AT_ONCE", default_value = HELLOS_AT_ONCE, global = true, value_parser = |text: &str| positive(text, HELLOS_AT_ONCE))]
    pub hellos_at_once: usize,

    /// Workers that may wait to be let in; further ones are told when to dial again.
    #[arg(long, env = "MOORLINE_HELLOS_WAITING", default_value = HELLOS_WAITING, global = true, value_parser = |text: &str| positive(text, HELLOS_WAITING))]
    pub hellos_waiting: usize,

    /// Which skills carry which stages.
    #[command(flatten)]
    pub skills: SkillArgs,

    /// How long things may take.
    #[command(flatten)]
    pub timers: TimerArgs,
}

const HELLOS_AT_ONCE: &str = "6";
const HELLOS_WAITING: &str = "1000";
/// Most that either may be.
const HELLOS_MAX: usize = 100_000;
const LISTEN: &str = "127.0.0.1:7420";
const HTTP_LISTEN: &str = "127.0.0.1:7421";
const DATA_DIR: &str = "/var/lib/moorline";
const SHARDS: &str = "3";
const GEMINI_VOLUME: &str = "gemini_auth";
const VOLUME_PREFIX: &str = "codex_auth_";
/// Most shards that a database is seeded with; far more than logins that one operator looks after.
const SHARDS_MAX: u32 = 4096;

/// A value as it is written, or its default when that is blank.
fn or_default<T>(text: &str, default: &str) -> Result<T, T::Err>
where
    T: FromStr,
{
    let text = text.trim();
    if text.is_empty() { default.parse() } else { text.parse() }
}

/// Where HTTP listens, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpListen(pub Option<SocketAddr>);

/// Reads where HTTP is to listen: an address, or `off`.
///
/// # Errors
///
/// What to give instead, when it is neither.
pub fn http_listen(text: &str) -> Result<HttpListen, String> {
    match text.trim() {
        "" | "off" => Ok(HttpListen(None)),
        address => match address.parse() {
            Ok(address) => Ok(HttpListen(Some(address))),
            Err(_) => Err(format!("give an address such as {HTTP_LISTEN}, or off")),
        },
    }
}

/// Names in a comma-separated list.
fn names(list: &str) -> Vec<String> {
    let names = list.split(',').map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

fn shards(text: &str) -> Result<u32, String> {
    match or_default(text, SHARDS) {
        Ok(count @ 1..=SHARDS_MAX) => Ok(count),
        _ => Err(format!("give a number from 1 to {SHARDS_MAX}")),
    }
}

/// What engines take as the beginning of a volume's name.
fn volume_prefix(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    match text.trim() {
        "" => Ok(VOLUME_PREFIX.to_owned()),
        prefix if prefix.bytes().all(plain) && prefix.starts_with(|first: char| first.is_ascii_alphanumeric()) => Ok(prefix.to_owned()),
        _ => Err(format!(
            "give letters, digits, _, . and -, the first a letter or a digit, such as {VOLUME_PREFIX}"
        )),
    }
}

fn positive(text: &str, default: &str) -> Result<usize, String> {
    match or_default(text, default) {
        Ok(count @ 1..=HELLOS_MAX) => Ok(count),
        _ => Err(format!("give a number from 1 to {HELLOS_MAX}")),
    }
}

/// What the program can do.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub enum Command {
    /// Serve until asked to stop (SIGINT or SIGTERM).
    Serve,
    /// Bring the schema of the database up to date, and end.
    Migrate,
    /// Ask the server of these settings whether it is ready, over HTTP: exit code 0 if it is, 1 if not.
    Health,
}

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Times don't go together.
    #[error(transparent)]
    Timers(#[from] flow::timers::Error),
    /// Nothing could follow the settings of skills.
    #[error(transparent)]
    Skills(#[from] SkillsError),
    /// A secret can't be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl Args {
    /// The settings that these arguments come to.
    ///
    /// # Errors
    ///
    /// When times don't go together, nothing could follow the settings of skills, or a file with a secret can't be used.
    pub fn config(self) -> Result<Config, Error> {
        let timers = self.timers.timers();
        timers.check()?;
        let skills = self.skills.policy()?;
        let url = self.database_url.filter(|url| !url.expose_secret().trim().is_empty());
        let file = self.database_url_file.filter(|path| !path.trim().is_empty());
        let url = match (url, file) {
            (Some(_), Some(_)) => {
                return Err(Error::Secret(SecretError::Twice {
                    variable: "MOORLINE_DATABASE_URL",
                }));
            }
            (url, None) => url,
            (None, Some(path)) => Some(secret::read("MOORLINE_DATABASE_URL", path.trim().as_ref())?),
        };
        let database = match url {
            Some(url) => Database::External(url),
            None => Database::Embedded {
                data_dir: self.data_dir.join("postgres"),
            },
        };
        let artifact_root = self.artifact_root.filter(|root| !root.trim().is_empty());
        let artifact_root = artifact_root.map_or_else(|| self.data_dir.join("artifacts"), PathBuf::from);
        Ok(Config {
            http_listen: self.http_listen.0,
            http_hosts: names(&self.http_hosts),
            insecure: self.insecure,
            shards: self.shards,
            gemini_volume: self.gemini_volume,
            volume_prefix: self.volume_prefix,
            skills,
            admission: Limits {
                at_once: self.hellos_at_once,
                waiting: self.hellos_waiting,
            },
            timers,
            ..Config::new(self.listen, database, artifact_root)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Config {
        Args::try_parse_from([&["moorline-server"], args].concat())
            .unwrap()
            .config()
            .unwrap()
    }

    #[test]
    fn without_a_database_url_postgres_is_embedded_below_the_data_directory() {
        let config = parse(&["--data-dir", "/srv/moorline"]);
        assert!(matches!(config.database, Database::Embedded { data_dir } if data_dir == *"/srv/moorline/postgres"));
        assert_eq!(config.artifact_root, PathBuf::from("/srv/moorline/artifacts"));
        assert!(!config.insecure && config.listen.ip().is_loopback());
    }

    #[test]
    fn what_is_given_wins() {
        let config = parse(&[
            "serve",
            "--insecure",
            "--database-url",
            "postgres://db/moorline",
            "--artifact-root",
            "/a",
            "--shards",
            "7",
        ]);
        assert!(config.insecure && matches!(config.database, Database::External(_)));
        assert_eq!((config.artifact_root, config.shards), (PathBuf::from("/a"), 7));
        assert!(Args::try_parse_from(["moorline-server", "--shards", "0"]).is_err());
    }

    #[test]
    fn volumes_are_named_as_engines_take_it() {
        assert_eq!(parse(&["--volume-prefix", ""]).volume_prefix, "codex_auth_");
        assert_eq!(parse(&["--volume-prefix", "blue.codex-"]).volume_prefix, "blue.codex-");
        for wrong in ["_auth_", "a/b", "a b"] {
            assert!(
                Args::try_parse_from(["moorline-server", "--volume-prefix", wrong]).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_databases_address_may_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        std::fs::write(&path, "postgres://ada:secret@db/moorline\n").unwrap();
        let file = format!("--database-url-file={}", path.display());
        let database = parse(&[&file, "--database-url", " "]).database;
        assert!(matches!(database, Database::External(url) if url.expose_secret() == "postgres://ada:secret@db/moorline"));
        let refused = |args: &[&str]| {
            let args = Args::try_parse_from([&["moorline-server"], args].concat()).unwrap();
            args.config()
                .unwrap_err()
                .to_string()
                .replace(&path.display().to_string(), "/run/url")
        };
        let twice = refused(&[&file, "--database-url", "postgres://db/moorline"]);
        std::fs::write(&path, "\n").unwrap();
        let empty = refused(&[&file]);
        std::fs::remove_file(&path).unwrap();
        insta::assert_snapshot!([twice, empty, refused(&[&file])].join("\n"), @r"
        MOORLINE_DATABASE_URL_FILE is set, and so is MOORLINE_DATABASE_URL: unset one of them
        MOORLINE_DATABASE_URL_FILE names /run/url, which is empty: set a file with the secret, readable by the server's user
        MOORLINE_DATABASE_URL_FILE names /run/url, which can't be read (No such file or directory (os error 2)): set a file with the secret, readable by the server's user
        ");
    }

    #[test]
    fn http_listens_on_loopback_until_it_is_turned_off_or_sent_elsewhere() {
        let listens = |args: &[&str]| parse(args).http_listen.map(|address| address.to_string());
        assert_eq!(listens(&[]).as_deref(), Some("127.0.0.1:7421"));
        assert_eq!(listens(&["--http-listen", "[::1]:0"]).as_deref(), Some("[::1]:0"));
        assert_eq!((listens(&["--http-listen", "off"]), listens(&["--http-listen", ""])), (None, None));
        assert!(Args::try_parse_from(["moorline-server", "--http-listen", "7421"]).is_err());
        assert_eq!(
            parse(&["--http-hosts", "Moorline.example, ,b"]).http_hosts,
            ["moorline.example", "b"]
        );
    }

    #[test]
    fn blank_counts_as_not_given() {
        let blank = [
            "--listen",
            "",
            "--data-dir",
            " ",
            "--shards",
            "",
            "--database-url",
            " ",
            "--artifact-root",
            "",
            "--hellos-at-once",
            "",
        ];
        let config = parse(&blank);
        assert_eq!((config.listen.port(), config.shards), (7420, 3));
        assert_eq!(config.admission, Limits::default());
        assert_eq!(config.artifact_root, PathBuf::from("/var/lib/moorline/artifacts"));
        assert!(matches!(config.database, Database::Embedded { .. }));
    }
}
