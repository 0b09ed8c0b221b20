//! Times, as they are written on the command line or in the environment: `500ms`, `10s`, `1h 30m`, `7days`.

use std::time::Duration;

use super::or_default;
use crate::{domain::retry::Policy, flow::Timers};

/// How long things may take. The server refuses to start with times that don't go together.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Times (such as 500ms, 10s, 1h 30m or 7days)")]
#[allow(missing_docs, reason = "the fields of Timers and Policy, documented there")]
pub struct TimerArgs {
    /// How long a stream may stay without its Hello.
    #[arg(long, env = "MOORLINE_HELLO_DEADLINE", value_name = "TIME", default_value = HELLO_DEADLINE, global = true, value_parser = time(HELLO_DEADLINE))]
    pub hello_deadline: Duration,

    /// How often workers ping.
    #[arg(long, env = "MOORLINE_PING_INTERVAL", value_name = "TIME", default_value = PING_INTERVAL, global = true, value_parser = time(PING_INTERVAL))]
    pub ping_interval: Duration,

    /// Without a sign of life for this long a stream is dead. At least twice the ping interval.
    #[arg(long, env = "MOORLINE_PING_TIMEOUT", value_name = "TIME", default_value = PING_TIMEOUT, global = true, value_parser = time(PING_TIMEOUT))]
    pub ping_timeout: Duration,

    /// After this long without a sign of life a worker's jobs go to another; at 80 % of it the worker stops them itself.
    #[arg(long, env = "MOORLINE_LEASE", value_name = "TIME", default_value = LEASE, global = true, value_parser = time(LEASE))]
    pub lease: Duration,

    /// Within this time an offer must be accepted; then it goes to another worker.
    #[arg(long, env = "MOORLINE_ACCEPT_DEADLINE", value_name = "TIME", default_value = ACCEPT_DEADLINE, global = true, value_parser = time(ACCEPT_DEADLINE))]
    pub accept_deadline: Duration,

    /// How often the server looks for what no hint announced.
    #[arg(long, env = "MOORLINE_POLL_INTERVAL", value_name = "TIME", default_value = POLL, global = true, value_parser = time(POLL))]
    pub poll_interval: Duration,

    /// A server without a sign of life for this long is dead for the others; a worker that was sent to another server has as long to get there.
    #[arg(long, env = "MOORLINE_SERVER_TIMEOUT", value_name = "TIME", default_value = SERVER, global = true, value_parser = time(SERVER))]
    pub server_timeout: Duration,

    /// Longest time for discover.
    #[arg(long, env = "MOORLINE_DISCOVER_TIMEOUT", value_name = "TIME", default_value = DISCOVER, global = true, value_parser = time(DISCOVER))]
    pub discover_timeout: Duration,

    /// Longest time for the agent, unless the run says otherwise.
    #[arg(long, env = "MOORLINE_SUBMIT_TIMEOUT", value_name = "TIME", default_value = SUBMIT, global = true, value_parser = time(SUBMIT))]
    pub submit_timeout: Duration,

    /// Longest time for publish.
    #[arg(long, env = "MOORLINE_PUBLISH_TIMEOUT", value_name = "TIME", default_value = PUBLISH, global = true, value_parser = time(PUBLISH))]
    pub publish_timeout: Duration,

    /// Longest time that a job may wait for a worker, unless the run says otherwise; then the run fails, QUEUE_TIMEOUT.
    #[arg(long, env = "MOORLINE_QUEUE_TIMEOUT", value_name = "TIME", default_value = QUEUE, global = true, value_parser = time(QUEUE))]
    pub queue_timeout: Duration,

    /// For so long a passing login check counts. Then the shard's worker is asked to check again before a job is offered.
    #[arg(long, env = "MOORLINE_LOGIN_FRESHNESS", value_name = "TIME", default_value = FRESHNESS, global = true, value_parser = time(FRESHNESS))]
    pub login_freshness: Duration,

    /// How long a rate-limited account is left alone where the agent doesn't say how long.
    #[arg(long, env = "MOORLINE_COOL_DOWN", value_name = "TIME", default_value = COOL_DOWN, global = true, value_parser = time(COOL_DOWN))]
    pub cool_down: Duration,

    /// How often a bad login is looked at again while jobs wait for it.
    #[arg(long, env = "MOORLINE_LOGIN_RECHECK", value_name = "TIME", default_value = RECHECK, global = true, value_parser = time(RECHECK))]
    pub login_recheck: Duration,

    /// Longest delay after the first failure of the environment; it doubles with each further one, and a random part of it is waited.
    #[arg(long, env = "MOORLINE_RETRY_BASE", value_name = "TIME", default_value = RETRY_BASE, global = true, value_parser = time(RETRY_BASE))]
    pub retry_base: Duration,

    /// Longest delay after any failure of the environment.
    #[arg(long, env = "MOORLINE_RETRY_CAP", value_name = "TIME", default_value = RETRY_CAP, global = true, value_parser = time(RETRY_CAP))]
    pub retry_cap: Duration,

    /// How often the environment may fail discover before the run fails.
    #[arg(long, env = "MOORLINE_DISCOVER_ATTEMPTS", value_name = "NUMBER", default_value = DISCOVER_ATTEMPTS, global = true, value_parser = number(DISCOVER_ATTEMPTS))]
    pub discover_attempts: u32,

    /// How often the environment may fail the agent's stage before the run fails.
    #[arg(long, env = "MOORLINE_SUBMIT_ATTEMPTS", value_name = "NUMBER", default_value = SUBMIT_ATTEMPTS, global = true, value_parser = number(SUBMIT_ATTEMPTS))]
    pub submit_attempts: u32,

    /// How often the environment may fail publish before the run fails.
    #[arg(long, env = "MOORLINE_PUBLISH_ATTEMPTS", value_name = "NUMBER", default_value = PUBLISH_ATTEMPTS, global = true, value_parser = number(PUBLISH_ATTEMPTS))]
    pub publish_attempts: u32,
}

// As `--help` shows them; a test compares them with the defaults of `Timers`.
const HELLO_DEADLINE: &str = "10s";
const PING_INTERVAL: &str = "10s";
const PING_TIMEOUT: &str = "30s";
const LEASE: &str = "10m";
const ACCEPT_DEADLINE: &str = "5s";
const POLL: &str = "1s";
const SERVER: &str = "5s";
const DISCOVER: &str = "5m";
const SUBMIT: &str = "1h";
const PUBLISH: &str = "10m";
const QUEUE: &str = "7days";
const FRESHNESS: &str = "24h";
const COOL_DOWN: &str = "5m";
const RECHECK: &str = "5m";
const RETRY_BASE: &str = "10s";
const RETRY_CAP: &str = "5m";
const DISCOVER_ATTEMPTS: &str = "3";
const SUBMIT_ATTEMPTS: &str = "3";
const PUBLISH_ATTEMPTS: &str = "5";

impl TimerArgs {
    /// The times that these arguments come to, not yet checked against each other.
    pub fn timers(&self) -> Timers {
        Timers {
            hello_deadline: self.hello_deadline,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            lease: self.lease,
            accept_deadline: self.accept_deadline,
            poll: self.poll_interval,
            server_timeout: self.server_timeout,
            discover_timeout: self.discover_timeout,
            submit_timeout: self.submit_timeout,
            publish_timeout: self.publish_timeout,
            queue_timeout: self.queue_timeout,
            login_freshness: self.login_freshness,
            cool_down: self.cool_down,
            login_recheck: self.login_recheck,
            retry: Policy {
                base: self.retry_base,
                cap: self.retry_cap,
                discover_attempts: self.discover_attempts,
                submit_attempts: self.submit_attempts,
                publish_attempts: self.publish_attempts,
            },
        }
    }
}

/// Reads a time; a blank one is the default.
fn time(default: &'static str) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        or_default::<humantime::Duration>(text, default)
            .map(Duration::from)
            .map_err(|wrong| format!("{wrong}: give a time such as 500ms, 10s, 1h 30m or 7days"))
    }
}

fn number(default: &'static str) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| or_default::<u32>(text, default).map_err(|_| "give a whole number, 1 or more".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        timers: TimerArgs,
    }

    fn parse(args: &[&str]) -> Result<Timers, String> {
        Alone::try_parse_from([&["test"], args].concat())
            .map(|alone| alone.timers.timers())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_help_shows_is_what_timers_default_to_and_blank_is_the_same() {
        assert_eq!(parse(&[]), Ok(Timers::default()));
        assert_eq!(
            parse(&["--lease", " ", "--submit-attempts", "", "--queue-timeout", ""]),
            Ok(Timers::default())
        );
    }

    #[test]
    fn every_time_can_be_set_and_lands_in_its_place() {
        let mut expected = Timers::default();
        let mut args = Vec::new();
        let seconds = |seconds| Duration::from_secs(seconds);
        let places: [(&str, &mut Duration); 13] = [
            ("--hello-deadline", &mut expected.hello_deadline),
            ("--ping-interval", &mut expected.ping_interval),
            ("--ping-timeout", &mut expected.ping_timeout),
            ("--lease", &mut expected.lease),
            ("--accept-deadline", &mut expected.accept_deadline),
            ("--poll-interval", &mut expected.poll),
            ("--server-timeout", &mut expected.server_timeout),
            ("--discover-timeout", &mut expected.discover_timeout),
            ("--submit-timeout", &mut expected.submit_timeout),
            ("--publish-timeout", &mut expected.publish_timeout),
            ("--queue-timeout", &mut expected.queue_timeout),
            ("--retry-base", &mut expected.retry.base),
            ("--retry-cap", &mut expected.retry.cap),
        ];
        for (number, (flag, place)) in (101..).zip(places) {
            *place = seconds(number);
            args.extend([flag.to_owned(), format!("{number}s")]);
        }
        (
            expected.retry.discover_attempts,
            expected.retry.submit_attempts,
            expected.retry.publish_attempts,
        ) = (7, 8, 9);
        args.extend(["--discover-attempts=7", "--submit-attempts=8", "--publish-attempts=9"].map(str::to_owned));
        assert_eq!(parse(&args.iter().map(String::as_str).collect::<Vec<_>>()), Ok(expected));
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in ["10", "soon", "-1s"] {
            let told = parse(&[&format!("--lease={text}")]).unwrap_err();
            assert!(told.contains("--lease") && told.contains("500ms"), "{told}");
        }
        assert!(parse(&["--submit-attempts=many"]).unwrap_err().contains("whole number"));
    }
}
