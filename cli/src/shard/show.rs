//! `moorline shard show`.

use moorline_proto::v1::GetShardRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, shard::answered};

/// Show one shard with its login and its latest check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its queue, such as codex-0.
    queue: String,
}

/// Shows one shard.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = GetShardRequest { queue: args.queue.clone() };
    let answer = client::shards(global)?.get_shard(request).await?.into_inner();
    console.show(&answered(answer.shard)?)?;
    Ok(Exit::Ok)
}
