//! `moorline preflight`: the login that a run needs, checked now.

use moorline_proto::v1::PreflightRunRequest;

use crate::{
    args::Global,
    client,
    console::Console,
    error::Error,
    exit::{self, Exit},
    view::{Preflight, Run, RunChecked},
};

/// Check the login that a run needs, and note the result on the run.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct Args {
    /// Id of the run.
    run_id: String,
    /// Check even though the last check is recent.
    #[arg(long)]
    force: bool,
    /// Choose the shard by this key instead of the run's own.
    #[arg(long, value_name = "KEY")]
    affinity_key: Option<String>,
}

/// Checks the login of a run's shard; the exit code says how good it is.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = PreflightRunRequest {
        run_id: args.run_id.clone(),
        affinity_key: args.affinity_key.clone().unwrap_or_default(),
        force_refresh: args.force,
    };
    let answer = client::shards(global)?.preflight_run(request).await?.into_inner();
    let checked = RunChecked {
        preflight: answer.preflight.map(Preflight::from).ok_or(Error::Incomplete("login check"))?,
        reused: answer.reused,
        run: answer.run.map(Run::from),
    };
    console.show(&checked)?;
    Ok(checked.preflight.exit())
}
