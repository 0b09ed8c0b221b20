//! The demo's command line.

/// How the demo is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave everything running, and print where it is.
    #[arg(long)]
    pub keep: bool,
    /// End with one JSON line on standard output; everything for people goes to standard error.
    #[arg(long)]
    pub json: bool,
    /// Where jobs run: Docker containers, or local processes.
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,
    /// Don't ask before system packages are installed.
    #[arg(long)]
    pub yes: bool,
    /// Stop what an earlier `--keep` left running, and remove it.
    #[arg(long, conflicts_with_all = ["keep", "json", "engine"])]
    pub stop: bool,
    /// The programs are built already.
    #[arg(long, hide = true)]
    pub prebuilt: bool,
}

/// Which engine to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineChoice {
    /// Docker when it answers or can be started, local processes when not.
    Auto,
    /// Docker, installed if need be.
    Docker,
    /// Local processes.
    Process,
}
