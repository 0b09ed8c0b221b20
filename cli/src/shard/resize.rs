//! `moorline shard resize`.

use moorline_proto::v1::SetShardCountRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Shards};

/// Route new runs over another number of shards. Runs keep the shard that they have.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many; shards that are missing are made, those beyond it serve the runs that they have.
    #[arg(value_parser = clap::value_parser!(i32).range(1..=1_024))]
    count: i32,
}

/// Sets the number of shards.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = SetShardCountRequest { count: args.count };
    let shards = client::shards(global)?.set_shard_count(request).await?.into_inner().shards;
    console.show(&Shards {
        shards: shards.into_iter().map(Into::into).collect(),
    })?;
    console.note("\nA new shard takes work once a worker holds its volume and its login has passed a check.")?;
    Ok(Exit::Ok)
}
