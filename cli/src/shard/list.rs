//! `moorline shard list`.

use moorline_proto::v1::ListShardsRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Shards};

/// Lists every shard.
pub async fn execute(global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let shards = client::shards(global)?.list_shards(ListShardsRequest {}).await?.into_inner().shards;
    console.show(&Shards {
        shards: shards.into_iter().map(Into::into).collect(),
    })?;
    Ok(Exit::Ok)
}
