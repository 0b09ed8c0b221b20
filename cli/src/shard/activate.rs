//! `moorline shard activate`.

use moorline_proto::v1::ActivateShardRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, shard::answered};

/// Let a drained shard take work again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its queue, such as codex-0.
    queue: String,
}

/// Activates a shard.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = ActivateShardRequest { queue: args.queue.clone() };
    let answer = client::shards(global)?.activate_shard(request).await?.into_inner();
    let shard = answered(answer.shard)?;
    console.show(&shard)?;
    if shard.status.as_deref() == Some("offline") {
        console.note("\nNo worker holds its volume: it takes work once one does.")?;
    }
    Ok(Exit::Ok)
}
