//! Lines of progress, not more than people can read.

use std::time::Duration;

use tokio::time::Instant;

/// Lines that may come at once, and how long until one more may.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(1);

/// Lets lines pass at a bounded rate, and counts those that it keeps back.
#[derive(Debug)]
pub(super) struct Throttle {
    left: u32,
    since: Instant,
    kept_back: u32,
}

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            since: now,
            kept_back: 0,
        }
    }

    /// The line, with the number of those that were kept back before it; `None` if it is kept back itself.
    pub(super) fn pass(&mut self, line: String, now: Instant) -> Option<String> {
        let refilled = (now - self.since).as_secs() / REFILL.as_secs();
        if refilled > 0 {
            self.left = BURST.min(self.left.saturating_add(u32::try_from(refilled).unwrap_or(BURST)));
            self.since = now;
        }
        if self.left == 0 {
            self.kept_back += 1;
            return None;
        }
        self.left -= 1;
        match std::mem::take(&mut self.kept_back) {
            0 => Some(line),
            more => Some(format!("{line} (and {more} more before)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        let passed = (0..100).filter_map(|n| throttle.pass(n.to_string(), start)).count();
        assert_eq!(passed, 10);
        let later = start + Duration::from_secs(2);
        assert_eq!(
            throttle.pass("next".to_owned(), later).as_deref(),
            Some("next (and 90 more before)")
        );
        assert_eq!(throttle.pass("last".to_owned(), later).as_deref(), Some("last"));
        assert_eq!(throttle.pass("too much".to_owned(), later), None);
    }
}
