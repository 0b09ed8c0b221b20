//! Shards and their logins.

use moorline_proto::v1;

use super::{document, names::number, preflight, timestamp};
use crate::flow::view::ShardView;

/// A shard as a message.
pub fn message(view: &ShardView) -> v1::Shard {
    let volume = &view.volume;
    v1::Shard {
        queue: view.shard.queue_name.clone(),
        shard_index: view.shard.shard_index,
        status: v1::ShardStatus::from(view.shard.status).into(),
        hash_modulo: view.shard.hash_modulo,
        worker_hostname: view.shard.worker_hostname.clone().unwrap_or_default(),
        last_heartbeat_at: view.shard.last_heartbeat_at.map(timestamp),
        volume: Some(v1::AuthVolume {
            name: volume.name.clone(),
            provider: v1::Provider::from(volume.provider).into(),
            status: v1::VolumeStatus::from(volume.status).into(),
            worker_affinity: volume.worker_affinity.clone().unwrap_or_default(),
            owner_worker: view.owner_worker.clone().unwrap_or_default(),
            generation: volume.generation,
            last_verified_at: volume.last_verified_at.map(timestamp),
            notes: volume.notes.clone(),
            diagnostics: volume.diagnostics.clone().map(document::diagnostics_message),
            ..v1::AuthVolume::default()
        }),
        queued_jobs: view.count.as_ref().map_or(0, |count| count.queued),
        running_jobs: view.count.as_ref().map_or(0, |count| count.running),
        latest_run_id: view.latest_run.map(|(id, _)| id.to_string()).unwrap_or_default(),
        latest_run_status: number::<_, v1::RunStatus>(view.latest_run.map(|(_, status)| status)),
        latest_preflight: view.preflight.as_ref().map(preflight::message),
        ..v1::Shard::default()
    }
}
