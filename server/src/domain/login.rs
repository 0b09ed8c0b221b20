//! What is known of a login, and for how long that counts: it decides whether the jobs of a shard are offered.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    job::HoldReason,
    preflight::{self, Preflight, Rung},
    volume,
};

/// What is known of a volume's login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Where in its life the volume is.
    pub status: volume::Status,
    /// What the check found that made the status.
    pub rung: Option<Rung>,
    /// Why it isn't ready, with the remedy; empty when it is.
    pub message: String,
    /// Its last passing check.
    pub verified_at: Option<DateTime<Utc>>,
    /// A passing check counts until then.
    pub open_until: Option<DateTime<Utc>>,
    /// The account is rate-limited until then.
    pub cooling_until: Option<DateTime<Utc>>,
}

/// For how long what is known of a login counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// A passing check counts for so long.
    pub freshness: TimeDelta,
    /// A rate limit lasts so long where the agent doesn't say how long.
    pub cool_down: TimeDelta,
}

/// What is known of a login, for a job that needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// It passed a check within its window.
    Good,
    /// Nothing is known that is recent enough.
    Stale,
    /// It is no good; a person must renew it.
    Bad,
    /// It is rate-limited for now.
    CoolingDown,
}

/// Longest that an agent's own word on a limit is believed; the longest limits known are of a week.
const LONGEST_LIMIT: TimeDelta = TimeDelta::days(8);

impl Known {
    /// What a check makes of it.
    #[must_use]
    pub fn after(self, check: &Preflight, now: DateTime<Utc>, windows: Windows) -> Self {
        let status = self.status.after_check(check.status, check.rung);
        match check.status {
            preflight::Status::Skipped => self,
            // Each volume's own check passes; only a look at all of them tells.
            preflight::Status::Passed if self.rung == Some(Rung::Duplicate) => self,
            preflight::Status::Passed => Self {
                status,
                rung: check.rung,
                message: String::new(),
                verified_at: Some(now),
                open_until: Some(now + windows.freshness),
                // That a login is stored says nothing of a limit, and that a call worked lately may be from before it.
                cooling_until: self.cooling_until,
            },
            // Nothing was learnt, so what is known to be bad still is.
            preflight::Status::Failed
                if check.rung.is_some_and(Rung::is_no_verdict)
                    && self.open_until.is_none()
                    && self.rung.is_some_and(Rung::is_bad_login) =>
            {
                self
            }
            preflight::Status::Failed => Self {
                status,
                rung: check.rung,
                message: check.message.clone(),
                open_until: self.open_until.filter(|_| check.rung.is_some_and(Rung::is_no_verdict)),
                cooling_until: match check.rung {
                    Some(Rung::RateLimited) => Some(now + limit(check, windows)),
                    _ => self.cooling_until,
                },
                ..self
            },
        }
    }

    /// What is left of it once a real call was made just now and worked, or the login is another one: a limit from before says nothing of it.
    #[must_use]
    pub fn no_limit(self) -> Self {
        Self {
            cooling_until: None,
            ..self
        }
    }

    /// What is left of it once the volume's login is no other volume's any more.
    #[must_use]
    pub fn no_duplicate(self) -> Self {
        match self.rung {
            Some(Rung::Duplicate) => Self {
                rung: None,
                message: String::new(),
                ..self
            },
            _ => self,
        }
    }

    /// What it means for a job that needs the login.
    #[must_use]
    pub fn login(&self, now: DateTime<Utc>) -> Login {
        let is_ahead = |time: Option<DateTime<Utc>>| time.is_some_and(|time| time > now);
        if is_ahead(self.cooling_until) {
            Login::CoolingDown
        } else if is_ahead(self.open_until) {
            Login::Good
        } else if self.rung.is_some_and(Rung::is_bad_login) {
            Login::Bad
        } else {
            Login::Stale
        }
    }
}

fn limit(check: &Preflight, windows: Windows) -> TimeDelta {
    let said = check.retry_after_ms.and_then(TimeDelta::try_milliseconds);
    said.unwrap_or(windows.cool_down).clamp(TimeDelta::zero(), LONGEST_LIMIT)
}

impl Login {
    /// Why a job that needs it waits, if it does.
    #[must_use]
    pub fn hold_reason(self) -> Option<HoldReason> {
        match self {
            Self::Good => None,
            Self::Stale => Some(HoldReason::CheckingLogin),
            Self::Bad => Some(HoldReason::WaitingAuth),
            Self::CoolingDown => Some(HoldReason::CoolingDown),
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    fn known() -> Known {
        Known {
            status: volume::Status::NeedsAuth,
            rung: None,
            message: String::new(),
            verified_at: None,
            open_until: None,
            cooling_until: None,
        }
    }

    fn check(rung: Rung, retry_after_ms: Option<i64>) -> Preflight {
        let passed = matches!(rung, Rung::Present | Rung::Unexpired | Rung::Proven);
        Preflight {
            status: if passed {
                preflight::Status::Passed
            } else {
                preflight::Status::Failed
            },
            rung: Some(rung),
            message: format!("it is {rung}"),
            exit_code: None,
            duration_ms: 1,
            checked_at: None,
            retry_after_ms,
            volume: "codex_auth_0".to_owned(),
            queue: "codex-0".to_owned(),
            worker_name: "w".to_owned(),
        }
    }

    const WINDOWS: Windows = Windows {
        freshness: TimeDelta::hours(24),
        cool_down: TimeDelta::minutes(5),
    };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn each_rung_opens_or_shuts_the_gate_of_a_login_that_was_good() {
        let good = known().after(&check(Rung::Present, None), now(), WINDOWS);
        let told: Vec<String> = Rung::VARIANTS
            .iter()
            .map(|rung| {
                let after = good.clone().after(&check(*rung, None), now(), WINDOWS);
                format!("{rung}: {}, {:?}", after.status, after.login(now()))
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        VOLUME_MISSING: error, Bad
        UNREADABLE: error, Bad
        CORRUPT: error, Bad
        NOT_LOGGED_IN: needs_auth, Bad
        EXPIRED: error, Bad
        REVOKED: error, Bad
        RATE_LIMITED: error, CoolingDown
        ENVIRONMENT_BROKEN: error, Good
        TIMED_OUT: error, Good
        UNKNOWN: error, Stale
        PRESENT: ready, Good
        UNEXPIRED: ready, Good
        PROVEN: ready, Good
        DUPLICATE: error, Bad
        ");
    }

    #[test]
    fn a_passing_check_counts_for_its_window() {
        assert_eq!(known().login(now()), Login::Stale);
        let good = known().after(&check(Rung::Unexpired, None), now(), WINDOWS);
        assert_eq!(good.login(now() + TimeDelta::hours(23)), Login::Good);
        assert_eq!(good.login(now() + TimeDelta::hours(24)), Login::Stale);
    }

    #[test]
    fn a_check_that_could_not_be_made_leaves_a_bad_login_bad() {
        let bad = known().after(&check(Rung::Revoked, None), now(), WINDOWS);
        let after = bad.clone().after(&check(Rung::EnvironmentBroken, None), now(), WINDOWS);
        assert_eq!((after.login(now()), after.message), (Login::Bad, bad.message));
    }

    #[test]
    fn a_login_that_another_volume_has_is_no_better_for_passing_its_own_check() {
        let double = known().after(&check(Rung::Duplicate, None), now(), WINDOWS);
        let checked = double.after(&check(Rung::Proven, None), now(), WINDOWS);
        assert_eq!(checked.login(now()), Login::Bad);
        let alone = checked.no_duplicate().after(&check(Rung::Present, None), now(), WINDOWS);
        assert_eq!(alone.login(now()), Login::Good);
    }

    #[test]
    fn a_limit_lasts_as_long_as_the_agent_said_unless_a_real_call_works() {
        let good = known().after(&check(Rung::Unexpired, None), now(), WINDOWS);
        let limited = good.after(&check(Rung::RateLimited, Some(60_000)), now(), WINDOWS);
        let over = now() + TimeDelta::seconds(60);
        assert_eq!(limited.login(over), Login::Stale);
        let stored = limited.clone().after(&check(Rung::Present, None), now(), WINDOWS);
        assert_eq!(stored.login(over - TimeDelta::seconds(1)), Login::CoolingDown);
        assert_eq!(stored.login(over), Login::Good);
        let proven = limited.clone().after(&check(Rung::Proven, None), now(), WINDOWS);
        assert_eq!(
            proven.login(now()),
            Login::CoolingDown,
            "the call may have been made before the limit"
        );
        assert_eq!(proven.no_limit().login(now()), Login::Good);
        let for_ever = limited.after(&check(Rung::RateLimited, Some(i64::MAX / 2)), now(), WINDOWS);
        assert_eq!(for_ever.login(now() + TimeDelta::days(9)), Login::Stale);
    }
}
