//! `moorline volume check`.

use moorline_proto::v1::CheckVolumeRequest;

use crate::{
    args::Global,
    client,
    console::Console,
    error::Error,
    exit::{self, Exit},
    view::{Checked, Preflight, Volume},
};

/// Have a volume's worker check its login now.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct Args {
    /// Its name, such as codex_auth_0.
    volume: String,
    /// Make one small real call to the model as well: it proves that the login works, and costs a few tokens.
    #[arg(long)]
    probe: bool,
}

/// Checks a login; the exit code says how good it is.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = CheckVolumeRequest {
        volume: args.volume.clone(),
        probe: args.probe,
    };
    let answer = client::shards(global)?.check_volume(request).await?.into_inner();
    let checked = Checked {
        preflight: answer.preflight.map(Preflight::from).ok_or(Error::Incomplete("login check"))?,
        volume: answer.volume.map(Volume::from),
    };
    console.show(&checked)?;
    Ok(checked.preflight.exit())
}
