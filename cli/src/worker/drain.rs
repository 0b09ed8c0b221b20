//! `moorline worker drain`.

use moorline_proto::v1::DrainWorkerRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Drained};

/// Have a worker finish what it has, take nothing new, and end, as SIGTERM does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, as `moorline worker list` shows it.
    name: String,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
}

/// Drains a worker. It may still have jobs to finish when this returns.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = DrainWorkerRequest {
        worker_name: args.name.clone(),
        reason: args.reason.clone().unwrap_or_default(),
    };
    let answer = client::fleet(global)?.drain_worker(request).await?.into_inner();
    console.show(&Drained {
        worker_name: args.name.clone(),
        running_jobs: answer.running_jobs,
    })?;
    console.note("\nIt ends by itself when its jobs have. See how far it is with: moorline worker list")?;
    Ok(Exit::Ok)
}
