//! Shards and their logins.

use moorline_proto::v1;

use super::{document, names::number, preflight, timestamp};
use crate::flow::view::ShardView;

/// A shard as a message.
pub fn message(view: &ShardView) -> v1::Shard {
    let shard = &view.shard;
    v1::Shard {
        queue: shard.queue_name.clone(),
        shard_index: shard.index(),
        status: v1::ShardStatus::from(shard.status).into(),
        hash_modulo: shard.index().map_or(0, |_| shard.hash_modulo),
        worker_hostname: shard.worker_hostname.clone().unwrap_or_default(),
        last_heartbeat_at: shard.last_heartbeat_at.map(timestamp),
        volume: Some(volume(view)),
        queued_jobs: view.count.as_ref().map_or(0, |count| count.queued),
        running_jobs: view.count.as_ref().map_or(0, |count| count.running),
        latest_run_id: view.latest_run.map(|(id, _)| id.to_string()).unwrap_or_default(),
        latest_run_status: number::<_, v1::RunStatus>(view.latest_run.map(|(_, status)| status)),
        latest_preflight: view.preflight.as_ref().map(preflight::message),
        hold_reason: number::<_, v1::HoldReason>(view.hold),
        drain_reason: shard.drain_reason.clone(),
        drained_at: shard.drained_at.map(timestamp),
        worker_name: view.owner_worker.clone().unwrap_or_default(),
        routed: view.routed,
    }
}

/// Its volume as a message.
pub fn volume(view: &ShardView) -> v1::AuthVolume {
    let volume = &view.volume;
    v1::AuthVolume {
        name: volume.name.clone(),
        provider: v1::Provider::from(volume.provider).into(),
        status: v1::VolumeStatus::from(volume.status).into(),
        worker_affinity: volume.worker_affinity.clone().unwrap_or_default(),
        owner_worker: view.owner_worker.clone().unwrap_or_default(),
        generation: volume.generation,
        last_verified_at: volume.last_verified_at.map(timestamp),
        notes: volume.notes.clone(),
        diagnostics: volume.diagnostics.clone().map(document::diagnostics_message),
        rung: number::<_, v1::PreflightRung>(volume.rung),
        status_message: volume.status_message.clone(),
        cooling_until: volume.cooling_until.map(timestamp),
        capacity: volume.capacity,
        fresh_until: volume.open_until.map(timestamp),
    }
}
