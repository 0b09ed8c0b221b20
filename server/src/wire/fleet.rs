//! Workers as operators see them.

use moorline_proto::v1;

use super::timestamp;
use crate::flow::fleet::Seen;

/// A worker as a message.
pub fn message(seen: Seen) -> v1::Worker {
    let status = match (seen.connected, seen.draining) {
        (false, _) => v1::WorkerStatus::Away,
        (true, true) => v1::WorkerStatus::Draining,
        (true, false) => v1::WorkerStatus::Connected,
    };
    v1::Worker {
        name: seen.name,
        status: status.into(),
        instance_id: seen.instance_id.to_string(),
        hostname: seen.hostname,
        version: seen.version,
        queues: seen.queues,
        slots: seen.slots,
        running_jobs: i32::try_from(seen.running_jobs).unwrap_or(i32::MAX),
        volume: seen.volume.unwrap_or_default(),
        server: seen.server.filter(|_| seen.connected).unwrap_or_default(),
        connected_at: Some(timestamp(seen.connected_at)),
        last_heartbeat_at: Some(timestamp(seen.last_heartbeat_at)),
    }
}
