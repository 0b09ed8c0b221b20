//! Workers.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    names, table, time,
    view::{set, shown},
};

/// A worker's process.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `Worker`, described there")]
pub struct Worker {
    pub name: String,
    pub status: Option<String>,
    pub instance_id: String,
    pub hostname: String,
    pub version: String,
    pub queues: Vec<String>,
    pub slots: i32,
    pub running_jobs: i32,
    pub volume: Option<String>,
    pub server: Option<String>,
    pub connected_at: Option<String>,
    pub last_heartbeat_at: Option<String>,
    /// `last_heartbeat_at` for people.
    #[serde(skip)]
    heard: String,
}

impl From<v1::Worker> for Worker {
    fn from(worker: v1::Worker) -> Self {
        Self {
            status: names::of::<v1::WorkerStatus>(worker.status),
            connected_at: time::rfc3339(worker.connected_at.as_ref()),
            last_heartbeat_at: time::rfc3339(worker.last_heartbeat_at.as_ref()),
            heard: time::short(worker.last_heartbeat_at.as_ref()),
            name: worker.name,
            instance_id: worker.instance_id,
            hostname: worker.hostname,
            version: worker.version,
            queues: worker.queues,
            slots: worker.slots,
            running_jobs: worker.running_jobs,
            volume: set(worker.volume),
            server: set(worker.server),
        }
    }
}

impl Worker {
    /// What a card of it says.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("worker", self.name.clone()),
            ("status", shown(self.status.as_ref())),
            ("host", self.hostname.clone()),
            ("version", self.version.clone()),
            ("queues", self.queues.join(", ")),
            ("jobs", format!("{} of {}", self.running_jobs, self.slots)),
            ("volume", shown(self.volume.as_ref())),
            ("server", shown(self.server.as_ref())),
            ("connected", time::plain(self.connected_at.as_deref())),
            ("last heard", time::plain(self.last_heartbeat_at.as_deref())),
        ]
    }
}

/// All workers.
#[derive(Debug, Serialize)]
pub struct Workers {
    /// In the order of their names.
    pub workers: Vec<Worker>,
}

impl View for Workers {
    fn table(&self, color: bool) -> String {
        let rows = self.workers.iter().map(|worker| {
            [
                worker.name.clone(),
                shown(worker.status.as_ref()),
                worker.hostname.clone(),
                worker.version.clone(),
                worker.queues.join(","),
                format!("{}/{}", worker.running_jobs, worker.slots),
                shown(worker.volume.as_ref()),
                shown(worker.server.as_ref()),
                worker.heard.clone(),
            ]
        });
        table::grid(
            [
                "NAME",
                "STATUS",
                "HOST",
                "VERSION",
                "QUEUES",
                "JOBS",
                "VOLUME",
                "SERVER",
                "LAST HEARD",
            ],
            rows,
            color,
        )
    }
}

/// A worker that drains.
#[derive(Debug, Serialize)]
pub struct Drained {
    /// Its name.
    pub worker_name: String,
    /// Jobs that it still has to finish.
    pub running_jobs: i32,
}

impl View for Drained {
    fn table(&self, color: bool) -> String {
        table::card(
            [
                ("worker", self.worker_name.clone()),
                ("status", "draining".to_owned()),
                ("running jobs", self.running_jobs.to_string()),
            ],
            color,
        )
    }
}
