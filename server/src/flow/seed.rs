//! The first start: shards, routing and the policy of skills come from the settings once; afterwards the database wins.

use diesel_async::AsyncConnection as _;
use tracing::{info, warn};

use super::{Error, Flow, shard, skill};
use crate::{db::shards, domain::skill::Policy};

/// Seeds an empty database with `count` shards, and every database that lacks them with Gemini's queue and a policy of skills. In a seeded one a
/// difference from the settings is logged.
///
/// # Errors
///
/// `VOLUME_TAKEN`; when the database fails.
pub async fn seed(flow: &Flow, count: u32, volume_prefix: &str, gemini_volume: &str, skills: &Policy) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    let modulo = i32::try_from(count.max(1)).unwrap_or(i32::MAX);
    connection
        .transaction(async |connection| {
            skill::seed(connection, skills).await?;
            if shards::seed_hash_modulo(connection, modulo).await? == 0 {
                // Of servers that start at the same moment one comes second here, and sees what the other has made.
                let stored = shards::lock_hash_modulo(connection).await?;
                if stored != modulo {
                    warn!(stored, configured = modulo, "CODEX_SHARDS differs from the database, which wins");
                }
                return shard::add_gemini(connection, stored, gemini_volume).await;
            }
            for index in 0..modulo {
                shard::add(connection, index, modulo, volume_prefix).await?;
            }
            shard::add_gemini(connection, modulo, gemini_volume).await?;
            info!(shards = modulo, "database seeded");
            Ok::<_, Error>(())
        })
        .await
}
