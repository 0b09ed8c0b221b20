//! Times that the worker keeps, and whether they fit together.

use std::time::Duration;

use super::{Error, args::invalid};
use crate::stage::STOP_GRACE;

/// What jobs that are told to stop may take, before they are given up.
pub const STOP_LIMIT: Duration = STOP_GRACE.saturating_mul(3);

/// Times that the worker keeps towards the server. The server's own come with its Welcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Timers {
    /// Longest time to connect (`MOORLINE_CONNECT_SECONDS`, 5).
    pub connect: Duration,
    /// Longest time from dialling to the welcome (`MOORLINE_WELCOME_SECONDS`, 15).
    pub welcome: Duration,
    /// Longest pause before dialling again, at first (`MOORLINE_REDIAL_SECONDS`, 5).
    pub redial: Duration,
    /// Longest pause before dialling again, later (`MOORLINE_REDIAL_LATE_SECONDS`, 30).
    pub redial_late: Duration,
    /// From when on it is later (`MOORLINE_REDIAL_LATE_AFTER_SECONDS`, 120).
    pub redial_late_after: Duration,
    /// Longest time of one call that moves an artifact, or a piece of output (`MOORLINE_TRANSFER_SECONDS`, 300).
    pub transfer: Duration,
    /// Part of its lease after which a worker that can't renew it stops its jobs, in percent (`MOORLINE_SELF_FENCE_PERCENT`, 80).
    pub self_fence_percent: u32,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            welcome: Duration::from_secs(15),
            redial: Duration::from_secs(5),
            redial_late: Duration::from_secs(30),
            redial_late_after: Duration::from_secs(120),
            transfer: Duration::from_secs(300),
            self_fence_percent: 80,
        }
    }
}

impl Timers {
    /// How long after its last renewal a lease is relied on.
    pub fn self_fence(&self, lease: Duration) -> Duration {
        lease.mul_f64(f64::from(self.self_fence_percent) / 100.0)
    }

    /// Checks the settings against each other.
    pub(super) fn checked(self) -> Result<Self, Error> {
        if self.connect >= self.welcome {
            let (welcome, connect) = (self.welcome.as_secs(), self.connect.as_secs());
            return Err(invalid(
                "MOORLINE_WELCOME_SECONDS",
                format!("is {welcome}, and connecting alone may take {connect}: set more than MOORLINE_CONNECT_SECONDS"),
            ));
        }
        if self.redial > self.redial_late {
            let (redial, late) = (self.redial.as_secs(), self.redial_late.as_secs());
            return Err(invalid(
                "MOORLINE_REDIAL_SECONDS",
                format!("is {redial}, more than the {late} of MOORLINE_REDIAL_LATE_SECONDS: pauses grow, so set less here, or more there"),
            ));
        }
        Ok(self)
    }

    /// What doesn't fit between this worker's times and those of the server, each with what to do.
    pub fn misfits(&self, ping_interval: Duration, ping_timeout: Duration, lease: Duration) -> Vec<String> {
        let fence = self.self_fence(lease);
        let mut misfits = Vec::new();
        if ping_interval >= ping_timeout {
            misfits.push(format!(
                "the server wants a ping every {ping_interval:?} and calls a line dead after {ping_timeout:?}: \
                 lines will be lost for nothing; set the server's ping interval to a third of its timeout"
            ));
        }
        if ping_timeout >= fence {
            misfits.push(format!(
                "a dead line is noticed after {ping_timeout:?}, but this worker stops its jobs {fence:?} after its lease ({lease:?}) was renewed: \
                 one lost line will cost jobs; set a longer lease or a shorter ping timeout on the server"
            ));
        }
        if lease - fence < STOP_LIMIT {
            let between = lease - fence;
            misfits.push(format!(
                "this worker stops its jobs {between:?} before its lease of {lease:?} ends, and stopping may take {STOP_LIMIT:?}: \
                 another worker may begin before they have stopped; set a longer lease on the server, or a smaller MOORLINE_SELF_FENCE_PERCENT"
            ));
        }
        misfits
    }
}
