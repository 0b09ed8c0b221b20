//! The worker's program: reads its settings, serves until it is told to stop.
//!
//! Exit codes: 0 after a clean shutdown, 64 for settings that can't be used, 78 when something that the worker needs is missing
//! or the server refuses it for good, 1 for anything else.

use std::{io::IsTerminal, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::{Parser, Subcommand};
use moorline_worker::{
    config::{Args, Config},
    engine, health,
    redact::QUIET,
    run::{self, Error, Shutdown},
    startup,
    variables::{LOG, LOG_FORMAT},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Holds one stream to a Moorline server and does the jobs of its queues.
#[derive(Debug, Parser)]
#[command(name = "moorline-worker", version)]
struct Cli {
    #[command(flatten)]
    args: Args,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Check everything that the worker needs, and stop.
    Check,
    /// Ask the worker of these settings whether its stream is live: exit code 0 if it is, 1 if not.
    Health,
}

const USAGE: u8 = 64;
const CONFIG: u8 = 78;

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = leave_no_core_dump() {
        eprintln!("moorline-worker: core dumps can't be switched off: {error}");
        return ExitCode::FAILURE;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let config = match log().and_then(|()| Config::try_from(cli.args).map_err(|error| error.to_string())) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("moorline-worker: {message}");
            return ExitCode::from(USAGE);
        }
    };
    let done = match cli.command {
        None => serve(config).await,
        Some(Command::Check) => check(config).await,
        Some(Command::Health) => health(&config).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("moorline-worker: {error:#}");
            ExitCode::from(code(&error))
        }
    }
}

/// Keeps what is in memory, secrets too, out of files: for this process and all that it starts.
fn leave_no_core_dump() -> rustix::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)
}

fn code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>() {
        Some(Error::Engine(_) | Error::Startup(_) | Error::Link(_) | Error::Spool(_) | Error::Health(_)) => CONFIG,
        Some(Error::Task { .. }) | None => 1,
    }
}

/// The first signal lets jobs finish, the second stops them, the third ends the process as it is.
async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let (mut terminate, mut interrupt) = signals()?;
    let mut told = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let shutdown = Shutdown::default();
    let running = run::run(config, shutdown.clone());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return Ok(ended.map(|()| ExitCode::SUCCESS)?),
        () = told() => {}
    }
    tracing::info!("told to stop: running jobs may finish; a second signal stops them");
    shutdown.drain.cancel();
    tokio::select! {
        ended = &mut running => return Ok(ended.map(|()| ExitCode::SUCCESS)?),
        () = told() => {}
    }
    shutdown.stop.cancel();
    tokio::select! {
        ended = &mut running => Ok(ended.map(|()| ExitCode::SUCCESS)?),
        () = told() => anyhow::bail!("ended by a third signal: containers of jobs may run on, until a worker of this name starts again"),
    }
}

fn signals() -> anyhow::Result<(Signal, Signal)> {
    let listen = |kind| signal(kind).context("can't listen for signals");
    Ok((listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?))
}

/// Prints all that was checked to standard output; what is missing goes to standard error as well, as when a start is refused.
async fn check(config: Config) -> anyhow::Result<ExitCode> {
    let config = Arc::new(config);
    let engine = engine::connect::choose(&config).await;
    let checked = startup::check(&config, engine.as_ref(), false).await;
    let profile = match &checked {
        Ok(ready) => &ready.profile,
        Err(startup::Error::NotReady { profile, .. }) => profile,
    };
    for check in &profile.checks {
        println!("{}  {}  {}", if check.ok { "ok    " } else { "failed" }, check.name, check.detail);
    }
    checked.map_err(Error::from)?;
    Ok(ExitCode::SUCCESS)
}

async fn health(config: &Config) -> anyhow::Result<ExitCode> {
    let address = config.health_listen.ok_or(health::Error::NotSet)?;
    let (live, report) = health::ask(address).await?;
    println!("{report}");
    Ok(ExitCode::from(u8::from(!live)))
}

/// Logs to standard error, as text or, with `MOORLINE_LOG_FORMAT=json`, as one JSON object a line. `MOORLINE_LOG` filters.
fn log() -> Result<(), String> {
    let filter = LOG.read_or_default();
    let filter = EnvFilter::try_new(&filter).map_err(|error| format!("MOORLINE_LOG is `{filter}`: {error}; set a level such as info"))?;
    let quiet = QUIET.parse().map_err(|error| format!("{QUIET}: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter.add_directive(quiet));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    match LOG_FORMAT.read_or_default().as_str() {
        "human" => registry.with(layer.with_target(false)).init(),
        "json" => registry.with(layer.json().flatten_event(true)).init(),
        other => return Err(format!("MOORLINE_LOG_FORMAT is `{other}`: set human or json")),
    }
    Ok(())
}
