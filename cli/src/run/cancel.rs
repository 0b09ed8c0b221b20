//! `moorline run cancel`.

use moorline_proto::v1;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, run::answered};

/// Cancel a run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run.
    run_id: String,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
}

/// Cancels a run. Its worker may still be stopping the job when this returns.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = v1::CancelRunRequest {
        run_id: args.run_id.clone(),
        reason: args.reason.clone().unwrap_or_default(),
    };
    let run = answered(client::runs(global)?.cancel_run(request).await?.into_inner().run)?;
    console.show(&run)?;
    if run.status.as_deref() != Some("cancelled") {
        console.note(format!(
            "\nIts job is being stopped. Follow it with: moorline run watch {}",
            run.run_id
        ))?;
    }
    Ok(Exit::Ok)
}
