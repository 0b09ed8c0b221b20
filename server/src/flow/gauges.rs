//! How the whole fleet is, read for a scrape. Several servers tell the same of it: whoever looks takes the largest.

use std::time::Duration;

use chrono::{DateTime, Utc};
use strum::VariantArray as _;
use tokio::{sync::Mutex, time::Instant};

use super::{Error, Flow};
use crate::{
    db::{
        gauges, runs,
        shards::{self, Shard},
        volumes::Volume,
    },
    domain::{shard, volume},
    metrics,
};

/// For so long what was read is not read again, however many scrape.
const FRESH: Duration = Duration::from_secs(1);

/// When the gauges were last read; none before.
#[derive(Debug, Default)]
pub struct Gauges(Mutex<Option<Instant>>);

impl Gauges {
    /// Sets the gauges, unless that was done just now. A database that doesn't answer is a value, too.
    pub async fn read(&self, flow: &Flow) {
        let mut read = self.0.lock().await;
        if read.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let up = match set(flow).await {
            Ok(()) => 1.0,
            Err(error) => {
                tracing::warn!(%error, "the state of the fleet could not be read for a scrape");
                0.0
            }
        };
        metrics::DATABASE.set(up, []);
        *read = Some(Instant::now());
    }
}

async fn set(flow: &Flow) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    for queue in gauges::queues(&mut connection).await? {
        let name = || queue.queue.clone().into();
        for (state, count) in [("ready", queue.ready), ("held", queue.held), ("later", queue.later)] {
            metrics::QUEUE_DEPTH.set(count as f64, [name(), state.into()]);
        }
        for (status, count) in [("offered", queue.offered), ("running", queue.running)] {
            metrics::LEASED.set(count as f64, [name(), status.into()]);
        }
        metrics::QUEUE_AGE.set(queue.oldest, [name()]);
    }
    let counts = gauges::counts(&mut connection, flow.timers.server_timeout.as_secs_f64()).await?;
    metrics::WORKERS.set(counts.workers as f64, []);
    metrics::SERVERS.set(counts.servers as f64, []);
    let now = runs::now(&mut connection).await?;
    for (shard, volume) in shards::with_volumes(&mut connection, None).await? {
        set_shard(&shard, &volume, now);
    }
    drop(connection);
    let pool = flow.pool.status();
    let open = pool.size;
    for (state, count) in [("open", open), ("idle", pool.available), ("waiting", pool.waiting)] {
        metrics::POOL.set(count as f64, [state.into()]);
    }
    Ok(())
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
    if let Some(free) = seen.get("free_bytes").and_then(serde_json::Value::as_f64) {
        metrics::VOLUME_FREE.set(free, [name()]);
    }
}
