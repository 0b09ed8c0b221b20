//! How long the worker may still rely on its leases.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Timers;

/// Counts from the last renewal that the server has told of, whether or not there is a line: a server that answers pings and can't reach
/// its database renews nothing.
#[derive(Debug, Default)]
pub(super) struct LeaseClock {
    renewed: Option<Instant>,
    /// How long a renewal is relied on.
    relied_on: Duration,
    /// Set once the jobs were stopped for want of a renewal, until there is one.
    fenced: bool,
}

impl LeaseClock {
    /// A session has begun, with the times of its server.
    pub(super) fn welcome(&mut self, renewed: Instant, lease: Duration, timers: &Timers) {
        self.relied_on = timers.self_fence(lease);
        self.renew(renewed);
    }

    /// The server has told of a renewal; one that is older than what is known changes nothing.
    pub(super) fn renew(&mut self, at: Instant) {
        self.fenced = self.fenced && self.renewed >= Some(at);
        self.renewed = self.renewed.max(Some(at));
    }

    /// When the jobs must be stopped, unless there is a renewal before or they were.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ends().filter(|_| !self.fenced)
    }

    /// Whether the leases may have passed on.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends().is_some_and(|ends| now >= ends)
    }

    /// The jobs are being stopped.
    pub(super) fn fence(&mut self) {
        self.fenced = true;
    }

    /// When the leases were renewed last, and how long that is relied on.
    pub(super) fn reliance(&self) -> Option<(Instant, Duration)> {
        self.renewed.map(|renewed| (renewed, self.relied_on))
    }

    fn ends(&self) -> Option<Instant> {
        self.renewed.map(|renewed| renewed + self.relied_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(100);

    #[test]
    fn a_lease_is_relied_on_for_four_fifths_after_its_last_renewal() {
        let mut clock = LeaseClock::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(
            (clock.due(), clock.is_over(at(1000))),
            (None, false),
            "without a welcome there is no lease"
        );
        clock.welcome(at(0), LEASE, &Timers::default());
        clock.renew(at(10));
        clock.renew(at(5));
        assert_eq!(clock.due(), Some(at(90)));
        assert!(!clock.is_over(at(89)) && clock.is_over(at(90)));
        clock.fence();
        assert_eq!(clock.due(), None, "once is enough");
        clock.renew(at(10));
        assert_eq!(clock.due(), None, "what is no newer is no renewal");
        clock.renew(at(90));
        assert_eq!(clock.due(), Some(at(170)));
        assert!(!clock.is_over(at(169)));
    }
}
