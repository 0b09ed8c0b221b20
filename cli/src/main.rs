//! The `moorline` program. Everything is in the library, so that tests run it in their own process.

use std::{env, io, process::ExitCode};

use moorline::exit::Exit;
use moorline_telemetry::trace;

#[tokio::main]
async fn main() -> ExitCode {
    let traces = match trace::begin("moorline", env!("CARGO_PKG_VERSION")) {
        Ok(traces) => traces,
        Err(wrong) => {
            eprintln!("moorline: {wrong}");
            return Exit::Usage.into();
        }
    };
    let exit = moorline::run(env::args_os(), &mut io::stdout(), &mut io::stderr()).await;
    traces.end().await;
    exit.into()
}
