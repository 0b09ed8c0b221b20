//! How long things may take, and how these times must stand to each other.
//!
//! The worker has to give a job up before the server gives it to another, and neither may take a stall for a death. [`Timers::check`] holds
//! settings to that.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{login::Windows, retry::Policy, run::Options, stage::Stage};

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// How long a stream may stay without its Hello.
    pub hello_deadline: Duration,
    /// How often workers ping.
    pub ping_interval: Duration,
    /// Without a sign of life for this long a stream is dead.
    pub ping_timeout: Duration,
    /// How long the leases of an instance last without a sign of life.
    pub lease: Duration,
    /// Within this time an offer must be accepted.
    pub accept_deadline: Duration,
    /// How often the reaper looks, and how often a session looks for work that no hint announced.
    pub poll: Duration,
    /// A server without a sign of life for this long is dead, and so are its sessions. A worker that was told to move has as long.
    pub server_timeout: Duration,
    /// Longest time for discover.
    pub discover_timeout: Duration,
    /// Longest time for the agent, unless the run says otherwise.
    pub submit_timeout: Duration,
    /// Longest time for publish.
    pub publish_timeout: Duration,
    /// Longest time that a job may wait in its queue, unless the run says otherwise.
    pub queue_timeout: Duration,
    /// For so long a passing login check counts; then a worker is asked to check again before a job is offered.
    pub login_freshness: Duration,
    /// How long a rate-limited account is left alone where the agent doesn't say how long.
    pub cool_down: Duration,
    /// How often a bad login is looked at again while jobs wait for it: somebody may have renewed it without a word.
    pub login_recheck: Duration,
    /// Which failed attempts are followed by another, and when.
    pub retry: Policy,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            hello_deadline: Duration::from_secs(10),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(30),
            lease: Duration::from_secs(600),
            accept_deadline: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            server_timeout: Duration::from_secs(5),
            discover_timeout: Duration::from_secs(300),
            submit_timeout: Duration::from_secs(3600),
            publish_timeout: Duration::from_secs(600),
            queue_timeout: Duration::from_secs(7 * 86_400),
            login_freshness: Duration::from_secs(86_400),
            cool_down: Duration::from_secs(300),
            login_recheck: Duration::from_secs(300),
            retry: Policy::default(),
        }
    }
}

/// Part of its lease after which a worker that hears nothing stops its jobs; the rest is the margin before they are given to another.
const SELF_FENCE: f64 = 0.8;
/// No time is longer: more is a slip of the pen, and could not be added to a clock.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// A setting that can't stand, alone or beside another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing can be done in no time.
    #[error("{0} is zero: set a time longer than that, such as 10s")]
    Zero(&'static str),
    /// It looks like a slip of the pen.
    #[error("{0} is longer than a year: set a shorter time")]
    TooLong(&'static str),
    /// A stage needs an attempt.
    #[error("{0} is 0, and no stage would ever run: set 1 for a single attempt, or more to try again after a failure of the environment")]
    NoAttempt(&'static str),
    /// One is too long, or too short, for the other.
    #[error("{} is {}, and must be {relation} {}, which is {}: {why}", .one.0, shown(.one.1), .other.0, shown(.other.1))]
    Relation {
        /// Variable and value of the first.
        one: (&'static str, Duration),
        /// How it must stand to the other.
        relation: &'static str,
        /// Variable and value of the other.
        other: (&'static str, Duration),
        /// What would go wrong otherwise.
        why: &'static str,
    },
}

fn shown(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}

impl Timers {
    /// Refuses times with which the stream's promises could not be kept.
    ///
    /// Renewals of leases need no rule: the server makes ten of them in each lease, whatever its length.
    ///
    /// # Errors
    ///
    /// The first setting that can't stand, with its variable, the one that it can't stand beside, and why.
    pub fn check(&self) -> Result<(), Error> {
        for (name, duration) in self.durations() {
            match duration {
                Duration::ZERO => return Err(Error::Zero(name)),
                long if long > LONGEST => return Err(Error::TooLong(name)),
                _ => {}
            }
        }
        for (name, attempts) in [
            ("MOORLINE_DISCOVER_ATTEMPTS", self.retry.discover_attempts),
            ("MOORLINE_SUBMIT_ATTEMPTS", self.retry.submit_attempts),
            ("MOORLINE_PUBLISH_ATTEMPTS", self.retry.publish_attempts),
        ] {
            if attempts == 0 {
                return Err(Error::NoAttempt(name));
            }
        }
        self.relations()
            .into_iter()
            .find_map(|(holds, wrong)| (!holds).then_some(wrong))
            .map_or(Ok(()), Err)
    }

    fn durations(&self) -> [(&'static str, Duration); 16] {
        [
            ("MOORLINE_HELLO_DEADLINE", self.hello_deadline),
            ("MOORLINE_PING_INTERVAL", self.ping_interval),
            ("MOORLINE_PING_TIMEOUT", self.ping_timeout),
            ("MOORLINE_LEASE", self.lease),
            ("MOORLINE_ACCEPT_DEADLINE", self.accept_deadline),
            ("MOORLINE_POLL_INTERVAL", self.poll),
            ("MOORLINE_SERVER_TIMEOUT", self.server_timeout),
            ("MOORLINE_DISCOVER_TIMEOUT", self.discover_timeout),
            ("MOORLINE_SUBMIT_TIMEOUT", self.submit_timeout),
            ("MOORLINE_PUBLISH_TIMEOUT", self.publish_timeout),
            ("MOORLINE_QUEUE_TIMEOUT", self.queue_timeout),
            ("MOORLINE_LOGIN_FRESHNESS", self.login_freshness),
            ("MOORLINE_COOL_DOWN", self.cool_down),
            ("MOORLINE_LOGIN_RECHECK", self.login_recheck),
            ("MOORLINE_RETRY_BASE", self.retry.base),
            ("MOORLINE_RETRY_CAP", self.retry.cap),
        ]
    }

    /// Each rule: whether it holds, and what to say when it doesn't.
    fn relations(&self) -> [(bool, Error); 9] {
        let ping_interval = ("MOORLINE_PING_INTERVAL", self.ping_interval);
        let ping_timeout = ("MOORLINE_PING_TIMEOUT", self.ping_timeout);
        let lease = ("MOORLINE_LEASE", self.lease);
        let accept = ("MOORLINE_ACCEPT_DEADLINE", self.accept_deadline);
        let poll = ("MOORLINE_POLL_INTERVAL", self.poll);
        let server = ("MOORLINE_SERVER_TIMEOUT", self.server_timeout);
        let rule = |holds, one, relation, other, why| (holds, Error::Relation { one, relation, other, why });
        [
            rule(
                self.ping_timeout >= 2 * self.ping_interval,
                ping_timeout,
                "at least twice",
                ping_interval,
                "one late ping must not end a stream",
            ),
            rule(
                self.ping_timeout + self.ping_interval <= self.lease.mul_f64(SELF_FENCE),
                ping_timeout,
                "at least a ping interval shorter than 80 % of",
                lease,
                "that is when workers stop their jobs, and a stream that only stalls must have been found dead and dialled again by then",
            ),
            rule(
                2 * self.server_timeout <= self.lease,
                server,
                "at most half of",
                lease,
                "workers of a dead server must be taken out, or back on another one, while their leases run",
            ),
            rule(
                5 * self.ping_interval <= self.lease,
                ping_interval,
                "at most a fifth of",
                lease,
                "between a worker's giving up its jobs and their going to another there must be time for a ping",
            ),
            rule(
                self.hello_deadline < self.lease,
                ("MOORLINE_HELLO_DEADLINE", self.hello_deadline),
                "shorter than",
                lease,
                "a stream without its Hello renews nothing, and a worker that hangs there must be able to dial again",
            ),
            rule(
                self.accept_deadline < self.lease,
                accept,
                "shorter than",
                lease,
                "an offer must not outlive the lease of the worker that it was made to",
            ),
            rule(
                self.poll <= self.ping_timeout,
                poll,
                "at most",
                ping_timeout,
                "what no hint announced, such as a cancel through another server, would reach a live worker later than its death is noticed",
            ),
            rule(
                self.queue_timeout > self.accept_deadline,
                ("MOORLINE_QUEUE_TIMEOUT", self.queue_timeout),
                "longer than",
                accept,
                "a job must be able to be offered again before its time in the queue is over",
            ),
            rule(
                self.retry.base <= self.retry.cap,
                ("MOORLINE_RETRY_BASE", self.retry.base),
                "at most",
                ("MOORLINE_RETRY_CAP", self.retry.cap),
                "the first delay would be cut already",
            ),
        ]
    }

    /// For how long what is known of a login counts. Times of more than a year are refused at the start.
    pub fn windows(&self) -> Windows {
        let delta = |time| TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
        Windows {
            freshness: delta(self.login_freshness),
            cool_down: delta(self.cool_down),
        }
    }

    /// When a job that waits from `since` on has waited long enough; `None` where calendars end.
    pub fn end_of_waiting(&self, options: &Options, since: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let asked = options.queue_timeout_seconds.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let longest = TimeDelta::from_std(asked.unwrap_or(self.queue_timeout)).ok()?;
        since.checked_add_signed(longest)
    }

    /// Longest time that a stage may take, unless the run says otherwise.
    pub fn stage_timeout(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Discover => self.discover_timeout,
            Stage::Submit => self.submit_timeout,
            Stage::Publish => self.publish_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn wrong(change: impl FnOnce(&mut Timers)) -> String {
        let mut timers = Timers::default();
        change(&mut timers);
        timers.check().expect_err("a refusal").to_string()
    }

    #[test]
    fn the_defaults_stand_and_so_do_times_a_hundred_times_as_short() {
        assert_eq!(Timers::default().check(), Ok(()));
        let default = Timers::default();
        let short = Timers {
            hello_deadline: default.hello_deadline / 100,
            ping_interval: default.ping_interval / 100,
            ping_timeout: default.ping_timeout / 100,
            lease: default.lease / 100,
            accept_deadline: default.accept_deadline / 100,
            poll: default.poll / 100,
            server_timeout: default.server_timeout / 100,
            ..default
        };
        assert_eq!(short.check(), Ok(()));
    }

    #[test]
    fn times_that_break_a_promise_are_refused_with_both_names_and_the_reason() {
        let told = [
            wrong(|t| t.ping_timeout = s(19)),
            wrong(|t| t.lease = s(49)),
            wrong(|t| (t.ping_interval, t.ping_timeout, t.lease) = (s(10), s(20), s(49))),
            wrong(|t| t.hello_deadline = t.lease),
            wrong(|t| t.accept_deadline = t.lease),
            wrong(|t| t.poll = s(31)),
            wrong(|t| t.queue_timeout = t.accept_deadline),
            wrong(|t| t.retry.base = s(301)),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        MOORLINE_PING_TIMEOUT is 19s, and must be at least twice MOORLINE_PING_INTERVAL, which is 10s: one late ping must not end a stream
        MOORLINE_PING_TIMEOUT is 30s, and must be at least a ping interval shorter than 80 % of MOORLINE_LEASE, which is 49s: that is when workers stop their jobs, and a stream that only stalls must have been found dead and dialled again by then
        MOORLINE_PING_INTERVAL is 10s, and must be at most a fifth of MOORLINE_LEASE, which is 49s: between a worker's giving up its jobs and their going to another there must be time for a ping
        MOORLINE_HELLO_DEADLINE is 10m, and must be shorter than MOORLINE_LEASE, which is 10m: a stream without its Hello renews nothing, and a worker that hangs there must be able to dial again
        MOORLINE_ACCEPT_DEADLINE is 10m, and must be shorter than MOORLINE_LEASE, which is 10m: an offer must not outlive the lease of the worker that it was made to
        MOORLINE_POLL_INTERVAL is 31s, and must be at most MOORLINE_PING_TIMEOUT, which is 30s: what no hint announced, such as a cancel through another server, would reach a live worker later than its death is noticed
        MOORLINE_QUEUE_TIMEOUT is 5s, and must be longer than MOORLINE_ACCEPT_DEADLINE, which is 5s: a job must be able to be offered again before its time in the queue is over
        MOORLINE_RETRY_BASE is 5m 1s, and must be at most MOORLINE_RETRY_CAP, which is 5m: the first delay would be cut already
        ");
    }

    #[test]
    fn the_last_time_that_stands_is_next_to_the_first_that_does_not() {
        let stands = |change: fn(&mut Timers)| {
            let mut timers = Timers::default();
            change(&mut timers);
            timers.check()
        };
        assert_eq!(stands(|t| t.ping_timeout = s(20)), Ok(()));
        assert_eq!(stands(|t| t.lease = s(50)), Ok(()));
        assert_eq!(stands(|t| (t.ping_timeout, t.lease) = (s(20), s(50))), Ok(()));
        assert_eq!(stands(|t| t.hello_deadline = t.lease - s(1)), Ok(()));
        assert_eq!(stands(|t| t.accept_deadline = t.lease - s(1)), Ok(()));
        assert_eq!(stands(|t| t.poll = s(30)), Ok(()));
        assert_eq!(stands(|t| t.queue_timeout = s(6)), Ok(()));
        assert_eq!(stands(|t| t.retry.base = s(300)), Ok(()));
    }

    #[test]
    fn no_time_is_zero_or_longer_than_a_year_and_no_stage_goes_without_an_attempt() {
        let fields: [fn(&mut Timers) -> &mut Duration; 16] = [
            |t| &mut t.hello_deadline,
            |t| &mut t.ping_interval,
            |t| &mut t.ping_timeout,
            |t| &mut t.lease,
            |t| &mut t.accept_deadline,
            |t| &mut t.poll,
            |t| &mut t.server_timeout,
            |t| &mut t.discover_timeout,
            |t| &mut t.submit_timeout,
            |t| &mut t.publish_timeout,
            |t| &mut t.queue_timeout,
            |t| &mut t.login_freshness,
            |t| &mut t.cool_down,
            |t| &mut t.login_recheck,
            |t| &mut t.retry.base,
            |t| &mut t.retry.cap,
        ];
        let names = Timers::default().durations().map(|(name, _)| name);
        for (field, name) in fields.into_iter().zip(names) {
            assert!(wrong(|t| *field(t) = Duration::ZERO).starts_with(&format!("{name} is zero")));
            assert!(wrong(|t| *field(t) = Duration::MAX).starts_with(&format!("{name} is longer than a year")));
        }
        assert!(wrong(|t| t.retry.discover_attempts = 0).starts_with("MOORLINE_DISCOVER_ATTEMPTS is 0"));
        assert!(wrong(|t| t.retry.submit_attempts = 0).starts_with("MOORLINE_SUBMIT_ATTEMPTS is 0"));
        assert!(wrong(|t| t.retry.publish_attempts = 0).starts_with("MOORLINE_PUBLISH_ATTEMPTS is 0"));
    }
}
