//! Settings as they are written: on the command line or in the environment, all of them text. Blank counts as not given.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::ValueEnum;
use url::Url;

use super::{
    ANY, Config, EngineChoice, Error, GEMINI_QUEUE, Timers, WallArgs, Walls, embedding, environment, roots, secret, shard_index, walls,
};
use crate::variables::{CODEX_ENV, CODEX_ENV_FILE, GEMINI_ENV, GEMINI_ENV_FILE, GITHUB_TOKEN, GITHUB_TOKEN_FILE};

/// Settings of a worker, each with the variable that stands for it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// The server (default: `http://127.0.0.1:7420`)
    #[arg(long, env = "MOORLINE_SERVER", value_name = "URL")]
    server: Option<String>,
    /// Name of the worker, unique among live ones (default: the host name); with * at its end the first with a number in its place that is free
    #[arg(long, env = "MOORLINE_WORKER_NAME", value_name = "NAME")]
    worker_name: Option<String>,
    /// Queue of the shard that it serves, such as codex-0
    #[arg(long, env = "CODEX_QUEUE", value_name = "QUEUE")]
    codex_queue: Option<String>,
    /// Queues that it serves, comma-separated (default: `default`, unless a shard's queue is given)
    #[arg(long, env = "MOORLINE_QUEUES", value_name = "QUEUES")]
    queues: Option<String>,
    /// Jobs that it runs at once, its shard's queue apart, which takes one (default: `4`)
    #[arg(long, env = "MOORLINE_SLOTS", value_name = "N")]
    slots: Option<String>,
    /// Auth volume of its shard
    #[arg(long, env = "CODEX_VOLUME_NAME", value_name = "VOLUME")]
    volume: Option<String>,
    /// Folder for the runs' folders and the worker's own git directories (default: `/work`)
    #[arg(long, env = "MOORLINE_WORK_ROOT", value_name = "FOLDER")]
    work_root: Option<String>,
    /// docker, process, or auto: Docker when it answers (default: `auto`)
    #[arg(long, env = "MOORLINE_ENGINE", value_name = "ENGINE")]
    engine: Option<String>,
    /// Folder that stands for volumes with the process engine (default: `<work root>/volumes`)
    #[arg(long, env = "MOORLINE_VOLUME_ROOT", value_name = "FOLDER")]
    volume_root: Option<String>,
    /// Folder that holds `.codex/skills` and `.agents/skills` where jobs run: in the job image, or here with the process engine (default: `/opt/moorline`)
    #[arg(long, env = "MOORLINE_SKILLS_ROOT", value_name = "FOLDER")]
    skills_root: Option<String>,
    /// Image of jobs (default: `moorline-job`)
    #[arg(long, env = "SPEC_AUTOMATION_JOB_IMAGE", value_name = "IMAGE")]
    job_image: Option<String>,
    /// Image of login checks (default: the job image)
    #[arg(long, env = "CODEX_LOGIN_CHECK_IMAGE", value_name = "IMAGE")]
    login_check_image: Option<String>,
    /// User of jobs (default: `1000:1000`)
    #[arg(long, env = "MOORLINE_JOB_USER", value_name = "UID:GID")]
    job_user: Option<String>,
    #[command(flatten)]
    walls: WallArgs,
    /// Network of jobs: none, default, or the name of one that exists (default: `default`)
    #[arg(long, env = "MOORLINE_JOB_NETWORK", value_name = "NETWORK")]
    job_network: Option<String>,
    /// Memory of a job in MiB (default: `4096`)
    #[arg(long, env = "MOORLINE_JOB_MEMORY_MIB", value_name = "MIB")]
    job_memory_mib: Option<String>,
    /// Cores of a job in thousandths (default: `2000`)
    #[arg(long, env = "MOORLINE_JOB_CPU_MILLIS", value_name = "MILLIS")]
    job_cpu_millis: Option<String>,
    /// Processes and threads of a job (default: `512`)
    #[arg(long, env = "MOORLINE_JOB_PIDS", value_name = "N")]
    job_pids: Option<String>,
    /// Longest time of a login check in seconds (default: `60`)
    #[arg(long, env = "MOORLINE_PREFLIGHT_TIMEOUT_SECONDS", value_name = "SECONDS")]
    preflight_timeout_seconds: Option<String>,
    /// How long jobs may take to end once the worker was told to go, in seconds; then they are stopped (default: `600`)
    #[arg(long, env = "MOORLINE_DRAIN_SECONDS", value_name = "SECONDS")]
    drain_seconds: Option<String>,
    /// Whether agents that are at work then are left to the next start of this worker, rather than stopped (default: `0`)
    #[arg(long, env = "MOORLINE_LEAVE_AGENTS", value_name = "BOOL")]
    leave_agents: Option<String>,
    /// Size of the spool at most, in MiB (default: `256`, or what the jobs need where that is more)
    #[arg(long, env = "MOORLINE_SPOOL_MIB", value_name = "MIB")]
    spool_mib: Option<String>,
    /// Size of one record of the spool at most, in MiB (default: `4`)
    #[arg(long, env = "MOORLINE_SPOOL_RECORD_MIB", value_name = "MIB")]
    spool_record_mib: Option<String>,
    /// Where the health endpoint listens, such as 127.0.0.1:7422 (default: nowhere)
    #[arg(long, env = "MOORLINE_HEALTH_LISTEN", value_name = "ADDRESS")]
    health_listen: Option<String>,
    /// Longest time to connect to the server, in seconds (default: `5`)
    #[arg(long, env = "MOORLINE_CONNECT_SECONDS", value_name = "SECONDS")]
    connect_seconds: Option<String>,
    /// Longest time from dialling the server to its welcome, in seconds (default: `15`)
    #[arg(long, env = "MOORLINE_WELCOME_SECONDS", value_name = "SECONDS")]
    welcome_seconds: Option<String>,
    /// Longest pause before dialling again, in seconds (default: `5`)
    #[arg(long, env = "MOORLINE_REDIAL_SECONDS", value_name = "SECONDS")]
    redial_seconds: Option<String>,
    /// The same after a while (default: `30`)
    #[arg(long, env = "MOORLINE_REDIAL_LATE_SECONDS", value_name = "SECONDS")]
    redial_late_seconds: Option<String>,
    /// How long that while is, in seconds (default: `120`)
    #[arg(long, env = "MOORLINE_REDIAL_LATE_AFTER_SECONDS", value_name = "SECONDS")]
    redial_late_after_seconds: Option<String>,
    /// Longest time of one call that moves an artifact or a piece of output, in seconds (default: `300`)
    #[arg(long, env = "MOORLINE_TRANSFER_SECONDS", value_name = "SECONDS")]
    transfer_seconds: Option<String>,
    /// Part of its lease after which a worker that can't renew it stops its jobs, in percent (default: `80`)
    #[arg(long, env = "MOORLINE_SELF_FENCE_PERCENT", value_name = "PERCENT")]
    self_fence_percent: Option<String>,
    /// The Codex program (default: `codex`)
    #[arg(long, env = "MOORLINE_CODEX_PROGRAM", value_name = "PROGRAM")]
    codex_program: Option<String>,
    /// The Gemini program (default: `gemini`)
    #[arg(long, env = "MOORLINE_GEMINI_PROGRAM", value_name = "PROGRAM")]
    gemini_program: Option<String>,
    /// Auth volume of the queue gemini (default: `gemini_auth`)
    #[arg(long, env = "MOORLINE_GEMINI_VOLUME", value_name = "VOLUME")]
    gemini_volume: Option<String>,
    /// Model that Gemini is told to use (default: `gemini-2.5-pro`)
    #[arg(long, env = "GEMINI_MODEL", value_name = "MODEL")]
    gemini_model: Option<String>,
    /// Where Gemini's API is (default: `https://generativelanguage.googleapis.com`)
    #[arg(long, env = "MOORLINE_GEMINI_BASE_URL", value_name = "URL")]
    gemini_base_url: Option<String>,
    /// The Spec Kit program (default: `specify`)
    #[arg(long, env = "MOORLINE_SPECKIT_PROGRAM", value_name = "PROGRAM")]
    speckit_program: Option<String>,
    /// Where the worker's own container has the auth volume mounted, to be checked at start (default: not checked)
    #[arg(long, env = "CODEX_VOLUME_PATH", value_name = "FOLDER")]
    volume_path: Option<String>,
    /// TOML file whose settings are merged into those of Codex in the volume (default: a built-in one, which sets `approval_policy` alone)
    #[arg(long, env = "CODEX_TEMPLATE_PATH", value_name = "FILE")]
    template_path: Option<String>,
    /// Who makes embeddings for agents, which is checked at start and not handed to them: google, openai, ollama or none (default: `google`)
    #[arg(long, env = "DEFAULT_EMBEDDING_PROVIDER", value_name = "PROVIDER")]
    pub(super) embedding_provider: Option<String>,
    /// Google's embedding model (default: `gemini-embedding-001`)
    #[arg(long, env = "GOOGLE_EMBEDDING_MODEL", value_name = "MODEL")]
    pub(super) google_embedding_model: Option<String>,
    /// OpenAI's embedding model (default: `text-embedding-3-small`)
    #[arg(long, env = "MOORLINE_OPENAI_EMBEDDING_MODEL", value_name = "MODEL")]
    pub(super) openai_embedding_model: Option<String>,
    /// Ollama's embedding model (default: `nomic-embed-text`)
    #[arg(long, env = "MOORLINE_OLLAMA_EMBEDDING_MODEL", value_name = "MODEL")]
    pub(super) ollama_embedding_model: Option<String>,
    /// Address of Google's API (default: `https://generativelanguage.googleapis.com/v1beta`)
    #[arg(long, env = "MOORLINE_GOOGLE_EMBEDDING_URL", value_name = "URL")]
    pub(super) google_embedding_url: Option<String>,
    /// Address of OpenAI's API, or of one like it (default: `https://api.openai.com/v1`)
    #[arg(long, env = "MOORLINE_OPENAI_EMBEDDING_URL", value_name = "URL")]
    pub(super) openai_embedding_url: Option<String>,
    /// Address of Ollama (default: `http://127.0.0.1:11434`)
    #[arg(long, env = "MOORLINE_OLLAMA_URL", value_name = "URL")]
    pub(super) ollama_url: Option<String>,
    /// Numbers that each embedding must have (default: any)
    #[arg(long, env = "MOORLINE_EMBEDDING_DIMENSION", value_name = "N")]
    pub(super) embedding_dimension: Option<String>,
    /// Whether one embedding is asked for at start: 1 or 0 (default: `0`)
    #[arg(long, env = "MOORLINE_EMBEDDING_PROBE", value_name = "BOOL")]
    pub(super) embedding_probe: Option<String>,
    /// Model that Codex is told to use
    #[arg(long, env = "CODEX_MODEL", value_name = "MODEL")]
    codex_model: Option<String>,
    /// Profile that Codex is told to use
    #[arg(long, env = "CODEX_PROFILE", value_name = "PROFILE")]
    codex_profile: Option<String>,
    /// Further key=value settings of Codex, TOML values, one a line; they show in the process list
    #[arg(long, env = "MOORLINE_CODEX_CONFIG", value_name = "LINES")]
    codex_config: Option<String>,
    /// Issuer of logins by device code (default: Codex's own)
    #[arg(long, env = "MOORLINE_CODEX_ISSUER", value_name = "URL")]
    codex_issuer: Option<String>,
    /// Jobs that may use an API key at once; any other login serves one (default: `1`)
    #[arg(long, env = "MOORLINE_API_KEY_CAPACITY", value_name = "N")]
    api_key_capacity: Option<String>,
    /// Size of everything in the volume but its credential, in MiB, beyond which it is cleaned up after a use; 0 for no limit (default: `1024`)
    #[arg(long, env = "MOORLINE_VOLUME_QUOTA_MIB", value_name = "MIB")]
    volume_quota_mib: Option<String>,
    /// Where owner/name is found (default: `https://github.com`)
    #[arg(long, env = "MOORLINE_GITHUB_URL", value_name = "URL")]
    github_url: Option<String>,
    /// API of the forge (default: `https://api.github.com`)
    #[arg(long, env = "MOORLINE_GITHUB_API_URL", value_name = "URL")]
    github_api_url: Option<String>,
    /// Protocols that git may use, with colons between them (default: `https:ssh`)
    #[arg(long, env = "MOORLINE_GIT_PROTOCOLS", value_name = "PROTOCOLS")]
    git_protocols: Option<String>,
    /// Author and committer of commits (default: `Moorline <moorline@localhost>`)
    #[arg(long, env = "MOORLINE_GIT_AUTHOR", value_name = "NAME <ADDRESS>")]
    git_author: Option<String>,
    /// Whether a login that fails its check at start stops the start: 1 or 0 (default: `0`)
    #[arg(long, env = "MOORLINE_REQUIRE_LOGIN", value_name = "BOOL")]
    require_login: Option<String>,
}

impl TryFrom<Args> for Config {
    type Error = Error;

    fn try_from(args: Args) -> Result<Self, Error> {
        let embedding = embedding::settings(&args)?;
        let work_root = folder("MOORLINE_WORK_ROOT", given(args.work_root).unwrap_or_else(|| "/work".to_owned()))?;
        let volume_root = match given(args.volume_root) {
            Some(path) => folder("MOORLINE_VOLUME_ROOT", path)?,
            None => work_root.join("volumes"),
        };
        roots::apart(&work_root, &volume_root)?;
        let memory_mib: u64 = number("MOORLINE_JOB_MEMORY_MIB", args.job_memory_mib, 4096, 64, 1 << 24)?;
        let preflight_seconds = number("MOORLINE_PREFLIGHT_TIMEOUT_SECONDS", args.preflight_timeout_seconds, 60, 1, 3600)?;
        let timers = Timers {
            connect: seconds("MOORLINE_CONNECT_SECONDS", args.connect_seconds, 5)?,
            welcome: seconds("MOORLINE_WELCOME_SECONDS", args.welcome_seconds, 15)?,
            redial: seconds("MOORLINE_REDIAL_SECONDS", args.redial_seconds, 5)?,
            redial_late: seconds("MOORLINE_REDIAL_LATE_SECONDS", args.redial_late_seconds, 30)?,
            redial_late_after: seconds("MOORLINE_REDIAL_LATE_AFTER_SECONDS", args.redial_late_after_seconds, 120)?,
            transfer: seconds("MOORLINE_TRANSFER_SECONDS", args.transfer_seconds, 300)?,
            self_fence_percent: number("MOORLINE_SELF_FENCE_PERCENT", args.self_fence_percent, 80, 10, 95)?,
        };
        let (queues, slots) = (
            queues(args.codex_queue, args.queues)?,
            number("MOORLINE_SLOTS", args.slots, 4, 1, 1024)?,
        );
        let (job_image, login_check_image) = (
            given(args.job_image).unwrap_or_else(|| "moorline-job".to_owned()),
            given(args.login_check_image),
        );
        let walls = Walls::try_from(args.walls)?;
        if queues.iter().any(|queue| queue != "default") {
            walls.allow(&job_image, login_check_image.as_deref())?;
        }
        let record_mib: u64 = number("MOORLINE_SPOOL_RECORD_MIB", args.spool_record_mib, 4, 4, 1024)?;
        // A job's offer and its end, for each that may be in hand.
        let jobs = queues
            .iter()
            .map(|queue| if queue == "default" { u64::from(slots) } else { 1 })
            .sum::<u64>();
        let spool_mib = number(
            "MOORLINE_SPOOL_MIB",
            args.spool_mib,
            256.max(2 * record_mib * jobs),
            2 * record_mib * jobs,
            1 << 24,
        )?;
        Ok(Self {
            server: server(args.server)?,
            name: name(args.worker_name, &queues)?,
            volume: match queues.iter().any(|queue| queue == GEMINI_QUEUE) {
                true => Some(given(args.gemini_volume).unwrap_or_else(|| "gemini_auth".to_owned())),
                false => given(args.volume),
            },
            queues,
            slots,
            engine: engine(args.engine)?,
            skills_root: folder(
                "MOORLINE_SKILLS_ROOT",
                given(args.skills_root).unwrap_or_else(|| "/opt/moorline".to_owned()),
            )?,
            job_image,
            login_check_image,
            walls,
            job_user: job_user(args.job_user)?,
            job_network: walls::network(args.job_network)?,
            job_memory_bytes: memory_mib << 20,
            job_cpu_millis: number("MOORLINE_JOB_CPU_MILLIS", args.job_cpu_millis, 2000, 10, 1 << 20)?,
            job_pids: number("MOORLINE_JOB_PIDS", args.job_pids, 512, 16, 1 << 22)?,
            preflight_timeout: Duration::from_secs(preflight_seconds),
            drain_grace: Duration::from_secs(number("MOORLINE_DRAIN_SECONDS", args.drain_seconds, 600, 0, 86_400)?),
            timers: timers.checked()?,
            spool_bytes: spool_mib << 20,
            spool_record_bytes: record_mib << 20,
            health_listen: health_listen(args.health_listen)?,
            codex_program: given(args.codex_program).unwrap_or_else(|| "codex".to_owned()),
            gemini_program: given(args.gemini_program).unwrap_or_else(|| "gemini".to_owned()),
            gemini_model: given(args.gemini_model).unwrap_or_else(|| "gemini-2.5-pro".to_owned()),
            gemini_base_url: address(
                "MOORLINE_GEMINI_BASE_URL",
                args.gemini_base_url,
                "https://generativelanguage.googleapis.com",
            )?,
            // Only from the environment, as the token below.
            gemini_api_key: embedding::gemini_key()?,
            speckit_program: given(args.speckit_program).unwrap_or_else(|| "specify".to_owned()),
            volume_path: given(args.volume_path).map(|path| folder("CODEX_VOLUME_PATH", path)).transpose()?,
            template_path: given(args.template_path)
                .map(|path| folder("CODEX_TEMPLATE_PATH", path))
                .transpose()?,
            embedding,
            codex_model: given(args.codex_model),
            codex_profile: given(args.codex_profile),
            codex_config: codex_config(args.codex_config)?,
            // Only from the environment, as the token below.
            codex_env: environment::parse(CODEX_ENV.name, secret::read(&CODEX_ENV, &CODEX_ENV_FILE)?.as_deref())?,
            gemini_env: environment::parse(GEMINI_ENV.name, secret::read(&GEMINI_ENV, &GEMINI_ENV_FILE)?.as_deref())?,
            codex_issuer: issuer(args.codex_issuer)?,
            api_key_capacity: number("MOORLINE_API_KEY_CAPACITY", args.api_key_capacity, 1, 1, 64)?,
            volume_quota_bytes: number::<u64>("MOORLINE_VOLUME_QUOTA_MIB", args.volume_quota_mib, 1024, 0, 1 << 24)? << 20,
            // Only from the environment: the process list would show it.
            github_token: secret::read(&GITHUB_TOKEN, &GITHUB_TOKEN_FILE)?.map(Into::into),
            github_url: address("MOORLINE_GITHUB_URL", args.github_url, "https://github.com")?,
            github_api_url: address("MOORLINE_GITHUB_API_URL", args.github_api_url, "https://api.github.com")?,
            git_protocols: given(args.git_protocols).unwrap_or_else(|| "https:ssh".to_owned()),
            git_author: git_author(args.git_author)?,
            leave_agents: boolean("MOORLINE_LEAVE_AGENTS", args.leave_agents)?,
            require_login: boolean("MOORLINE_REQUIRE_LOGIN", args.require_login)?,
            work_root,
            volume_root,
        })
    }
}

pub(super) fn given(value: Option<String>) -> Option<String> {
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

pub(super) fn invalid(variable: &'static str, reason: impl Into<String>) -> Error {
    Error::Invalid {
        variable,
        reason: reason.into(),
    }
}

pub(super) fn number<N>(variable: &'static str, value: Option<String>, default: N, least: N, most: N) -> Result<N, Error>
where
    N: FromStr + PartialOrd + std::fmt::Display + Copy,
{
    let Some(value) = given(value) else {
        return Ok(default);
    };
    match value.parse() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(invalid(
            variable,
            format!("is `{value}`: set a whole number from {least} to {most}, or leave it unset for {default}"),
        )),
    }
}

fn seconds(variable: &'static str, value: Option<String>, default: u64) -> Result<Duration, Error> {
    number(variable, value, default, 1, 3600).map(Duration::from_secs)
}

fn health_listen(value: Option<String>) -> Result<Option<SocketAddr>, Error> {
    let parse = |value: String| {
        value.parse().map_err(|_| {
            let reason =
                format!("is `{value}`: set an address and a port such as 127.0.0.1:7422, or leave it unset for no health endpoint");
            invalid("MOORLINE_HEALTH_LISTEN", reason)
        })
    };
    given(value).map(parse).transpose()
}

pub(super) fn boolean(variable: &'static str, value: Option<String>) -> Result<bool, Error> {
    match given(value).map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("0" | "false" | "no" | "off") => Ok(false),
        Some("1" | "true" | "yes" | "on") => Ok(true),
        Some(other) => Err(invalid(variable, format!("is `{other}`: set 1 or 0"))),
    }
}

/// One of several only where no login is needed: a volume has one worker.
fn name(value: Option<String>, queues: &[String]) -> Result<String, Error> {
    let name = given(value).unwrap_or_else(Config::hostname);
    let several = name.contains(ANY);
    let reason = match queues.iter().find(|queue| *queue != "default") {
        Some(queue) if several => format!(
            "is `{name}`, the name of several workers, but {queue} has one login in one volume, and one volume means one worker: set a name without {ANY}"
        ),
        _ if several && name.find(ANY) != Some(name.len() - 1) => {
            format!("is `{name}`: put a single {ANY} at its end, where a number takes its place")
        }
        _ => return Ok(name),
    };
    Err(invalid("MOORLINE_WORKER_NAME", reason))
}

fn server(value: Option<String>) -> Result<String, Error> {
    let url = address("MOORLINE_SERVER", value, "http://127.0.0.1:7420")?;
    match url.starts_with("http:") {
        true => Ok(url),
        false => Err(invalid(
            "MOORLINE_SERVER",
            format!("is `{url}`: TLS between worker and server isn't supported yet, use http://"),
        )),
    }
}

pub(super) fn address(variable: &'static str, value: Option<String>, default: &str) -> Result<String, Error> {
    let value = given(value).unwrap_or_else(|| default.to_owned());
    match Url::parse(&value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(value.trim_end_matches('/').to_owned()),
        _ => Err(invalid(variable, format!("is `{value}`: set a URL such as {default}"))),
    }
}

/// Absolute, since containers see it at the same path.
fn folder(variable: &'static str, value: String) -> Result<PathBuf, Error> {
    std::path::absolute(&value).map_err(|error| invalid(variable, format!("is `{value}`, which is no path: {error}")))
}

fn queues(shard: Option<String>, others: Option<String>) -> Result<Vec<String>, Error> {
    let mut queues: Vec<String> = Vec::new();
    if let Some(shard) = given(shard) {
        if shard_index(&shard).is_none() {
            return Err(invalid(
                "CODEX_QUEUE",
                format!("is `{shard}`: set the queue of a shard, such as codex-0"),
            ));
        }
        queues.push(shard);
    }
    for queue in given(others)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|queue| !queue.is_empty())
    {
        let known = matches!(queue, "default" | GEMINI_QUEUE) || shard_index(queue).is_some();
        if !known {
            return Err(invalid(
                "MOORLINE_QUEUES",
                format!("names the queue `{queue}`: use default, gemini or codex-<n>"),
            ));
        }
        if !queues.iter().any(|known| known == queue) {
            queues.push(queue.to_owned());
        }
    }
    if queues.iter().filter(|queue| *queue != "default").count() > 1 {
        return Err(invalid(
            "MOORLINE_QUEUES",
            "names more than one queue that needs a login: start one worker for each, since a worker holds one volume",
        ));
    }
    if queues.is_empty() {
        queues.push("default".to_owned());
    }
    Ok(queues)
}

fn engine(value: Option<String>) -> Result<EngineChoice, Error> {
    match given(value) {
        None => Ok(EngineChoice::Auto),
        Some(value) => EngineChoice::from_str(&value, true)
            .map_err(|_| invalid("MOORLINE_ENGINE", format!("is `{value}`: set auto, docker or process"))),
    }
}

fn job_user(value: Option<String>) -> Result<String, Error> {
    let value = given(value).unwrap_or_else(|| "1000:1000".to_owned());
    let numbers = value.split_once(':').map(|(uid, gid)| (uid.parse::<u32>(), gid.parse::<u32>()));
    match numbers {
        Some((Ok(uid), Ok(_))) if uid > 0 => Ok(value),
        _ => Err(invalid(
            "MOORLINE_JOB_USER",
            format!("is `{value}`: set two numbers such as 1000:1000; jobs never run as root"),
        )),
    }
}

fn issuer(value: Option<String>) -> Result<Option<String>, Error> {
    let parse = |value| address("MOORLINE_CODEX_ISSUER", Some(value), "https://auth.openai.com");
    given(value).map(parse).transpose()
}

fn codex_config(value: Option<String>) -> Result<Vec<String>, Error> {
    let lines = given(value).unwrap_or_default();
    let lines: Vec<String> = lines
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    match lines.iter().find(|line| !line.contains('=')) {
        Some(line) => Err(invalid(
            "MOORLINE_CODEX_CONFIG",
            format!("has the line `{line}`: write key=value on each"),
        )),
        None => Ok(lines),
    }
}

fn git_author(value: Option<String>) -> Result<String, Error> {
    let value = given(value).unwrap_or_else(|| "Moorline <moorline@localhost>".to_owned());
    let parts = value.strip_suffix('>').and_then(|rest| rest.split_once('<'));
    match parts {
        Some((name, address)) if !name.trim().is_empty() && !address.is_empty() && !address.contains(['<', '>']) => Ok(value),
        _ => Err(invalid(
            "MOORLINE_GIT_AUTHOR",
            format!("is `{value}`: set a name and an address, such as Moorline <moorline@example.com>"),
        )),
    }
}
