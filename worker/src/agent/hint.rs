//! How long an account is to be left alone, in the CLI's or the issuer's own words.

use std::{sync::LazyLock, time::Duration};

use chrono::{DateTime, Days, NaiveDateTime, Utc};
use regex::Regex;

/// What comes before a time, and what stands between.
static BEFORE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:try again in|retry(?:ing)?[ _-]?(?:after|in)|resets?[ _-]in)(?:[ _-](?:seconds|secs))?[^A-Za-z0-9.]{1,6}").ok()
});
/// A number with its unit, and what may join it to one before.
static PART: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)^[\s,]*(?:and\s+)?(\d{1,9}(?:\.\d{1,9})?)\s*(ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)?")
        .ok()
});
/// The minute when it is over, with its day where that isn't today or the next, by the clock that the CLI's `TZ` says: UTC.
static AT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)try again at (?:([a-z]{3})[a-z]* (\d{1,2})(?:st|nd|rd|th)?,? (\d{4}),? )?(?:at )?(\d{1,2}:\d{2}) ?(am|pm)").ok()
});
/// A hint beyond this is no hint.
const LONGEST: Duration = Duration::from_secs(60 * 86_400);

/// The first time that the words give; `None` where they give none.
pub(super) fn retry_after(words: &str, now: DateTime<Utc>) -> Option<Duration> {
    let before = BEFORE.as_ref()?;
    let span = before.find_iter(words).find_map(|found| time(&words[found.end()..]));
    span.or_else(|| until(words, now))
}

fn until(words: &str, now: DateTime<Utc>) -> Option<Duration> {
    let said = AT.as_ref()?.captures(words)?;
    let part = |index: usize| said.get(index).map(|part| part.as_str());
    let day = match (part(1), part(2), part(3)) {
        (Some(month), Some(day), Some(year)) => format!("{month} {day} {year}"),
        _ => now.format("%b %d %Y").to_string(),
    };
    let at = NaiveDateTime::parse_from_str(&format!("{day} {} {}", part(4)?, part(5)?), "%b %d %Y %I:%M %p")
        .ok()?
        .and_utc();
    // The minute that has begun counts as well.
    let minute = Duration::from_secs(60);
    let at = match at + minute <= now && part(1).is_none() {
        true => at.checked_add_days(Days::new(1))?,
        false => at,
    };
    let time = (at + minute - now).to_std().ok()?;
    (time <= LONGEST).then_some(time)
}

fn time(words: &str) -> Option<Duration> {
    if words.to_lowercase().starts_with("less than a minute") {
        return Some(Duration::from_secs(60));
    }
    let (mut rest, mut seconds, mut parts) = (words, 0.0, 0);
    while let Some(part) = PART.as_ref()?.captures(rest) {
        let unit = part.get(2).map(|unit| unit.as_str().to_lowercase());
        let end = part.get(0)?.end();
        let cut = rest[end..].starts_with(|next: char| next.is_alphabetic());
        // Without a unit it can only be the one number of a field, in seconds.
        if cut || (unit.is_none() && parts > 0) {
            break;
        }
        seconds += part[1].parse::<f64>().ok()? * unit.as_deref().map_or(1.0, length);
        (rest, parts) = (&rest[end..], parts + 1);
    }
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    (parts > 0 && !time.is_zero() && time <= LONGEST).then_some(time)
}

/// Seconds of a unit.
fn length(unit: &str) -> f64 {
    match unit {
        _ if unit.starts_with("ms") || unit.starts_with("mil") => 0.001,
        _ if unit.starts_with('s') => 1.0,
        _ if unit.starts_with('m') => 60.0,
        _ if unit.starts_with('h') => 3600.0,
        _ if unit.starts_with('d') => 86_400.0,
        _ => 604_800.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_however_it_is_put() {
        for (words, seconds) in [
            ("You've hit your usage limit. Try again in 5 minutes.", 300.0),
            ("Try again in 3 days 4 hours", 273_600.0),
            ("try again in 1 day, 2 hours and 3 minutes or upgrade", 93_780.0),
            ("Please try again in 11.054s. Visit https://x", 11.054),
            ("Please try again in 28ms.", 0.028),
            ("try again in 1h2m3s", 3723.0),
            ("Try again in less than a minute.", 60.0),
            (r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":3600}}"#, 3600.0),
            (r#"{\"resets_in_seconds\": 90}"#, 90.0),
            ("retry after 12s", 12.0),
            ("Retry-After: 120", 120.0),
            ("retrying in 2 seconds", 2.0),
        ] {
            let found = retry_after(words, Utc::now()).unwrap_or_else(|| panic!("nothing in {words}"));
            assert!((found.as_secs_f64() - seconds).abs() < 1e-6, "{words}: {found:?}");
        }
    }

    #[test]
    fn a_minute_of_the_clock_is_read_as_well() {
        let now: DateTime<Utc> = "2026-11-20T16:47:30Z".parse().unwrap();
        for (words, seconds) in [
            ("or try again at 6:47 PM.", 7230),
            ("or try again at 3:47 AM.", 11 * 3600 + 30),
            ("try again at 4:47 PM", 30),
            ("try again at 4:46 PM", 86_400 - 30),
            ("try again at Nov 23rd, 2026 4:47 PM.", 3 * 86_400 + 30),
            ("try again at Dec 1st, 2026 12:05 AM.", 10 * 86_400 + 7 * 3600 + 18 * 60 + 30),
        ] {
            assert_eq!(retry_after(words, now).map(|found| found.as_secs()), Some(seconds), "{words}");
        }
    }

    #[test]
    fn what_gives_no_time_has_none() {
        for words in [
            "exceeded retry limit, last status: 429 Too Many Requests",
            "Quota exceeded. Check your plan and billing details.",
            "try again at 13:05 PM",
            "try again at Nov 1st, 2020 4:47 PM.",
            "try again in a while",
            "try again in 0 seconds",
            "try again in 999999999 weeks",
            "retry after 3 apples",
            "try again in 5 mountains",
            "",
        ] {
            assert_eq!(retry_after(words, Utc::now()), None, "{words}");
        }
    }
}
