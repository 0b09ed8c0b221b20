//! The `moorline` program. Everything is in the library, so that tests run it in their own process.

use std::{env, io, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    moorline::run(env::args_os(), &mut io::stdout(), &mut io::stderr()).await.into()
}
