//! The domain as it looks on the wire: conversions between our types and the messages of `moorline.v1`, both ways.
//!
//! Shared by `api` and `session`. [`status`] is the only maker of [`tonic::Status`].

pub mod audit;
pub mod command;
pub mod document;
pub mod fleet;
pub mod job;
pub mod names;
pub mod preflight;
pub mod run;
pub mod shard;
pub mod skill;
pub mod skill_policy;
mod startup_skill;
pub mod status;
pub mod worker;

use chrono::{DateTime, Datelike as _, Utc};
use uuid::Uuid;

use crate::domain::Error;

/// A time as a message.
pub fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

/// A time out of a message; `None` when it is none or out of range.
pub fn time(timestamp: Option<&prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    let timestamp = timestamp?;
    DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).ok()?)
}

/// A time that a client gave, `None` when it gave none.
///
/// # Errors
///
/// `INVALID_TIME`, for what is none in the years 1 to 9999, which is all that a timestamp may say.
pub fn moment(field: &'static str, given: Option<&prost_types::Timestamp>) -> Result<Option<DateTime<Utc>>, Error> {
    let out_of_range = || {
        let message = format!("{field} is no time of the years 1 to 9999: give seconds since 1970 and nanoseconds below 10^9");
        Error::invalid(field, "INVALID_TIME", message)
    };
    let read = |given| {
        time(Some(given))
            .filter(|time| (1..=9999).contains(&time.year()))
            .ok_or_else(out_of_range)
    };
    given.map(read).transpose()
}

/// A duration as a message.
pub fn duration(duration: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

/// Milliseconds out of a message; 0 when there is none.
pub fn millis(duration: Option<&prost_types::Duration>) -> i64 {
    duration.map_or(0, |duration| {
        duration
            .seconds
            .saturating_mul(1000)
            .saturating_add(i64::from(duration.nanos / 1_000_000))
    })
}

/// An enum out of a message: `None` when it was left out.
///
/// # Errors
///
/// `UNKNOWN_VALUE`, for a number that this server doesn't know: it may mean something that must not be passed over.
pub fn known<O, W>(field: &'static str, number: i32) -> Result<Option<O>, Error>
where
    O: names::FromWire<W>,
    W: TryFrom<i32>,
{
    let unknown = |_| {
        Error::invalid(
            field,
            "UNKNOWN_VALUE",
            format!("{field} {number} is not known to this server: leave it out, or update the server"),
        )
    };
    W::try_from(number).map(O::from_wire).map_err(unknown)
}

/// An id out of a message.
///
/// # Errors
///
/// `INVALID_ID`, naming the field.
pub fn id(field: &'static str, text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| {
        Error::invalid(
            field,
            "INVALID_ID",
            format!("{field} {text:?} is no UUID: give it as the server printed it"),
        )
    })
}
