//! `moorline volume list`.

use moorline_proto::v1::{ListShardsRequest, Shard};

use crate::{
    args::Global,
    client,
    console::Console,
    error::Error,
    exit::Exit,
    view::{ListedVolume, Volumes},
};

/// Lists the volumes of all shards.
pub async fn execute(global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let shards = client::shards(global)?.list_shards(ListShardsRequest {}).await?.into_inner().shards;
    let volumes = shards.into_iter().filter_map(listed).collect();
    console.show(&Volumes { volumes })?;
    Ok(Exit::Ok)
}

fn listed(shard: Shard) -> Option<ListedVolume> {
    Some(ListedVolume {
        volume: shard.volume?.into(),
        queue: shard.queue,
    })
}
