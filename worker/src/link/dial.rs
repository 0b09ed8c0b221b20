//! How long to wait before dialling again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// Back-off with full jitter: a thousand workers that lost one server must not come back in one moment.
#[derive(Debug)]
pub(super) struct Redial {
    ceilings: ExponentialBackoff,
    began: Instant,
}

const FIRST: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_secs(120);
const LATE_CAP: Duration = Duration::from_secs(30);

impl Default for Redial {
    fn default() -> Self {
        let ceilings = ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(CAP)
            .without_max_times();
        Self {
            ceilings: ceilings.build(),
            began: Instant::now(),
        }
    }
}

impl Redial {
    /// As it is after hours of failures.
    #[cfg(test)]
    pub(super) fn weary() -> Self {
        let mut redial = Self::default();
        redial.began -= 2 * LATE;
        redial
    }

    /// Somewhere between nothing and the ceiling, which doubles up to 5 s, and is 30 s after two minutes.
    pub(super) fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling(self.began.elapsed());
        ceiling.mul_f64(fastrand::f64())
    }

    fn ceiling(&mut self, elapsed: Duration) -> Duration {
        let ceiling = self.ceilings.next().unwrap_or(CAP);
        if elapsed > LATE { LATE_CAP } else { ceiling }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_to_five_seconds_and_are_thirty_after_two_minutes() {
        let mut redial = Redial::default();
        let ceilings: Vec<u128> = (0..8).map(|_| redial.ceiling(Duration::ZERO).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(redial.ceiling(Duration::from_secs(121)), LATE_CAP);
    }

    #[test]
    fn delays_are_spread_below_their_ceiling() {
        let first = || Redial::default().next_delay();
        let delays: Vec<Duration> = (0..100).map(|_| first()).collect();
        assert!(delays.iter().all(|delay| *delay < FIRST));
        assert!(delays.iter().any(|delay| *delay < FIRST / 2) && delays.iter().any(|delay| *delay > FIRST / 2));
    }
}
