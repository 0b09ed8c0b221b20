//! The log of `moorline dev`, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Begins to log: what `RUST_LOG` says, else the parts of Moorline in detail and the rest when it matters.
pub fn begin() {
    let usual = || EnvFilter::new("warn,moorline=info,moorline_server=info,moorline_worker=info");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| usual());
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour);
    // A second start in the same process, as in a test, goes on with the first one's log.
    let _ = log.try_init();
}
