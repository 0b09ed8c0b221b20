//! `moorline-soak`: the randomised soak, and its scripted workers. `cargo xtask soak` builds and starts it.

use clap::Parser;
use moorline_tests::{logins, soak};

/// Breaks servers, workers, Postgres and their lines at random, and checks what was promised.
#[derive(Debug, Parser)]
enum Arguments {
    /// The soak itself.
    Run(soak::Args),
    /// The soak of logins: many runs on one login whose tokens count once.
    Logins(logins::Args),
    /// Agents that are killed around the renewal of their login.
    Kills(logins::kills::Args),
    /// What a login check costs.
    Cost(logins::cost::Args),
    /// One of its workers.
    #[command(hide = true)]
    Worker(soak::worker::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse() {
        Arguments::Run(args) => soak::run(args).await,
        Arguments::Logins(args) => logins::run(args).await,
        Arguments::Kills(args) => logins::kills::main(args).await,
        Arguments::Cost(args) => logins::cost::main(args).await,
        Arguments::Worker(args) => soak::worker::run(args).await,
    }
}
