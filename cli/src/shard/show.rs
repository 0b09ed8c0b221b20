//! `moorline shard show`.

use moorline_proto::v1::GetShardRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Shard};

/// Show one shard.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its queue, such as codex-0.
    queue: String,
}

/// Shows one shard.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let answer = client::shards(global)?
        .get_shard(GetShardRequest { queue: args.queue.clone() })
        .await?
        .into_inner();
    console.show(&Shard::from(answer.shard.ok_or(Error::Incomplete("shard"))?))?;
    Ok(Exit::Ok)
}
