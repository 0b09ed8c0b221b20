//! `moorline run get`.

use moorline_proto::v1;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::RunDetail};

/// Show a run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run.
    run_id: String,
}

/// Shows a run with its jobs, its artifacts and its latest login check.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let answer = client::runs(global)?
        .get_run(v1::GetRunRequest {
            run_id: args.run_id.clone(),
        })
        .await?;
    console.show(&RunDetail::try_from(answer.into_inner())?)?;
    Ok(Exit::Ok)
}
