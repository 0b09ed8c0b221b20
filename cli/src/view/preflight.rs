//! Login checks: one, one with what it led to, many.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    exit::Exit,
    names,
    table::{self, one_line},
    time,
    view::{Run, Volume, set, shown},
};

/// A login check.
#[derive(Debug, Serialize)]
pub struct Preflight {
    /// `passed`, `failed` or `skipped`.
    pub status: Option<String>,
    /// What exactly was found, such as `NOT_LOGGED_IN`.
    pub rung: Option<String>,
    /// One line; on failure with the remedy.
    pub message: Option<String>,
    /// Exit code of the CLI.
    pub exit_code: Option<i32>,
    /// When it ended.
    pub checked_at: Option<String>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// The volume.
    pub volume: Option<String>,
    /// The shard's queue.
    pub queue: Option<String>,
    /// The worker that checked.
    pub worker_name: Option<String>,
    /// After this long a rate-limited account may be used again.
    pub retry_after_seconds: Option<f64>,
    /// The run that it was made for; unset for one that was made for the volume alone.
    pub run_id: Option<String>,
}

impl From<v1::Preflight> for Preflight {
    fn from(check: v1::Preflight) -> Self {
        Self {
            status: names::of::<v1::PreflightStatus>(check.status),
            rung: names::of::<v1::PreflightRung>(check.rung),
            message: set(check.message),
            exit_code: check.exit_code,
            checked_at: time::rfc3339(check.checked_at.as_ref()),
            duration_seconds: check.duration.as_ref().map(time::seconds),
            volume: set(check.volume),
            queue: set(check.queue),
            worker_name: set(check.worker_name),
            retry_after_seconds: check.retry_after.as_ref().map(time::seconds),
            run_id: set(check.run_id),
        }
    }
}

impl Preflight {
    /// The exit code of a command that was to check.
    pub fn exit(&self) -> Exit {
        match self.status.as_deref() {
            Some("failed") => Exit::LoginBad,
            _ => Exit::Ok,
        }
    }

    /// Result and rung, such as `failed (EXPIRED)`.
    pub fn result(&self) -> String {
        let rung = self.rung.as_ref().map(|rung| format!(" ({rung})"));
        format!("{}{}", shown(self.status.as_ref()), shown(rung))
    }

    /// One line: the result and what was found.
    pub fn line(&self) -> String {
        one_line(&format!("{}: {}", self.result(), shown(self.message.as_ref())))
    }

    fn took(&self) -> String {
        shown(self.duration_seconds.map(|seconds| format!("{}ms", (seconds * 1e3).round())))
    }

    /// Names and values for a card.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("checked", time::plain(self.checked_at.as_deref())),
            ("result", shown(self.status.as_ref())),
            ("found", shown(self.rung.as_ref())),
            ("message", shown(self.message.as_ref())),
            ("by worker", shown(self.worker_name.as_ref())),
            ("took", self.took()),
            ("exit code", shown(self.exit_code)),
            ("retry after", shown(self.retry_after_seconds.map(|seconds| format!("{seconds}s")))),
            ("for run", shown(self.run_id.as_ref())),
        ]
    }
}

/// A check that was asked for, and the volume after it.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The check.
    pub preflight: Preflight,
    /// The volume after it.
    pub volume: Option<Volume>,
}

impl View for Checked {
    fn table(&self, color: bool) -> String {
        let mut parts = vec![table::card(self.preflight.rows(), color)];
        parts.extend(self.volume.as_ref().map(|volume| volume.table(color)));
        parts.join("\n\n")
    }
}

/// The check of the login that a run needs.
#[derive(Debug, Serialize)]
pub struct RunChecked {
    /// The check.
    pub preflight: Preflight,
    /// Whether the volume's last check was recent enough and stands.
    pub reused: bool,
    /// The run with it.
    pub run: Option<Run>,
}

impl View for RunChecked {
    fn table(&self, color: bool) -> String {
        let mut rows = self.preflight.rows();
        rows.insert(0, ("queue", shown(self.preflight.queue.as_ref())));
        rows.insert(1, ("volume", shown(self.preflight.volume.as_ref())));
        let reused = self.reused.then_some("yes, an earlier check is recent enough; --force checks anew");
        rows.push(("reused", shown(reused)));
        table::card(rows, color)
    }
}

/// Login checks.
#[derive(Debug, Serialize)]
pub struct Preflights {
    /// Newest first.
    pub preflights: Vec<Preflight>,
    /// For the checks after these; unset when there are none.
    pub next_page_token: Option<String>,
}

impl View for Preflights {
    fn table(&self, color: bool) -> String {
        if self.preflights.is_empty() {
            return "No login checks.".to_owned();
        }
        let rows = self.preflights.iter().map(|check| {
            let [status, rung, volume, worker, run, message] = [
                &check.status,
                &check.rung,
                &check.volume,
                &check.worker_name,
                &check.run_id,
                &check.message,
            ]
            .map(|text| shown(text.as_ref()));
            let at = time::plain(check.checked_at.as_deref());
            [at, status, rung, volume, worker, check.took(), run, message]
        });
        table::grid(
            ["CHECKED", "RESULT", "FOUND", "VOLUME", "WORKER", "TOOK", "RUN", "MESSAGE"],
            rows,
            color,
        )
    }
}
