//! How long to wait before dialling again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::config::Timers;

/// Back-off with full jitter: a thousand workers that lost one server must not come back in one moment.
#[derive(Debug)]
pub(super) struct Redial {
    ceilings: ExponentialBackoff,
    began: Instant,
    timers: Timers,
}

const FIRST: Duration = Duration::from_millis(100);

impl Redial {
    pub(super) fn new(timers: &Timers) -> Self {
        let ceilings = ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(timers.redial)
            .without_max_times();
        Self {
            ceilings: ceilings.build(),
            began: Instant::now(),
            timers: timers.clone(),
        }
    }

    /// As it is after hours of failures.
    #[cfg(test)]
    pub(super) fn weary() -> Self {
        let mut redial = Self::new(&Timers::default());
        redial.began -= 2 * redial.timers.redial_late_after;
        redial
    }

    /// Somewhere between nothing and the ceiling, which doubles up to a bound, and is another one after a while.
    pub(super) fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling(self.began.elapsed());
        ceiling.mul_f64(fastrand::f64())
    }

    fn ceiling(&mut self, elapsed: Duration) -> Duration {
        let ceiling = self.ceilings.next().unwrap_or(self.timers.redial);
        if elapsed > self.timers.redial_late_after {
            self.timers.redial_late
        } else {
            ceiling
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_to_five_seconds_and_are_thirty_after_two_minutes() {
        let mut redial = Redial::new(&Timers::default());
        let ceilings: Vec<u128> = (0..8).map(|_| redial.ceiling(Duration::ZERO).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(redial.ceiling(Duration::from_secs(121)), Duration::from_secs(30));
    }

    #[test]
    fn delays_are_spread_below_their_ceiling() {
        let first = || Redial::new(&Timers::default()).next_delay();
        let delays: Vec<Duration> = (0..100).map(|_| first()).collect();
        assert!(delays.iter().all(|delay| *delay < FIRST));
        assert!(delays.iter().any(|delay| *delay < FIRST / 2) && delays.iter().any(|delay| *delay > FIRST / 2));
    }
}
