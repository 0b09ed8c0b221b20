//! Times and durations: as they travel, as programs read them (RFC 3339, seconds) and as people do.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use prost_types::Timestamp;

/// RFC 3339 in UTC, with as many digits of a second as there are; `None` when unset or out of range.
pub fn rfc3339(time: Option<&Timestamp>) -> Option<String> {
    Some(utc(time?)?.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// For people: `2026-01-02 03:04:05Z`; empty when unset.
pub fn short(time: Option<&Timestamp>) -> String {
    time.and_then(utc).as_ref().map(people).unwrap_or_default()
}

/// The current time for people, by this machine's clock.
pub fn now() -> String {
    people(&Utc::now())
}

/// The form for people of a time in RFC 3339; empty when unset.
pub fn plain(time: Option<&str>) -> String {
    let time = time.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    time.map(|time| people(&time.to_utc())).unwrap_or_default()
}

/// From one time to another, to the second (under one second, to the millisecond); empty when either is unset.
pub fn between(from: Option<&Timestamp>, to: Option<&Timestamp>) -> String {
    let span = || (utc(to?)? - utc(from?)?).to_std().ok();
    span()
        .map(|span| humantime::format_duration(rounded(span)).to_string())
        .unwrap_or_default()
}

fn rounded(span: Duration) -> Duration {
    match span.as_secs() {
        0 => Duration::from_millis(span.subsec_millis().into()),
        seconds => Duration::from_secs(seconds),
    }
}

/// Seconds of a duration on the wire.
pub fn seconds(duration: &prost_types::Duration) -> f64 {
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

/// Reads a time that a person typed: RFC 3339, or how long ago, such as `24h`.
pub fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let moment = match (DateTime::parse_from_rfc3339(text), humantime::parse_duration(text)) {
        (Ok(time), _) => SystemTime::from(time),
        (_, Ok(ago)) => SystemTime::now().checked_sub(ago).ok_or("that is too long ago")?,
        _ => return Err("expected a time such as 2026-01-02T03:04:05Z, or how long ago, such as 24h".to_owned()),
    };
    Ok(moment.into())
}

/// Reads a time to come that a person typed: RFC 3339, or how long from now, such as `2h`.
pub fn parse_start(text: &str) -> Result<Timestamp, String> {
    let moment = match (DateTime::parse_from_rfc3339(text), humantime::parse_duration(text)) {
        (Ok(time), _) => SystemTime::from(time),
        (_, Ok(from_now)) => SystemTime::now().checked_add(from_now).ok_or("that is too far ahead")?,
        _ => return Err("expected a time such as 2026-01-02T03:04:05Z, or how long from now, such as 2h".to_owned()),
    };
    Ok(moment.into())
}

/// Reads a duration that a person typed, such as `30s` or `1h 30m`; it must be longer than nothing.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected a duration longer than zero, such as 30s, 10m or 1h".to_owned()),
    }
}

fn people(time: &DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn utc(time: &Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(
            rfc3339(Some(&at(1_767_323_045, 120_000_000))).as_deref(),
            Some("2026-01-02T03:04:05.120Z")
        );
        assert_eq!(short(Some(&at(1_767_323_045, 0))), "2026-01-02 03:04:05Z");
        assert_eq!((rfc3339(None), short(None)), (None, String::new()));
        assert_eq!(plain(Some("2026-01-02T03:04:05.120Z")), "2026-01-02 03:04:05Z");
        assert_eq!(plain(None), "");
    }

    #[test]
    fn spans_are_shown_to_the_second() {
        assert_eq!(between(Some(&at(0, 0)), Some(&at(75, 900_000_000))), "1m 15s");
        assert_eq!(between(Some(&at(5, 0)), Some(&at(5, 42_900_000))), "42ms");
        assert_eq!(between(Some(&at(0, 0)), None), "");
    }

    #[test]
    fn a_moment_is_a_time_or_an_age() {
        assert_eq!(parse_moment("2026-01-02T03:04:05Z"), Ok(at(1_767_323_045, 0)));
        let hour_ago = parse_moment("1h").expect("an age").seconds;
        let now = Timestamp::from(SystemTime::now()).seconds;
        assert!((3_599..=3_601).contains(&(now - hour_ago)));
        assert!(parse_moment("yesterday").is_err());
    }

    #[test]
    fn a_start_is_a_time_or_how_long_from_now() {
        assert_eq!(parse_start("2026-01-02T03:04:05Z"), Ok(at(1_767_323_045, 0)));
        let in_an_hour = parse_start("1h").expect("a time").seconds;
        let now = Timestamp::from(SystemTime::now()).seconds;
        assert!((3_599..=3_601).contains(&(in_an_hour - now)));
        assert!(parse_start("tomorrow").is_err());
    }

    #[test]
    fn a_duration_of_zero_is_refused() {
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert!(parse_duration("0s").is_err() && parse_duration("soon").is_err());
    }
}
