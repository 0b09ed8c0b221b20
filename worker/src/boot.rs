//! Time by the clock of the machine's boot, which no one sets: it means the same to one process after another.

use std::{fs, time::Duration};

use serde::{Deserialize, Serialize};

/// A point in time, for a process that starts later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    boot: String,
    uptime: Duration,
}

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let seconds = text("/proc/uptime").split(' ').next().and_then(|seconds| seconds.parse().ok());
        Self {
            boot: text("/proc/sys/kernel/random/boot_id"),
            uptime: Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default(),
        }
    }

    /// So long ago.
    pub(crate) fn ago(age: Duration) -> Self {
        let now = Self::now();
        Self {
            uptime: now.uptime.saturating_sub(age),
            ..now
        }
    }

    /// How long ago it was; `None` where it was in another boot.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        let now = Self::now();
        (now.boot == self.boot).then(|| now.uptime.saturating_sub(self.uptime))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_in_one_boot_and_says_nothing_in_the_next() {
        let before = Moment::ago(Duration::from_secs(3));
        let elapsed = before.elapsed().unwrap().as_secs();
        assert!((2..30).contains(&elapsed), "{elapsed}");
        let later = Moment {
            uptime: before.uptime + Duration::from_secs(3600),
            ..before.clone()
        };
        assert_eq!(later.elapsed(), Some(Duration::ZERO));
        let other = Moment {
            boot: "another".to_owned(),
            ..before
        };
        assert_eq!(other.elapsed(), None);
    }
}
