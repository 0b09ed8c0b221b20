//! `moorline dev`: server, workers and an embedded Postgres in one process.
//!
//! Started in the order in which they need each other: the server with its database, then per shard a volume and a worker, then the
//! default worker. Stopped in the reverse order: the workers drain, then the server ends, which stops Postgres.

mod banner;
mod key;
mod logs;
mod plan;
mod ready;
mod signal;
mod volumes;
mod workers;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow};
use moorline_server::config::HttpListen;
use moorline_worker::{config::EngineChoice, engine};
use tokio_util::sync::CancellationToken;

use self::{plan::Plan, ready::ReadyFile, signal::Asked, workers::Workers};
use crate::{console::Console, error::Error, exit::Exit, time};

/// Start a server, its workers and a database in this process.
///
/// Settings of the workers that have no option here come from the environment, as `moorline-worker --help` lists them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of Codex shards of a new database; an existing one keeps its own.
    #[arg(long, env = "CODEX_SHARDS", hide_env_values = true, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "N")]
    shards: u32,
    /// Folder for the database, artifacts, runs and, with local processes, volumes [default: ~/.local/share/moorline/dev; for root /var/lib/moorline/dev]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Address of the server; port 0 takes a free one.
    #[arg(
        long,
        env = "MOORLINE_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:7420",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Address of the HTTP API, or off [default: the server's, one port higher]
    #[arg(long, env = "MOORLINE_HTTP_LISTEN", hide_env_values = true, value_name = "ADDRESS", value_parser = moorline_server::config::http_listen)]
    http_listen: Option<HttpListen>,
    /// Listen beyond loopback too, where anyone who reaches the port can start runs.
    #[arg(long, env = "MOORLINE_INSECURE", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new(), num_args = 0)]
    insecure: bool,
    /// Where jobs run: auto takes Docker when it answers [default: MOORLINE_ENGINE, else auto]
    #[arg(long, value_enum)]
    engine: Option<EngineChoice>,
    /// What the names of auth volumes begin with, before the shard's number.
    #[arg(long, default_value = VOLUME_PREFIX, value_name = "PREFIX")]
    volume_prefix: String,
    /// Start a worker for Gemini as well; `moorline volume login` gives it a key.
    #[arg(long)]
    gemini: bool,
    /// Image of jobs [default: SPEC_AUTOMATION_JOB_IMAGE, else moorline-job]
    #[arg(long, value_name = "IMAGE")]
    job_image: Option<String>,
    /// The Codex program, with local processes [default: MOORLINE_CODEX_PROGRAM, else codex]
    #[arg(long, value_name = "PROGRAM")]
    codex_program: Option<String>,
    /// Read an API key from standard input and log every shard in with it.
    #[arg(long)]
    api_key_stdin: bool,
    /// Write endpoint, process id and workers to this file once everything is up; removed at the end.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// How long jobs may take to end when everything stops; then they are stopped.
    #[arg(long, default_value = "30s", value_parser = time::parse_duration, value_name = "DURATION")]
    grace: Duration,
}

const VOLUME_PREFIX: &str = "codex_auth_";

/// How long the server may take to end its streams and stop Postgres.
const SERVER_GRACE: Duration = Duration::from_secs(60);

/// Starts everything and stops it when asked to, or when a part of it ends.
pub async fn execute(args: &Args, console: &mut Console<'_>) -> Result<Exit, Error> {
    logs::begin()?;
    let mut plan = Plan::new(args)?;
    args.ready_file.as_deref().map(ReadyFile::clear).transpose()?;
    let key = args.api_key_stdin.then(key::read).transpose()?;
    let asked = Asked::listen().context("can't listen for signals")?;

    let stop_server = CancellationToken::new();
    let running = moorline_server::start(plan.server(), stop_server.clone())
        .await
        .context("the server can't start")?;
    let (endpoint, http) = (plan::endpoint(running.address), running.http_address);
    let mut server = tokio::spawn(running.finished());

    let played = tokio::select! {
        played = play(&mut plan, args, (&endpoint, http), key, &asked, console) => played,
        ended = &mut server => return Err(server_ended(ended).into()),
    };
    stop_server.cancel();
    let stopped = match tokio::time::timeout(SERVER_GRACE, server).await {
        Ok(ended) => ended.context("the server broke")?.context("the server did not end well"),
        Err(_) => Err(anyhow!(
            "the server did not end within {}",
            humantime::format_duration(SERVER_GRACE)
        )),
    };
    played?;
    stopped?;
    console.note("Everything has stopped.")?;
    Ok(Exit::Ok)
}

/// Everything between the server's start and its end.
async fn play(
    plan: &mut Plan,
    args: &Args,
    (endpoint, http): (&str, Option<SocketAddr>),
    key: Option<secrecy::SecretString>,
    asked: &Asked,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let engine = engine::connect::choose(&plan.worker).await.context("no engine can be used")?;
    let info = engine.info().await.context("no engine can be used")?;
    plan.lay_skills(info.kind)?;
    let shards = volumes::shards(endpoint, args.gemini).await?;
    if !volumes::are_as_asked(&shards, args.shards, &args.volume_prefix) {
        console.note(format!(
            "The database knows {} shards and their volumes since its first start, whatever --shards and --volume-prefix say now: \
             choose another --data-dir to begin anew.",
            shards.len()
        ))?;
    }
    volumes::prepare(&*engine, &plan.worker, &shards, key.as_ref(), console).await?;

    let mut workers = Workers::start(plan.workers(endpoint, info.kind, &shards));
    let (names, welcome) = (workers.names(), workers.welcome());
    let up = async {
        welcome.await;
        let _ready = args
            .ready_file
            .as_deref()
            .map(|file| ReadyFile::write(file, endpoint, &names))
            .transpose()?;
        // Asked again: the workers have checked their logins meanwhile.
        banner::show(
            plan,
            (endpoint, http),
            &info,
            &volumes::shards(endpoint, args.gemini).await?,
            &names,
            console,
        )?;
        std::future::pending().await
    };
    let outcome = tokio::select! {
        broken = workers.broken() => Err(broken),
        () = asked.once.cancelled() => Ok(()),
        failed = up => failed,
    };
    console.note(format!(
        "Stopping: jobs have {} to finish and are stopped then, or at once with another Ctrl-C; the server and Postgres end last.",
        humantime::format_duration(args.grace)
    ))?;
    let drained = workers.drain(args.grace, &asked.again).await;
    outcome.and(drained)
}

fn server_ended(ended: Result<Result<(), moorline_server::serve::Error>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("the server has ended by itself: see its log above"),
        Ok(Err(error)) => anyhow::Error::new(error).context("the server has ended"),
        Err(error) => anyhow::Error::new(error).context("the server broke"),
    }
}
