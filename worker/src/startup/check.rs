//! One check.

use std::{future::Future, time::Duration};

use moorline_proto::v1::StartupCheck;
use tokio::time::Instant;

/// What a check has found, and whether it stops the start where it has failed.
pub(super) struct Check {
    pub(super) found: StartupCheck,
    stops: bool,
}

impl Check {
    /// One that took so long.
    pub(super) fn new(mut found: StartupCheck, took: Duration) -> Self {
        found.duration = took.try_into().ok();
        Self { found, stops: true }
    }

    /// One that took no time to speak of.
    pub(super) fn at_once(found: StartupCheck) -> Self {
        Self::new(found, Duration::ZERO)
    }

    /// The same, which stops the start or doesn't.
    pub(super) fn stopping(self, stops: bool) -> Self {
        Self { stops, ..self }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.found.ok
    }

    pub(super) fn stops(&self) -> bool {
        self.stops && !self.found.ok
    }

    /// One line of the log.
    pub(super) fn log(&self) {
        let StartupCheck { name, ok, detail, .. } = &self.found;
        let duration = self.found.duration.unwrap_or_default();
        let duration_ms = duration.seconds * 1000 + i64::from(duration.nanos) / 1_000_000;
        match ok {
            true => tracing::info!(check = %name, ok, %detail, duration_ms, "startup check passed"),
            false => tracing::error!(check = %name, ok, %detail, duration_ms, "startup check failed"),
        }
    }
}

/// Makes a check and measures it.
pub(super) async fn timed(check: impl Future<Output = StartupCheck>) -> Check {
    let began = Instant::now();
    let found = check.await;
    Check::new(found, began.elapsed())
}

pub(super) fn passed(name: &str, detail: impl Into<String>) -> StartupCheck {
    found(name, true, detail)
}

pub(super) fn missing(name: &str, detail: impl Into<String>) -> StartupCheck {
    found(name, false, detail)
}

fn found(name: &str, ok: bool, detail: impl Into<String>) -> StartupCheck {
    StartupCheck {
        name: name.to_owned(),
        ok,
        detail: detail.into(),
        duration: None,
    }
}
