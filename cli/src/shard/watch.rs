//! `moorline shard watch`: a line for each change, until Ctrl-C.

use std::collections::HashMap;

use moorline_proto::v1::{self, shard_service_client::ShardServiceClient};
use tonic::{Status, Streaming, transport::Channel};

use crate::{
    args::Global,
    client,
    console::{Console, Format},
    error::Error,
    exit::Exit,
    resume::{self, Reconnect, Resumable},
    shard::answered,
    time,
};

/// Follow the shards: all of them at first, then each that changes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reconnect: Reconnect,
}

/// Follows the shards. It ends with an error alone, or from outside.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mut watch = Watch {
        shards: client::shards(global)?,
        told: HashMap::new(),
        console,
    };
    resume::read(&mut watch, args.reconnect.reconnect_for).await?;
    Ok(Exit::Ok)
}

/// The shards being followed.
struct Watch<'a, 'c> {
    shards: ShardServiceClient<Channel>,
    /// What was last told of each: a stream that is opened again begins with all of them, and a sign of life alone is no news to people.
    told: HashMap<String, String>,
    console: &'a mut Console<'c>,
}

impl Resumable for Watch<'_, '_> {
    type Item = v1::WatchShardsResponse;

    async fn open(&mut self) -> Result<Streaming<Self::Item>, Status> {
        Ok(self.shards.watch_shards(v1::WatchShardsRequest {}).await?.into_inner())
    }

    fn take(&mut self, item: Self::Item) -> Result<(), Error> {
        let shard = answered(item.shard)?;
        let text = match self.console.format {
            Format::Json => serde_json::to_string(&shard)?,
            Format::Table => shard.line(),
        };
        if self.told.get(&shard.queue) == Some(&text) {
            return Ok(());
        }
        match self.console.format {
            Format::Json => self.console.line(&text)?,
            Format::Table => self.console.line(format!("{}  {text}", time::now()))?,
        }
        self.told.insert(shard.queue, text);
        Ok(())
    }

    /// There are always shards.
    async fn is_complete(&mut self) -> Result<bool, Status> {
        Ok(false)
    }

    fn lost(&mut self, why: &str) -> Result<(), Error> {
        self.console.note(format!("connection lost ({why}), trying again"))
    }
}
