//! The worker's program: reads its settings, serves until it is told to stop.
//!
//! Exit codes: 0 after a clean shutdown, 64 for settings that can't be used, 78 when something that the worker needs is missing
//! or the server refuses it for good, 1 for anything else.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::{Parser, Subcommand};
use moorline_telemetry::{
    logs::Logs,
    trace::{self, Exporting},
};
use moorline_worker::{
    config::{Args, Config},
    engine, health,
    redact::QUIET,
    run::{self, Error, Shutdown},
    startup,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    let begun = begin_telling().and_then(|traces| Ok((traces, Config::try_from(cli.args).map_err(|error| error.to_string())?)));
    let (traces, config) = match begun {
        Ok(begun) => begun,
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
    traces.end().await;
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

/// Logs to standard error, as text or, with `MOORLINE_LOG_FORMAT=json`, as one JSON object a line; `MOORLINE_LOG` filters. Sends traces where the
/// environment says where.
fn begin_telling() -> Result<Exporting, String> {
    Logs::from_env("info").map_err(|wrong| wrong.to_string())?.quiet(QUIET).begin();
    trace::begin("moorline-worker", env!("CARGO_PKG_VERSION")).map_err(|wrong| wrong.to_string())
}
