//! How many jobs the server may still offer, by queue.

use std::collections::BTreeMap;

/// Credits of the session at hand that the server hasn't spent.
#[derive(Debug, Default)]
pub(super) struct Credits {
    granted: BTreeMap<String, u32>,
    /// Whether there is room for jobs that the spool has none for.
    withheld: bool,
}

impl Credits {
    /// A new session: the credits of the one before are void.
    pub(super) fn clear(&mut self) {
        self.granted.clear();
    }

    /// The server has spent one.
    pub(super) fn spent(&mut self, queue: &str) {
        if let Some(granted) = self.granted.get_mut(queue) {
            *granted = granted.saturating_sub(1);
        }
    }

    /// Some are withheld, for want of room in the spool.
    pub(super) fn are_withheld(&self) -> bool {
        self.withheld
    }

    /// What to grant now: for the room in each queue, and never for more jobs in all than the spool has room for.
    pub(super) fn grant<'a>(&mut self, free: impl Iterator<Item = (&'a str, u32)>, spool: u64) -> Vec<(String, u32)> {
        let granted: u64 = self.granted.values().map(|granted| u64::from(*granted)).sum();
        let mut room = u32::try_from(spool.saturating_sub(granted)).unwrap_or(u32::MAX);
        let mut grants = Vec::new();
        self.withheld = false;
        for (queue, free) in free {
            let granted = self.granted.entry(queue.to_owned()).or_default();
            let wanted = free.saturating_sub(*granted);
            let more = wanted.min(room);
            self.withheld |= more < wanted;
            if more > 0 {
                *granted += more;
                room -= more;
                grants.push((queue.to_owned(), more));
            }
        }
        grants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(credits: &mut Credits, free: &[(&str, u32)], spool: u64) -> String {
        let grants = credits.grant(free.iter().copied(), spool);
        let grants: Vec<String> = grants.iter().map(|(queue, jobs)| format!("{queue} {jobs}")).collect();
        grants.join(", ")
    }

    #[test]
    fn each_free_place_is_granted_once() {
        let mut credits = Credits::default();
        assert_eq!(grants(&mut credits, &[("codex-0", 1), ("default", 4)], 100), "codex-0 1, default 4");
        assert_eq!(grants(&mut credits, &[("codex-0", 1), ("default", 4)], 100), "");
        credits.spent("default");
        assert_eq!(
            grants(&mut credits, &[("codex-0", 1), ("default", 3)], 100),
            "",
            "an offer takes the place it was granted for"
        );
        assert_eq!(
            grants(&mut credits, &[("codex-0", 1), ("default", 4)], 100),
            "default 1",
            "and leaves it when it ends"
        );
        credits.clear();
        assert_eq!(grants(&mut credits, &[("default", 4)], 100), "default 4");
    }

    #[test]
    fn no_more_is_granted_than_the_spool_has_room_for() {
        let mut credits = Credits::default();
        assert_eq!(grants(&mut credits, &[("codex-0", 1), ("default", 4)], 3), "codex-0 1, default 2");
        assert!(credits.are_withheld());
        assert_eq!(grants(&mut credits, &[("codex-0", 1), ("default", 4)], 3), "");
        assert_eq!(
            grants(&mut credits, &[("codex-0", 1), ("default", 4)], 0),
            "",
            "what was granted is not taken back"
        );
        assert_eq!(grants(&mut credits, &[("codex-0", 1), ("default", 4)], 5), "default 2");
        assert!(!credits.are_withheld());
    }
}
