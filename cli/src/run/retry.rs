//! `moorline run retry`.

use clap::ValueEnum;
use moorline_proto::v1;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, run::answered};

/// Queue a failed run again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run; it must have failed.
    run_id: String,
    /// Where to begin.
    #[arg(long, value_enum, default_value_t = Mode::Resume)]
    mode: Mode,
}

/// Where a retry begins.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// At the failed stage; what has succeeded is kept.
    Resume,
    /// At discovery.
    Restart,
}

/// Queues a failed run again.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mode = match args.mode {
        Mode::Resume => v1::RetryMode::ResumeFailedStage,
        Mode::Restart => v1::RetryMode::RestartFromDiscovery,
    };
    let request = v1::RetryRunRequest {
        run_id: args.run_id.clone(),
        mode: mode.into(),
    };
    let run = answered(client::runs(global)?.retry_run(request).await?.into_inner().run)?;
    console.show(&run)?;
    console.note(format!(
        "\nFollow it with: moorline run watch {} --after {}",
        run.run_id, run.last_event_sequence
    ))?;
    Ok(Exit::Ok)
}
