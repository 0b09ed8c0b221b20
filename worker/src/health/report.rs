//! What the endpoint answers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::time::Instant;

use super::Vitals;
use crate::link::Line;

/// How it stands with a worker. Times that have passed are in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether its stream is live.
    pub live: bool,
    /// Name of the worker.
    pub worker: String,
    /// Id of its process; none while it still checks what it needs.
    pub instance: Option<String>,
    /// `starting`, `down`, `standing_by` or `live`.
    pub stream: String,
    /// Why the stream isn't live.
    pub why: Option<String>,
    /// Id of the session.
    pub session: Option<String>,
    /// Since when the stream is what it is.
    pub since: Option<DateTime<Utc>>,
    /// How long ago the server last answered a ping.
    pub last_pong_age_ms: Option<u64>,
    /// How long ago the server last renewed the worker's lease, as far as the worker knows.
    pub lease_age_ms: Option<u64>,
    /// Jobs that haven't ended.
    pub jobs_running: usize,
    /// Bytes of its spool.
    pub spool_bytes: u64,
    /// Whether its disk has taken the spool's last write.
    pub spool_ok: bool,
    /// Whether it takes nothing new.
    pub draining: bool,
}

impl Vitals {
    /// How it stands now.
    pub fn report(&self) -> Report {
        let inner = &self.0;
        let load = *inner.load.borrow();
        let mut report = Report {
            live: false,
            worker: inner.worker.clone(),
            instance: None,
            stream: "starting".to_owned(),
            why: Some("the worker still checks what it needs, or waits for its spool: see its log".to_owned()),
            session: None,
            since: None,
            last_pong_age_ms: None,
            lease_age_ms: None,
            jobs_running: load.jobs,
            spool_bytes: 0,
            spool_ok: true,
            draining: load.draining,
        };
        let Some(serving) = inner.serving.get() else {
            return report;
        };
        let (status, usage) = (serving.link.status(), serving.spool.usage());
        report.instance = Some(serving.instance_id.clone());
        report.stream = status.line.to_string();
        report.since = Some(status.since);
        report.last_pong_age_ms = status.last_pong.map(age);
        report.lease_age_ms = status.renewed.map(age);
        (report.spool_bytes, report.spool_ok) = (usage.bytes, !usage.failing);
        (report.live, report.why, report.session) = match status.line {
            Line::Live { session_id } => (true, None, Some(session_id)),
            Line::Down { why } | Line::StandingBy { why } => (false, Some(why), None),
        };
        report
    }
}

fn age(at: Instant) -> u64 {
    u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)
}
