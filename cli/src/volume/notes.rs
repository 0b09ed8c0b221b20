//! `moorline volume notes`.

use moorline_proto::v1::UpdateVolumeNotesRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, volume::answered};

/// Replace the operators' notes on a volume.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, such as codex_auth_0.
    volume: String,
    /// The new notes, such as whose account it is. No secrets: everybody who may list shards reads them.
    #[arg(required_unless_present = "clear")]
    text: Option<String>,
    /// Remove the notes.
    #[arg(long, conflicts_with = "text")]
    clear: bool,
}

/// Replaces the notes.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = UpdateVolumeNotesRequest {
        volume: args.volume.clone(),
        notes: args.text.clone().unwrap_or_default(),
    };
    let answer = client::shards(global)?.update_volume_notes(request).await?.into_inner();
    console.show(&answered(answer.volume)?)?;
    Ok(Exit::Ok)
}
