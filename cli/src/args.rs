//! The command line.

use std::{ffi::OsString, time::Duration};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
    parser::ValueSource,
};
use clap_complete::Shell;

use crate::{
    client,
    console::Format,
    dev, exit,
    names::{self, Named},
    preflight, route, run, shard, skill, time, volume, worker,
};

/// Moorline: runs of coding agents, routed by hash to shards that each hold one login.
#[derive(Debug, Parser)]
#[command(name = "moorline", version, propagate_version = true, after_help = exit::HELP)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Server to talk to.
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        env = "MOORLINE_SERVER",
        hide_env_values = true,
        default_value = client::DEFAULT_SERVER,
        value_name = "URL"
    )]
    pub server: String,
    /// Form of the output: tables for people, JSON for programs.
    #[arg(long, short, global = true, help_heading = "Options of every command", value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Longest time for a call to be answered, or for a stream to begin. Where a worker has to look at a login first it is 5m unless given.
    #[arg(long, global = true, help_heading = "Options of every command", default_value = "30s", value_parser = time::parse_duration, value_name = "DURATION")]
    pub timeout: Duration,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start, show, watch, cancel and retry runs.
    #[command(subcommand)]
    Run(run::Command),
    /// Show and watch shards; drain, activate and count them.
    #[command(subcommand)]
    Shard(shard::Command),
    /// Show, check, renew and clean up the volumes that hold logins.
    #[command(subcommand)]
    Volume(volume::Command),
    /// Check the login that a run needs.
    Preflight(preflight::Args),
    /// Show workers, and drain them.
    #[command(subcommand)]
    Worker(worker::Command),
    /// Show and check skills, and say which of them carry which stages.
    #[command(subcommand)]
    Skill(skill::Command),
    /// Say which shard a key goes to, and why.
    Route(route::Args),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Start a server, its workers and a database in this process, for trying things.
    Dev(Box<dev::Args>),
}

/// Reads a command line, the program's name first.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(args)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    // An option that would be ignored is a mistake that the user should hear of.
    if matches!(cli.command, Command::Dev(_)) && (given("server") || given("timeout")) {
        let message = "`moorline dev` starts a server of its own: give --listen instead of --server and --timeout";
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, message));
    }
    if cli.command.asks_a_worker() && !given("timeout") {
        cli.global.timeout = client::WORKER_TIMEOUT;
    }
    Ok(cli)
}

impl Command {
    /// Whether the server has to ask a worker, which looks at a login or changes it, before it answers.
    fn asks_a_worker(&self) -> bool {
        match self {
            Self::Preflight(_) => true,
            Self::Volume(command) => command.asks_a_worker(),
            Self::Run(_) | Self::Shard(_) | Self::Worker(_) | Self::Skill(_) | Self::Route(_) | Self::Completions { .. } | Self::Dev(_) => {
                false
            }
        }
    }
}

/// Accepts some of the names of an enum of the contract.
pub(crate) fn one_of<E: Named + Send + Sync + 'static, const N: usize>(values: [&'static str; N]) -> impl TypedValueParser<Value = E> {
    PossibleValuesParser::new(values).try_map(|text| names::parse(&text).ok_or("this value is not part of the contract"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
