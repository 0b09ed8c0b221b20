//! Login checks.

use chrono::DateTime;
use moorline_proto::v1;

use super::{
    millis,
    names::{FromWire as _, number},
    time, timestamp,
};
use crate::{
    db::preflights::Row,
    domain::preflight::{Preflight, Rung, Status},
};

/// A stored check as a message.
pub fn message(row: &Row) -> v1::Preflight {
    v1::Preflight {
        checked_at: Some(timestamp(row.checked_at)),
        run_id: row.run_id.map(|id| id.to_string()).unwrap_or_default(),
        ..check_message(row.check())
    }
}

/// A check as a message, without its time.
pub fn check_message(check: Preflight) -> v1::Preflight {
    v1::Preflight {
        status: v1::PreflightStatus::from(check.status).into(),
        rung: number::<_, v1::PreflightRung>(check.rung),
        message: check.message,
        exit_code: check.exit_code,
        checked_at: None,
        duration: Some(super::duration(std::time::Duration::from_millis(check.duration_ms.unsigned_abs()))),
        volume: check.volume,
        queue: check.queue,
        worker_name: check.worker_name,
        retry_after: check
            .retry_after_ms
            .map(|after| super::duration(std::time::Duration::from_millis(after.unsigned_abs()))),
        run_id: String::new(),
    }
}

/// A check out of a message. An unspecified status is no pass: what isn't understood has failed.
pub fn check(wire: v1::Preflight) -> Preflight {
    Preflight {
        status: Status::from_wire(wire.status()).unwrap_or(Status::Failed),
        rung: Rung::from_wire(wire.rung()),
        exit_code: wire.exit_code,
        duration_ms: millis(wire.duration.as_ref()),
        // Microseconds, the database's own precision, or the same check would look like another.
        checked_at: time(wire.checked_at.as_ref()).and_then(|at| DateTime::from_timestamp_micros(at.timestamp_micros())),
        retry_after_ms: wire.retry_after.as_ref().map(|after| millis(Some(after))),
        message: wire.message,
        volume: wire.volume,
        queue: wire.queue,
        worker_name: wire.worker_name,
    }
}
