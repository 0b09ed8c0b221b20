//! `moorline-server`: see `--help`.

use std::{error::Error as _, process::ExitCode};

use clap::Parser as _;
use moorline_server::{
    config::{Args, Command},
    serve,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Bad configuration, as sysexits.h has it.
const EX_USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
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
    init_logging();
    let outcome = match args.command {
        Some(Command::Migrate) => serve::migrate(&args.config())
            .await
            .map(|ran| println!("{} migrations ran", ran.len())),
        Some(Command::Serve) | None => run(args).await,
    };
    match outcome {
        Ok(()) | Err(serve::Error::Stopped) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("moorline-server: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            match error {
                serve::Error::Insecure(_) => ExitCode::from(EX_USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

async fn run(args: Args) -> Result<(), serve::Error> {
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signal(shutdown.clone()));
    serve::start(args.config(), shutdown).await?.finished().await
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

/// Logs for people, or as JSON lines with `MOORLINE_LOG_FORMAT=json`; `MOORLINE_LOG` chooses what.
fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MOORLINE_LOG").unwrap_or_else(|_| "info".into());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::env::var("MOORLINE_LOG_FORMAT").is_ok_and(|format| format == "json") {
        logs.json().init();
    } else {
        logs.init();
    }
}
