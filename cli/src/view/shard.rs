//! Shards with their logins.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    names,
    table::{self, one_line},
    time,
    view::{Preflight, Volume, set, shown},
};

/// A shard.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `Shard`, described there")]
pub struct Shard {
    pub queue: String,
    pub shard_index: Option<u32>,
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
    pub hold_reason: Option<String>,
    pub drain_reason: Option<String>,
    pub drained_at: Option<String>,
    pub worker_name: Option<String>,
    pub routed: bool,
}

impl From<v1::Shard> for Shard {
    fn from(shard: v1::Shard) -> Self {
        Self {
            status: names::of::<v1::ShardStatus>(shard.status),
            last_heartbeat_at: time::rfc3339(shard.last_heartbeat_at.as_ref()),
            latest_run_status: names::of::<v1::RunStatus>(shard.latest_run_status),
            volume: shard.volume.map(Volume::from),
            latest_preflight: shard.latest_preflight.map(Preflight::from),
            queue: shard.queue,
            // A server from before Gemini sends -1 for none.
            shard_index: shard.shard_index.and_then(|index| u32::try_from(index).ok()),
            hash_modulo: shard.hash_modulo,
            worker_hostname: set(shard.worker_hostname),
            queued_jobs: shard.queued_jobs,
            running_jobs: shard.running_jobs,
            latest_run_id: set(shard.latest_run_id),
            hold_reason: names::of::<v1::HoldReason>(shard.hold_reason),
            drain_reason: set(shard.drain_reason),
            drained_at: time::rfc3339(shard.drained_at.as_ref()),
            worker_name: set(shard.worker_name),
            routed: shard.routed,
        }
    }
}

impl Shard {
    fn volume(&self, of: impl Fn(&Volume) -> Option<String>) -> String {
        shown(self.volume.as_ref().and_then(of))
    }

    /// One line for people who watch, without what changes all the time.
    pub fn line(&self) -> String {
        let [status, held, worker] = [&self.status, &self.hold_reason, &self.worker_name].map(|text| shown(text.as_ref()));
        let held = set(held).map(|reason| format!(", held: {reason}"));
        let login = self.volume.as_ref().map(|volume| {
            let rung = volume.rung.as_ref().map(|rung| format!(" ({rung})"));
            let why = volume.status_message.as_ref().map(|why| format!(": {why}"));
            let status = shown(volume.status.as_ref());
            format!("; {} {status}{}{}", volume.name, shown(rung), shown(why))
        });
        let worker = set(worker).map_or_else(|| "no worker".to_owned(), |worker| format!("worker {worker}"));
        let jobs = format!("{} queued, {} running", self.queued_jobs, self.running_jobs);
        one_line(&format!("{} {status}{}; {worker}; {jobs}{}", self.queue, shown(held), shown(login)))
    }
}

impl View for Shard {
    fn table(&self, color: bool) -> String {
        let routed = if self.routed {
            "yes"
        } else {
            "no, beyond the shard count: it serves the runs that it has"
        };
        let mut parts = vec![table::card(
            [
                ("queue", self.queue.clone()),
                ("status", shown(self.status.as_ref())),
                ("jobs are held", shown(self.hold_reason.as_ref())),
                ("drained", time::plain(self.drained_at.as_deref())),
                ("because", shown(self.drain_reason.as_ref())),
                ("new runs", routed.to_owned()),
                ("hash modulo", self.hash_modulo.to_string()),
                ("worker", shown(self.worker_name.as_ref())),
                ("host", shown(self.worker_hostname.as_ref())),
                ("last heard", time::plain(self.last_heartbeat_at.as_deref())),
                ("queued jobs", self.queued_jobs.to_string()),
                ("running jobs", self.running_jobs.to_string()),
                ("latest run", shown(self.latest_run_id.as_ref())),
                ("its status", shown(self.latest_run_status.as_ref())),
            ],
            color,
        )];
        parts.extend(self.volume.as_ref().map(|volume| volume.table(color)));
        parts.extend(self.latest_preflight.as_ref().map(|check| table::card(check.rows(), color)));
        parts.join("\n\n")
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
                shown(shard.hold_reason.as_ref()),
                if shard.routed { "yes" } else { "no" }.to_owned(),
                shard.volume(|volume| Some(volume.name.clone())),
                shard.volume(|volume| volume.status.clone()),
                shard.volume(|volume| volume.rung.clone()),
                shown(shard.worker_name.as_ref()),
                shard.queued_jobs.to_string(),
                shard.running_jobs.to_string(),
                time::plain(shard.last_heartbeat_at.as_deref()),
            ]
        });
        table::grid(
            [
                "QUEUE",
                "STATUS",
                "HELD",
                "NEW RUNS",
                "VOLUME",
                "LOGIN",
                "FOUND",
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
