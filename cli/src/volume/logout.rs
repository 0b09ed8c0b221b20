//! `moorline volume logout`.

use std::io::{self, IsTerminal};

use moorline_proto::v1::LogoutVolumeRequest;

use crate::{
    args::Global,
    client,
    console::{Console, Format},
    error::Error,
    exit::Exit,
    volume::answered,
};

/// Log a volume out. Its shard holds its jobs until somebody logs in.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, such as codex_auth_0.
    volume: String,
    /// Don't ask whether it is meant.
    #[arg(long, short)]
    yes: bool,
}

/// Logs a volume out.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    if !args.yes && !is_meant(&args.volume, console)? {
        console.note("Nothing has changed.")?;
        return Ok(Exit::Ok);
    }
    let request = LogoutVolumeRequest {
        volume: args.volume.clone(),
    };
    let answer = client::shards(global)?.logout_volume(request).await?.into_inner();
    console.show(&answered(answer.volume)?)?;
    console.note(format!("\nLog in again with: moorline volume login {}", args.volume))?;
    Ok(Exit::Ok)
}

/// Asks the person at the terminal.
fn is_meant(volume: &str, console: &mut Console<'_>) -> Result<bool, Error> {
    if console.format == Format::Json || !io::stdin().is_terminal() {
        return Err(Error::Usage(format!(
            "logging {volume} out makes its shard hold its jobs: give --yes if that is meant"
        )));
    }
    write!(
        console.err,
        "Log {volume} out? Its shard holds its jobs until somebody logs in. [y/N] "
    )?;
    console.err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|source| Error::File {
        doing: "read the answer".to_owned(),
        source,
    })?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
