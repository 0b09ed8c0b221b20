//! `moorline-server`: see `--help`.

use std::process::ExitCode;

use clap::Parser as _;
use moorline_server::{
    config::{Args, Command, Config},
    http, serve,
};
use moorline_telemetry::{
    logs::Logs,
    trace::{self, Exporting},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A quarter of the server's time went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad configuration, as sysexits.h has it.
const EX_USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = leave_no_core_dump() {
        eprintln!("moorline-server: core dumps can't be switched off: {error}");
        return ExitCode::FAILURE;
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() {
                ExitCode::from(EX_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let traces = match begin_telling() {
        Ok(traces) => traces,
        Err(wrong) => {
            eprintln!("moorline-server: {wrong}");
            return ExitCode::from(EX_USAGE);
        }
    };
    let command = args.command;
    let config = match args.config() {
        Ok(config) => config,
        Err(wrong) => {
            eprintln!("moorline-server: {wrong}");
            return ExitCode::from(EX_USAGE);
        }
    };
    let outcome = match command {
        Some(Command::Health) => return health(&config).await,
        Some(Command::Migrate) => serve::migrate(&config).await.map(|ran| println!("{} migrations ran", ran.len())),
        Some(Command::Serve) | None => run(config).await,
    };
    traces.end().await;
    match outcome {
        Ok(()) | Err(serve::Error::Stopped) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            match error {
                serve::Error::Insecure(_) => ExitCode::from(EX_USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn say(error: &dyn std::error::Error) {
    eprintln!("moorline-server: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
}

async fn health(config: &Config) -> ExitCode {
    match http::ask(config.http_listen).await {
        Ok((ready, said)) => {
            println!("{said}");
            ExitCode::from(u8::from(!ready))
        }
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
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

async fn run(config: Config) -> Result<(), serve::Error> {
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signal(shutdown.clone()));
    serve::start(config, shutdown).await?.finished().await
}

/// Cancels the token on SIGINT or SIGTERM.
async fn stop_on_signal(shutdown: CancellationToken) {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
    info!("asked to stop");
    shutdown.cancel();
}

/// Logs to standard error, for people or, with `MOORLINE_LOG_FORMAT=json`, as JSON lines; `MOORLINE_LOG` chooses what. Sends traces where the
/// environment says where.
fn begin_telling() -> Result<Exporting, String> {
    Logs::from_env("info").map_err(|wrong| wrong.to_string())?.begin();
    trace::begin("moorline-server", env!("CARGO_PKG_VERSION")).map_err(|wrong| wrong.to_string())
}
