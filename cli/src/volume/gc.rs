//! `moorline volume gc`.

use moorline_proto::v1::CleanVolumeRequest;

use crate::{
    args::Global,
    client,
    console::Console,
    error::Error,
    exit::Exit,
    view::{Cleaned, Volume},
};

/// Remove what the agent has piled up beside its login: conversations and logs, never the login itself.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, such as codex_auth_0.
    volume: String,
}

/// Cleans a volume up.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = CleanVolumeRequest {
        volume: args.volume.clone(),
    };
    let answer = client::shards(global)?.clean_volume(request).await?.into_inner();
    console.show(&Cleaned {
        freed_bytes: answer.freed_bytes,
        volume: answer.volume.map(Volume::from),
    })?;
    Ok(Exit::Ok)
}
