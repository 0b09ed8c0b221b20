//! `moorline run artifacts`.

use moorline_proto::v1;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Artifacts};

/// List what a run has stored.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run.
    run_id: String,
}

/// Lists what a run has stored.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = v1::ListArtifactsRequest {
        run_id: args.run_id.clone(),
    };
    let artifacts = client::runs(global)?.list_artifacts(request).await?.into_inner().artifacts;
    console.show(&Artifacts {
        artifacts: artifacts.into_iter().map(Into::into).collect(),
    })?;
    if console.color() {
        console.note("\nFetch one with: moorline run download ARTIFACT_ID")?;
    }
    Ok(Exit::Ok)
}
