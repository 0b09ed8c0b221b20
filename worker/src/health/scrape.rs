//! `GET /metrics`: what was counted, and how the worker is at this moment.

use axum::{extract::State, http::header, response::IntoResponse};
use chrono::Utc;
use moorline_proto::v1::{PreflightStatus, VolumeDiagnostics};
use moorline_telemetry::recorder;

use super::Vitals;
use crate::metrics;

pub(super) async fn metrics(State(vitals): State<Vitals>) -> impl IntoResponse {
    vitals.measure();
    ([(header::CONTENT_TYPE, recorder::CONTENT_TYPE)], recorder::render())
}

impl Vitals {
    fn measure(&self) {
        let report = self.report();
        let flag = |is: bool| if is { 1.0 } else { 0.0 };
        metrics::STREAM.set(flag(report.live), []);
        metrics::RUNNING.set(report.jobs_running as f64, []);
        metrics::SLOTS.set(self.0.slots as f64, []);
        metrics::SPOOL.set(report.spool_bytes as f64, []);
        metrics::SPOOL_OK.set(flag(report.spool_ok), []);
        metrics::DRAINING.set(flag(report.draining), []);
        for (metric, age) in [
            (metrics::PONG_AGE, report.last_pong_age_ms),
            (metrics::LEASE_AGE, report.lease_age_ms),
        ] {
            if let Some(age) = age {
                metric.set(age as f64 / 1000.0, []);
            }
        }
        if let Some(binding) = self.0.serving.get().and_then(|serving| serving.link.binding()) {
            let volume = || binding.volume.clone().into();
            let passed = binding.preflight.as_ref().map(|check| check.status() == PreflightStatus::Passed);
            metrics::LOGIN.set(flag(passed == Some(true)), [volume()]);
            let Some(seen) = &binding.diagnostics else { return };
            if let Some(free) = free(seen) {
                metrics::VOLUME_FREE.set(free as f64, [volume()]);
            }
            if let Some(expires) = &seen.token_expires_at {
                metrics::TOKEN_EXPIRY.set((expires.seconds - Utc::now().timestamp()) as f64, [volume()]);
            }
        }
    }
}

/// Bytes that are free where the volume lies, if that was seen: a check that could not look into the volume has seen no mode either,
/// and its 0 is no full disk.
fn free(seen: &VolumeDiagnostics) -> Option<i64> {
    (seen.free_bytes > 0 || !seen.mode.is_empty()).then_some(seen.free_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_was_not_looked_into_is_not_full() {
        let seen = |mode: &str, free_bytes| VolumeDiagnostics {
            mode: mode.to_owned(),
            free_bytes,
            ..VolumeDiagnostics::default()
        };
        assert_eq!(free(&seen("", 0)), None);
        assert_eq!((free(&seen("0700", 0)), free(&seen("0700", 9))), (Some(0), Some(9)));
    }
}
