//! How the whole fleet is, read for a scrape. Several servers tell the same of it: whoever looks takes the largest.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use strum::VariantArray as _;
use tokio::{sync::Mutex, time::Instant};

use super::{Error, Flow};
use crate::{
    db::{
        Connection, gauges, runs,
        shards::{self, Shard},
        volumes::Volume,
    },
    domain::{shard, volume},
    metrics,
};

/// For so long what was read is not read again, however many scrape.
const FRESH: Duration = Duration::from_secs(1);

/// Longest that one statement may take: claims want the connections, too. And the first of a long queue are read by the index that has them in
/// their order, instead of the whole queue to be sorted. Compiling the statement would take longer than it does.
const STATEMENT: &str = "set local statement_timeout = '2s'; set local enable_sort = off; set local jit = off";

/// When the gauges were last begun to be read; none before.
#[derive(Debug, Default)]
pub struct Gauges(Arc<Mutex<Option<Instant>>>);

impl Gauges {
    /// Sets the gauges, unless that was done just now. A database that doesn't answer is a value, too.
    ///
    /// A scraper that gives up ends its wait, and not what was begun for it: the next one waits for that, instead of beginning it again beside it.
    pub async fn read(&self, flow: &Flow) {
        let mut read = Arc::clone(&self.0).lock_owned().await;
        if read.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        *read = Some(Instant::now());
        let flow = flow.clone();
        let reading = tokio::spawn(async move {
            let up = match set(&flow).await {
                Ok(()) => 1.0,
                Err(error) => {
                    tracing::warn!(%error, "the state of the fleet could not be read for a scrape");
                    0.0
                }
            };
            metrics::DATABASE.set(up, []);
            drop(read);
        });
        if let Err(error) = reading.await {
            tracing::error!(%error, "the state of the fleet could not be set for a scrape");
        }
    }
}

async fn set(flow: &Flow) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    connection
        .transaction(async |connection| {
            connection.batch_execute(STATEMENT).await?;
            set_fleet(connection, flow).await
        })
        .await?;
    drop(connection);
    let pool = flow.pool.status();
    let open = pool.size;
    for (state, count) in [("open", open), ("idle", pool.available), ("waiting", pool.waiting)] {
        metrics::POOL.set(count as f64, [state.into()]);
    }
    Ok(())
}

async fn set_fleet(connection: &mut Connection, flow: &Flow) -> Result<(), Error> {
    for queue in gauges::queues(connection).await? {
        let name = || queue.queue.clone().into();
        for (state, count) in [("ready", queue.ready), ("held", queue.held), ("later", queue.later)] {
            metrics::QUEUE_DEPTH.set(count as f64, [name(), state.into()]);
        }
        for (status, count) in [("offered", queue.offered), ("running", queue.running)] {
            metrics::LEASED.set(count as f64, [name(), status.into()]);
        }
        metrics::QUEUE_AGE.set(queue.oldest, [name()]);
    }
    let counts = gauges::counts(connection, flow.timers.server_timeout.as_secs_f64()).await?;
    metrics::WORKERS.set(counts.workers as f64, []);
    metrics::SERVERS.set(counts.servers as f64, []);
    let now = runs::now(connection).await?;
    let modulo = shards::hash_modulo(connection).await?.unwrap_or_default();
    for (shard, volume) in shards::with_volumes(connection, None).await? {
        let labels = [shard.queue_name.clone().into(), volume.name.clone().into()];
        metrics::SHARD_EXPECTED.set(if is_expected(&shard, modulo) { 1.0 } else { 0.0 }, labels);
        set_shard(&shard, &volume, now);
    }
    Ok(())
}

/// Whether a shard that is out of service, or its login, is anybody's concern: new runs go to it, and nobody has drained it. Gemini's queue is
/// there in every fleet, and counts once a worker has served it.
fn is_expected(shard: &Shard, modulo: i32) -> bool {
    let is_used = match shard.index() {
        Some(index) => index < modulo,
        None => shard.last_heartbeat_at.is_some(),
    };
    is_used && shard.drained_at.is_none()
}

fn set_shard(shard: &Shard, volume: &Volume, now: DateTime<Utc>) {
    let name = || volume.name.clone().into();
    let is = |so: bool| if so { 1.0 } else { 0.0 };
    for status in shard::Status::VARIANTS {
        let labels = [shard.queue_name.clone().into(), status.to_string().into()];
        metrics::SHARD.set(is(shard.status == *status), labels);
    }
    for status in volume::Status::VARIANTS {
        metrics::VOLUME.set(is(volume.status == *status), [name(), status.to_string().into()]);
    }
    let until = |at: DateTime<Utc>| (at - now).as_seconds_f64();
    if let Some(verified) = volume.last_verified_at {
        metrics::LOGIN_AGE.set(-until(verified), [name()]);
    }
    metrics::LOGIN_OPEN.set(volume.open_until.map_or(0.0, until).max(0.0), [name()]);
    metrics::COOLING.set(volume.cooling_until.map_or(0.0, until).max(0.0), [name()]);
    let Some(seen) = &volume.diagnostics else { return };
    let expires = seen
        .get("token_expires_at")
        .and_then(|at| at.as_str()?.parse::<DateTime<Utc>>().ok());
    if let Some(expires) = expires {
        metrics::TOKEN_EXPIRY.set(until(expires), [name()]);
    }
    // A check that could not look into the volume has seen no mode, and its 0 is no full disk.
    let looked = seen
        .get("mode")
        .and_then(serde_json::Value::as_str)
        .is_some_and(|mode| !mode.is_empty());
    if let Some(free) = seen
        .get("free_bytes")
        .and_then(serde_json::Value::as_f64)
        .filter(|free| looked || *free > 0.0)
    {
        metrics::VOLUME_FREE.set(free, [name()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_expected_where_runs_go() {
        let shard = |shard_index| Shard {
            queue_name: String::new(),
            shard_index,
            volume_name: String::new(),
            status: shard::Status::Offline,
            hash_modulo: 3,
            worker_hostname: None,
            last_heartbeat_at: None,
            drained_at: None,
            drain_reason: String::new(),
        };
        let now = Some(Utc::now());
        let served = |index| Shard {
            last_heartbeat_at: now,
            ..shard(index)
        };
        let drained = |index| Shard {
            drained_at: now,
            ..served(index)
        };
        let gemini = shards::NO_INDEX;
        for (shard, expected) in [
            (shard(0), true),
            (shard(2), true),
            (served(3), false),
            (drained(0), false),
            (shard(gemini), false),
            (served(gemini), true),
            (drained(gemini), false),
        ] {
            assert_eq!(is_expected(&shard, 3), expected, "{shard:?}");
        }
    }
}
