//! Auth volumes: one, one with what its worker saw, many.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    names, table, time,
    view::{Diagnostics, diagnostics, set, shown},
};

/// A login.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `AuthVolume`, described there")]
pub struct Volume {
    pub name: String,
    pub provider: Option<String>,
    pub status: Option<String>,
    pub rung: Option<String>,
    pub status_message: Option<String>,
    pub worker_affinity: Option<String>,
    pub owner_worker: Option<String>,
    pub generation: i64,
    pub capacity: i32,
    pub last_verified_at: Option<String>,
    pub fresh_until: Option<String>,
    pub cooling_until: Option<String>,
    pub notes: Option<String>,
    pub diagnostics: Option<Diagnostics>,
}

impl From<v1::AuthVolume> for Volume {
    fn from(volume: v1::AuthVolume) -> Self {
        Self {
            provider: names::of::<v1::Provider>(volume.provider),
            status: names::of::<v1::VolumeStatus>(volume.status),
            rung: names::of::<v1::PreflightRung>(volume.rung),
            last_verified_at: time::rfc3339(volume.last_verified_at.as_ref()),
            fresh_until: time::rfc3339(volume.fresh_until.as_ref()),
            cooling_until: time::rfc3339(volume.cooling_until.as_ref()),
            diagnostics: volume.diagnostics.map(Diagnostics::from),
            name: volume.name,
            status_message: set(volume.status_message),
            worker_affinity: set(volume.worker_affinity),
            owner_worker: set(volume.owner_worker),
            generation: volume.generation,
            capacity: volume.capacity,
            notes: set(volume.notes),
        }
    }
}

impl View for Volume {
    fn table(&self, color: bool) -> String {
        let affinity = self
            .worker_affinity
            .clone()
            .filter(|bound| self.owner_worker.as_ref() != Some(bound));
        let mut rows = vec![
            ("volume", self.name.clone()),
            ("provider", shown(self.provider.as_ref())),
            ("status", shown(self.status.as_ref())),
            ("known of it", shown(self.rung.as_ref())),
            ("why", shown(self.status_message.as_ref())),
            ("held by", shown(self.owner_worker.as_ref())),
            ("last held by", shown(affinity)),
            ("generation", self.generation.to_string()),
            ("jobs at once", shown(Some(self.capacity).filter(|jobs| *jobs > 0))),
            ("last verified", time::plain(self.last_verified_at.as_deref())),
            ("fresh until", time::plain(self.fresh_until.as_deref())),
            ("cooling until", time::plain(self.cooling_until.as_deref())),
        ];
        rows.extend(self.diagnostics.iter().flat_map(Diagnostics::rows));
        rows.push(("notes", shown(self.notes.as_ref())));
        table::card(rows, color)
    }
}

/// A volume with when its worker last described it.
#[derive(Debug, Serialize)]
pub struct VolumeDetail {
    /// The volume.
    #[serde(flatten)]
    pub volume: Volume,
    /// Its shard's queue.
    pub queue: Option<String>,
    /// When the server was told of the diagnostics.
    pub reported_at: Option<String>,
}

impl View for VolumeDetail {
    fn table(&self, color: bool) -> String {
        let card = table::card(
            [
                ("shard", shown(self.queue.as_ref())),
                ("described", time::plain(self.reported_at.as_deref())),
            ],
            color,
        );
        format!("{}\n\n{card}", self.volume.table(color)).trim_end().to_owned()
    }
}

/// A volume in a list.
#[derive(Debug, Serialize)]
pub struct ListedVolume {
    /// The volume.
    #[serde(flatten)]
    pub volume: Volume,
    /// Its shard's queue.
    pub queue: String,
}

/// All volumes.
#[derive(Debug, Serialize)]
pub struct Volumes {
    /// In the order of their shards.
    pub volumes: Vec<ListedVolume>,
}

impl View for Volumes {
    fn table(&self, color: bool) -> String {
        if self.volumes.is_empty() {
            return "No volumes.".to_owned();
        }
        let rows = self.volumes.iter().map(|listed| {
            let volume = &listed.volume;
            let [status, rung, worker] = [&volume.status, &volume.rung, &volume.owner_worker].map(|text| shown(text.as_ref()));
            [
                volume.name.clone(),
                status,
                rung,
                listed.queue.clone(),
                worker,
                volume.generation.to_string(),
                time::plain(volume.last_verified_at.as_deref()),
                time::plain(volume.fresh_until.as_deref()),
            ]
        });
        table::grid(
            [
                "VOLUME",
                "STATUS",
                "FOUND",
                "SHARD",
                "WORKER",
                "GENERATION",
                "LAST VERIFIED",
                "FRESH UNTIL",
            ],
            rows,
            color,
        )
    }
}

/// A volume that was cleaned up.
#[derive(Debug, Serialize)]
pub struct Cleaned {
    /// Bytes that are free now and were not before.
    pub freed_bytes: i64,
    /// The volume.
    pub volume: Option<Volume>,
}

impl View for Cleaned {
    fn table(&self, color: bool) -> String {
        let name = self.volume.as_ref().map(|volume| volume.name.clone());
        table::card([("volume", shown(name)), ("freed", diagnostics::bytes(self.freed_bytes))], color)
    }
}
