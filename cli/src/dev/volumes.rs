//! The shards' volumes: made when missing, and logged in when there is a key.

use anyhow::Context as _;
use futures::future::try_join_all;
use moorline_proto::v1::{self, ListShardsRequest, VolumeStatus, shard_service_client::ShardServiceClient};
use moorline_worker::{
    config::{Config, GEMINI_QUEUE},
    engine::Engine,
    login,
};
use secrecy::SecretString;
use tonic::transport::Endpoint;

use crate::{console::Console, error::Error};

/// A shard and its volume, as the database has them: after the first start it wins over the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardVolume {
    /// Such as `codex-0`.
    pub queue: String,
    /// Such as `codex_auth_0`.
    pub volume: String,
    /// What its worker's check said of a login that can't be used, with the command that mends it.
    pub trouble: Option<String>,
}

/// Asks the server for its shards: those of Codex and, where it is asked for, Gemini's.
pub async fn shards(endpoint: &str, gemini: bool) -> Result<Vec<ShardVolume>, Error> {
    let channel = Endpoint::from_shared(endpoint.to_owned())
        .context("the server's address can't be dialled")?
        .connect_lazy();
    let shards = ShardServiceClient::new(channel)
        .list_shards(ListShardsRequest {})
        .await?
        .into_inner()
        .shards;
    let named = |shard: v1::Shard| {
        let volume = shard.volume.ok_or(Error::Incomplete("volume"))?;
        let unusable = volume.status() != VolumeStatus::Ready;
        let checked = shard.latest_preflight.map(|check| check.message);
        Ok(ShardVolume {
            queue: shard.queue,
            volume: volume.name,
            trouble: checked.filter(|message| unusable && !message.is_empty()),
        })
    };
    let asked_for = |shard: &v1::Shard| gemini || shard.shard_index.is_some_and(|index| index >= 0);
    shards.into_iter().filter(asked_for).map(named).collect()
}

/// Whether the shards are those that a new database would have.
pub fn are_as_asked(shards: &[ShardVolume], count: u32, prefix: &str) -> bool {
    let wanted = (0..count).map(|n| (format!("codex-{n}"), format!("{prefix}{n}")));
    let codex = shards.iter().filter(|shard| shard.queue != GEMINI_QUEUE);
    codex.map(|shard| (shard.queue.clone(), shard.volume.clone())).eq(wanted)
}

/// Makes the shards' volumes that are missing, and logs all of them in when there is a key. Each takes a few containers, so they are
/// prepared side by side.
pub async fn prepare(
    engine: &dyn Engine,
    worker: &Config,
    shards: &[ShardVolume],
    key: Option<&SecretString>,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let prepared = try_join_all(shards.iter().map(|shard| prepare_one(engine, worker, shard, key))).await?;
    prepared.into_iter().flatten().try_for_each(|news| console.note(news))
}

/// Prepares a shard's volume; returns what is new about it.
async fn prepare_one(engine: &dyn Engine, worker: &Config, shard: &ShardVolume, key: Option<&SecretString>) -> Result<Vec<String>, Error> {
    let ShardVolume { queue, volume, .. } = shard;
    let mut news = Vec::new();
    let found = engine.volume(volume).await;
    if found.with_context(|| format!("can't look up the volume {volume}"))?.is_none() {
        let created = engine.create_volume(volume, &worker.job_user).await;
        created.with_context(|| format!("can't make the volume {volume}"))?;
        news.push(format!("The volume {volume} of {queue} is new."));
    }
    // The key is for Codex.
    if let Some(key) = key.filter(|_| queue != GEMINI_QUEUE) {
        let logged_in = login::with_api_key(engine, worker, volume, key).await;
        logged_in.with_context(|| format!("can't log in to the volume {volume}"))?;
        news.push(format!("The volume {volume} of {queue} is logged in with the API key."));
    }
    Ok(news)
}

#[cfg(test)]
mod tests {
    use moorline_worker::{config::Config, engine::process::ProcessEngine};

    use super::*;
    use crate::console::Format;

    fn shard(n: u32) -> ShardVolume {
        ShardVolume {
            queue: format!("codex-{n}"),
            volume: format!("codex_auth_{n}"),
            trouble: None,
        }
    }

    #[test]
    fn shards_of_an_older_start_are_noticed() {
        let shards = [shard(0), shard(1)];
        assert!(are_as_asked(&shards, 2, "codex_auth_"));
        assert!(!are_as_asked(&shards, 3, "codex_auth_"));
        assert!(!are_as_asked(&shards, 2, "other_"));
        // Gemini's is none of theirs.
        let gemini = ShardVolume {
            queue: GEMINI_QUEUE.to_owned(),
            volume: "gemini_auth".to_owned(),
            trouble: None,
        };
        assert!(are_as_asked(&[shard(0), shard(1), gemini], 2, "codex_auth_"));
    }

    #[tokio::test]
    async fn a_missing_volume_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (volumes, containers) = (folder.path().join("volumes"), folder.path().join("containers"));
        let engine = ProcessEngine::new(&volumes, &containers, "1000:1000").expect("an engine");
        let config = Config::try_parse_from(["moorline-worker", "--job-user", "1000:1000"]).expect("settings");

        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console::new(&mut out, &mut err, Format::Table);
        prepare(&engine, &config, &[shard(0)], None, &mut console).await.expect("a volume");
        prepare(&engine, &config, &[shard(0)], None, &mut console)
            .await
            .expect("the same volume");
        assert_eq!(String::from_utf8_lossy(&err), "The volume codex_auth_0 of codex-0 is new.\n");
        assert!(engine.volume("codex_auth_0").await.expect("an answer").is_some());
    }
}
