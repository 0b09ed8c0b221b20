//! Everything that can be set for a worker, read once at start.

mod args;
mod embedding;
mod environment;
mod roots;
mod secret;
mod timers;
mod walls;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use moorline_proto::v1;
use secrecy::SecretString;

use crate::{embedding::Settings as Embedding, engine::images::Images, spool};

pub(crate) use self::roots::meet;
pub use self::{
    args::Args,
    timers::{STOP_LIMIT, Timers},
    walls::{WallArgs, Walls},
};

/// Settings of one worker. `moorline-worker --help` names the variable of each.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server, such as `http://127.0.0.1:7420` (`MOORLINE_SERVER`).
    pub server: String,
    /// Name of the worker, unique among live ones (`MOORLINE_WORKER_NAME`; the host name by default). With `*` at its end it is one of several.
    pub name: String,
    /// Queues that it serves: `CODEX_QUEUE`, or `MOORLINE_QUEUES`, comma-separated; `default` when neither is set.
    pub queues: Vec<String>,
    /// Jobs that it runs at once, its shard's queue apart, which takes one (`MOORLINE_SLOTS`, 4).
    pub slots: u32,
    /// The volume of the queue that needs a login, if it serves one (`CODEX_VOLUME_NAME`; for `gemini` `MOORLINE_GEMINI_VOLUME`, `gemini_auth`).
    pub volume: Option<String>,
    /// Folder that holds `runs/` and the worker's own git directories (`MOORLINE_WORK_ROOT`, `/work`).
    pub work_root: PathBuf,
    /// `docker`, `process`, or `auto`: Docker when it answers (`MOORLINE_ENGINE`).
    pub engine: EngineChoice,
    /// Folder that stands for the engine's volumes with the process engine (`MOORLINE_VOLUME_ROOT`, `<work root>/volumes`).
    pub volume_root: PathBuf,
    /// Folder that holds `.codex/skills` and `.agents/skills` where jobs run: in the job image, or on this machine with the process engine
    /// (`MOORLINE_SKILLS_ROOT`, `/opt/moorline`).
    pub skills_root: PathBuf,
    /// Image of jobs (`SPEC_AUTOMATION_JOB_IMAGE`, `moorline-job`).
    pub job_image: String,
    /// Image of login checks (`CODEX_LOGIN_CHECK_IMAGE`; the job image when unset).
    pub login_check_image: Option<String>,
    /// `uid:gid` of jobs (`MOORLINE_JOB_USER`, `1000:1000`).
    pub job_user: String,
    /// What keeps jobs, repositories and left-overs within bounds.
    pub walls: Walls,
    /// Network of jobs by the engine's name: `none`, `bridge`, or another (`MOORLINE_JOB_NETWORK`, `default`, which is `bridge`).
    pub job_network: String,
    /// Memory of a job in bytes (`MOORLINE_JOB_MEMORY_MIB`, 4096).
    pub job_memory_bytes: u64,
    /// Cores of a job in thousandths (`MOORLINE_JOB_CPU_MILLIS`, 2000).
    pub job_cpu_millis: u32,
    /// Processes and threads of a job (`MOORLINE_JOB_PIDS`, 512).
    pub job_pids: u32,
    /// Longest time of a login check (`MOORLINE_PREFLIGHT_TIMEOUT_SECONDS`, 60).
    pub preflight_timeout: Duration,
    /// Longest time that a worker which was told to go waits for its jobs, before it stops them (`MOORLINE_DRAIN_SECONDS`, 600).
    pub drain_grace: Duration,
    /// Whether agents that are at work when that time is over are left to the next start of this worker, within its lease, rather than
    /// stopped (`MOORLINE_LEAVE_AGENTS`, 0).
    pub leave_agents: bool,
    /// Times that it keeps towards the server.
    pub timers: Timers,
    /// Bytes of its spool at most (`MOORLINE_SPOOL_MIB`, 256, or what its jobs need where that is more).
    pub spool_bytes: u64,
    /// Bytes of one record of its spool at most (`MOORLINE_SPOOL_RECORD_MIB`, 4).
    pub spool_record_bytes: u64,
    /// Where its health endpoint listens; without one there is none (`MOORLINE_HEALTH_LISTEN`).
    pub health_listen: Option<SocketAddr>,
    /// The Codex program (`MOORLINE_CODEX_PROGRAM`, `codex`).
    pub codex_program: String,
    /// The Gemini program (`MOORLINE_GEMINI_PROGRAM`, `gemini`).
    pub gemini_program: String,
    /// Model that Gemini is told to use (`GEMINI_MODEL`, `gemini-2.5-pro`).
    pub gemini_model: String,
    /// Where Gemini's API is (`MOORLINE_GEMINI_BASE_URL`, Google's own).
    pub gemini_base_url: String,
    /// Key that Gemini is given where its volume holds no login (`GEMINI_API_KEY`).
    pub gemini_api_key: Option<SecretString>,
    /// The Spec Kit program (`MOORLINE_SPECKIT_PROGRAM`, `specify`).
    pub speckit_program: String,
    /// Where the worker's own container has the auth volume mounted (`CODEX_VOLUME_PATH`, such as `/home/app/.codex`); not checked when unset.
    pub volume_path: Option<PathBuf>,
    /// TOML file that is merged into the volume's `config.toml` (`CODEX_TEMPLATE_PATH`); `approval_policy = "never"` alone when unset.
    pub template_path: Option<PathBuf>,
    /// Embeddings for agents (`DEFAULT_EMBEDDING_PROVIDER` and others).
    pub embedding: Embedding,
    /// Model that Codex is told to use (`CODEX_MODEL`).
    pub codex_model: Option<String>,
    /// Profile that Codex is told to use (`CODEX_PROFILE`).
    pub codex_profile: Option<String>,
    /// Further `key=value` settings that Codex is given with `-c`, TOML values, one a line (`MOORLINE_CODEX_CONFIG`), such as
    /// `openai_base_url="http://10.0.0.5:8000/v1"`. They show in the process list: no secrets.
    pub codex_config: Vec<String>,
    /// Further environment of every container of Codex, jobs and login commands alike: `NAME=value` pairs, one a line or with commas between
    /// them (`CODEX_ENV`). Unlike the above it may hold secrets.
    pub codex_env: BTreeMap<String, SecretString>,
    /// The same for Gemini (`GEMINI_ENV`).
    pub gemini_env: BTreeMap<String, SecretString>,
    /// Issuer of logins by device code (`MOORLINE_CODEX_ISSUER`); Codex's own when unset.
    pub codex_issuer: Option<String>,
    /// Jobs that may use an API key at once (`MOORLINE_API_KEY_CAPACITY`, 1). Any other login serves one.
    pub api_key_capacity: u32,
    /// Bytes that everything in a volume but its credential may take before it is cleaned up after a use; 0 for no limit
    /// (`MOORLINE_VOLUME_QUOTA_MIB`, 1024).
    pub volume_quota_bytes: u64,
    /// Token for git over HTTPS and for the forge (`GITHUB_TOKEN`, or a file by `GITHUB_TOKEN_FILE`, as all secrets).
    pub github_token: Option<SecretString>,
    /// Where `owner/name` is found (`MOORLINE_GITHUB_URL`, `https://github.com`).
    pub github_url: String,
    /// API of the forge (`MOORLINE_GITHUB_API_URL`, `https://api.github.com`).
    pub github_api_url: String,
    /// Protocols that git may use (`MOORLINE_GIT_PROTOCOLS`, `https:ssh`).
    pub git_protocols: String,
    /// Author and committer of commits (`MOORLINE_GIT_AUTHOR`, `Moorline <moorline@localhost>`).
    pub git_author: String,
    /// Whether a login that fails its check at start stops the start (`MOORLINE_REQUIRE_LOGIN`).
    pub require_login: bool,
}

/// Ends the name of a worker that is one of several. A number takes its place.
pub(crate) const ANY: char = '*';

/// Which engine to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineChoice {
    /// Docker when it answers at start, local processes otherwise; the choice is logged.
    Auto,
    /// Docker.
    Docker,
    /// Local processes.
    Process,
}

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line isn't understood; help and version come this way, too.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// A value can't be used.
    #[error("{variable} {reason}")]
    Invalid {
        /// Name of the variable.
        variable: &'static str,
        /// What is wrong with it, and what to set.
        reason: String,
    },
}

impl Config {
    /// Reads the environment alone.
    pub fn from_env() -> Result<Self, Error> {
        Self::try_parse_from(["moorline-worker"])
    }

    /// Reads a command line (the program's name first), and the environment for what it doesn't say.
    pub fn try_parse_from<I, T>(args: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        Only::try_parse_from(args)?.args.try_into()
    }

    /// The queue that needs a login, if it serves one: a shard's, or `gemini`.
    pub fn login_queue(&self) -> Option<&str> {
        self.queues.iter().map(String::as_str).find(|queue| *queue != "default")
    }

    /// The agent of that queue; Codex where there is none.
    pub fn agent(&self) -> v1::Agent {
        match self.login_queue() {
            Some(GEMINI_QUEUE) => v1::Agent::Gemini,
            _ => v1::Agent::Codex,
        }
    }

    /// Jobs of a queue that it does at once: of one that needs a login just one, since a login serves one.
    pub fn room(&self, queue: &str) -> u32 {
        if queue == "default" { self.slots } else { 1 }
    }

    /// Images that containers may run.
    pub fn images(&self) -> Images {
        let named = || std::iter::once(&self.job_image).chain(&self.login_check_image);
        self.walls
            .images
            .clone()
            .unwrap_or_else(|| Images::only(named().map(String::as_str)))
    }

    /// Its spool.
    pub fn spool(&self) -> spool::Settings {
        spool::Settings {
            root: self.work_root.join("spool"),
            worker: self.name.clone(),
            limit: self.spool_bytes,
            record_limit: self.spool_record_bytes,
        }
    }

    /// Name of this machine.
    pub fn hostname() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
}

/// Queue of Gemini's work.
pub const GEMINI_QUEUE: &str = "gemini";

/// The number in `codex-<n>`; `None` for another queue.
pub fn shard_index(queue: &str) -> Option<u32> {
    let digits = queue.strip_prefix("codex-")?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

#[derive(Debug, Parser)]
#[command(name = "moorline-worker")]
struct Only {
    #[command(flatten)]
    args: Args,
}

#[cfg(test)]
mod tests;
