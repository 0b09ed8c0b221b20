//! `moorline volume show`.

use moorline_proto::v1::{GetVolumeDiagnosticsRequest, ListShardsRequest};

use crate::{
    args::Global,
    client,
    console::Console,
    error::Error,
    exit::Exit,
    time,
    view::{Diagnostics, Volume, VolumeDetail},
};

/// Show one volume, as its worker last saw it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, such as codex_auth_0.
    volume: String,
}

/// Shows one volume with its shard and with when its worker last described it.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mut client = client::shards(global)?;
    let request = GetVolumeDiagnosticsRequest {
        volume: args.volume.clone(),
    };
    // Asked first, since its refusal of an unknown name says what to do.
    let seen = client.get_volume_diagnostics(request).await?.into_inner();
    let shards = client.list_shards(ListShardsRequest {}).await?.into_inner().shards;
    let has_it = |shard: &_| volume_of(shard).is_some_and(|volume| volume.name == args.volume);
    let shard = shards.into_iter().find(has_it).ok_or(Error::Incomplete("volume"))?;
    let queue = shard.queue.clone();
    let mut volume = shard.volume.map(Volume::from).ok_or(Error::Incomplete("volume"))?;
    volume.diagnostics = seen.diagnostics.map(Diagnostics::from);
    console.show(&VolumeDetail {
        volume,
        queue: Some(queue),
        reported_at: time::rfc3339(seen.reported_at.as_ref()),
    })?;
    Ok(Exit::Ok)
}

fn volume_of(shard: &moorline_proto::v1::Shard) -> Option<&moorline_proto::v1::AuthVolume> {
    shard.volume.as_ref()
}
