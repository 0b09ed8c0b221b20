//! `moorline shard drain`.

use moorline_proto::v1::DrainShardRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, shard::answered};

/// Let a shard take no new work: running jobs finish, queued ones wait.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its queue, such as codex-0.
    queue: String,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
}

/// Drains a shard. A job may still be running when this returns.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = DrainShardRequest {
        queue: args.queue.clone(),
        reason: args.reason.clone().unwrap_or_default(),
    };
    let answer = client::shards(global)?.drain_shard(request).await?.into_inner();
    let shard = answered(answer.shard)?;
    console.show(&shard)?;
    if shard.running_jobs > 0 {
        console.note("\nIt has jobs to finish. Follow them with: moorline shard watch")?;
    }
    console.note(format!("\nIt stays so until: moorline shard activate {}", shard.queue))?;
    Ok(Exit::Ok)
}
