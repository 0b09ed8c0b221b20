//! `moorline worker show`.

use moorline_proto::v1::GetWorkerRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::WorkerDetail};

/// Show one worker with what it has checked at its latest start.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, as `moorline worker list` shows it.
    name: String,
}

/// Shows one worker.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = GetWorkerRequest {
        worker_name: args.name.clone(),
    };
    let answer = client::fleet(global)?.get_worker(request).await?.into_inner();
    console.show(&WorkerDetail::from(answer))?;
    Ok(Exit::Ok)
}
