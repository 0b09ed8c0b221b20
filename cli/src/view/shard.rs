//! Shards with their logins.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    names, table, time,
    view::{Diagnostics, Preflight, set, shown},
};

/// A shard.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `Shard`, described there")]
pub struct Shard {
    pub queue: String,
    pub shard_index: i32,
    pub status: Option<String>,
    pub hash_modulo: i32,
    pub worker_hostname: Option<String>,
    pub last_heartbeat_at: Option<String>,
    pub volume: Option<Volume>,
    pub queued_jobs: i64,
    pub running_jobs: i64,
    pub latest_run_id: Option<String>,
    pub latest_run_status: Option<String>,
    pub latest_preflight: Option<Preflight>,
    /// `last_heartbeat_at` for people.
    #[serde(skip)]
    heard: String,
}

impl From<v1::Shard> for Shard {
    fn from(shard: v1::Shard) -> Self {
        Self {
            status: names::of::<v1::ShardStatus>(shard.status),
            last_heartbeat_at: time::rfc3339(shard.last_heartbeat_at.as_ref()),
            heard: time::short(shard.last_heartbeat_at.as_ref()),
            latest_run_status: names::of::<v1::RunStatus>(shard.latest_run_status),
            volume: shard.volume.map(Volume::from),
            latest_preflight: shard.latest_preflight.map(Preflight::from),
            queue: shard.queue,
            shard_index: shard.shard_index,
            hash_modulo: shard.hash_modulo,
            worker_hostname: set(shard.worker_hostname),
            queued_jobs: shard.queued_jobs,
            running_jobs: shard.running_jobs,
            latest_run_id: set(shard.latest_run_id),
        }
    }
}

impl Shard {
    fn volume(&self, of: impl Fn(&Volume) -> Option<String>) -> String {
        shown(self.volume.as_ref().and_then(of))
    }

    fn preflight(&self, of: impl Fn(&Preflight) -> Option<String>) -> String {
        shown(self.latest_preflight.as_ref().and_then(of))
    }
}

/// A login.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `AuthVolume`, described there")]
pub struct Volume {
    pub name: String,
    pub provider: Option<String>,
    pub status: Option<String>,
    pub worker_affinity: Option<String>,
    pub owner_worker: Option<String>,
    pub generation: i64,
    pub last_verified_at: Option<String>,
    pub notes: Option<String>,
    pub diagnostics: Option<Diagnostics>,
}

impl From<v1::AuthVolume> for Volume {
    fn from(volume: v1::AuthVolume) -> Self {
        Self {
            provider: names::of::<v1::Provider>(volume.provider),
            status: names::of::<v1::VolumeStatus>(volume.status),
            last_verified_at: time::rfc3339(volume.last_verified_at.as_ref()),
            diagnostics: volume.diagnostics.map(Diagnostics::from),
            name: volume.name,
            worker_affinity: set(volume.worker_affinity),
            owner_worker: set(volume.owner_worker),
            generation: volume.generation,
            notes: set(volume.notes),
        }
    }
}

impl View for Shard {
    fn table(&self, color: bool) -> String {
        table::card(
            [
                ("queue", self.queue.clone()),
                ("status", shown(self.status.as_ref())),
                ("hash modulo", self.hash_modulo.to_string()),
                ("volume", self.volume(|volume| Some(volume.name.clone()))),
                ("login", self.volume(|volume| volume.status.clone())),
                ("last verified", self.volume(|volume| volume.last_verified_at.clone())),
                ("generation", self.volume(|volume| Some(volume.generation.to_string()))),
                ("worker", self.volume(|volume| volume.owner_worker.clone())),
                ("host", shown(self.worker_hostname.as_ref())),
                ("last heard", self.heard.clone()),
                ("preflight", self.preflight(|check| check.status.clone())),
                ("found", self.preflight(|check| check.rung.clone())),
                ("message", self.preflight(|check| check.message.clone())),
                ("queued jobs", self.queued_jobs.to_string()),
                ("running jobs", self.running_jobs.to_string()),
                ("latest run", shown(self.latest_run_id.as_ref())),
                ("its status", shown(self.latest_run_status.as_ref())),
                ("notes", self.volume(|volume| volume.notes.clone())),
            ],
            color,
        )
    }
}

/// All shards.
#[derive(Debug, Serialize)]
pub struct Shards {
    /// In the order of their numbers.
    pub shards: Vec<Shard>,
}

impl View for Shards {
    fn table(&self, color: bool) -> String {
        let rows = self.shards.iter().map(|shard| {
            [
                shard.queue.clone(),
                shown(shard.status.as_ref()),
                shard.volume(|volume| Some(volume.name.clone())),
                shard.volume(|volume| volume.status.clone()),
                shard.preflight(|check| check.status.clone()),
                shard.volume(|volume| volume.owner_worker.clone()),
                shard.queued_jobs.to_string(),
                shard.running_jobs.to_string(),
                shard.heard.clone(),
            ]
        });
        table::grid(
            [
                "QUEUE",
                "STATUS",
                "VOLUME",
                "LOGIN",
                "PREFLIGHT",
                "WORKER",
                "QUEUED",
                "RUNNING",
                "LAST HEARD",
            ],
            rows,
            color,
        )
    }
}
