//! What is asked of a worker's process beside its jobs, and what it answers.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::{job::Failure, preflight::Preflight, volume::Seen};

/// What kind of thing is asked. Stored as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, AsExpression, FromSqlRow)]
#[strum(serialize_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Kind {
    /// Check the login of the worker's volume.
    CheckVolume,
    /// Take nothing new, finish what there is, then end.
    Drain,
    /// From server to server: is the worker behind this stream alive? If it isn't, end the stream.
    Probe,
    /// From server to server: end this stream, since its worker has a newer one.
    Replace,
    /// Log the worker's volume in.
    LoginVolume,
    /// Log it out.
    LogoutVolume,
    /// Remove what the agent has piled up in it.
    CleanVolume,
    /// Stop another command.
    Stop,
}

/// What is asked, with what belongs to it. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Order {
    /// See [`Kind::CheckVolume`].
    CheckVolume {
        /// The volume.
        volume: String,
        /// Whether to make a real call as well.
        #[serde(default)]
        probe: bool,
        /// The run that it is made for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_id: Option<Uuid>,
    },
    /// See [`Kind::LoginVolume`].
    LoginVolume {
        /// The volume.
        volume: String,
        /// An API key that only the worker can read, in base64; by device code when there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed_api_key: Option<String>,
    },
    /// See [`Kind::LogoutVolume`].
    LogoutVolume {
        /// The volume.
        volume: String,
    },
    /// See [`Kind::CleanVolume`].
    CleanVolume {
        /// The volume.
        volume: String,
    },
    /// See [`Kind::Stop`].
    Stop {
        /// The other command.
        command_id: Uuid,
    },
    /// See [`Kind::Drain`].
    Drain {
        /// For the log.
        reason: String,
    },
    /// See [`Kind::Probe`].
    Probe,
    /// See [`Kind::Replace`].
    Replace,
}

impl Order {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::CheckVolume { .. } => Kind::CheckVolume,
            Self::Drain { .. } => Kind::Drain,
            Self::Probe => Kind::Probe,
            Self::Replace => Kind::Replace,
            Self::LoginVolume { .. } => Kind::LoginVolume,
            Self::LogoutVolume { .. } => Kind::LogoutVolume,
            Self::CleanVolume { .. } => Kind::CleanVolume,
            Self::Stop { .. } => Kind::Stop,
        }
    }
}

/// How far a command is that takes its time. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case")]
pub enum Progress {
    /// A login waits for a person.
    DeviceCode {
        /// Page to open.
        verification_url: String,
        /// Code to enter there.
        user_code: String,
        /// Until then the code is good, in database time.
        expires_at: DateTime<Utc>,
    },
    /// A login is stored and is being checked.
    LoginStored,
}

/// A step of a command, as the worker says it: times are durations, since clocks of workers are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// See [`Progress::DeviceCode`].
    DeviceCode {
        /// Page to open.
        verification_url: String,
        /// Code to enter there.
        user_code: String,
        /// For this long the code is good.
        expires_in: Duration,
    },
    /// See [`Progress::LoginStored`].
    LoginStored,
}

impl Step {
    /// The step, said at this time.
    pub fn at(self, now: DateTime<Utc>) -> Progress {
        match self {
            Self::DeviceCode {
                verification_url,
                user_code,
                expires_in,
            } => Progress::DeviceCode {
                verification_url,
                user_code,
                expires_at: TimeDelta::from_std(expires_in)
                    .ok()
                    .and_then(|left| now.checked_add_signed(left))
                    .unwrap_or(now),
            },
            Self::LoginStored => Progress::LoginStored,
        }
    }
}

/// How it went. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Of a check, a login and a logout: the check, and the volume as it was seen.
    Checked {
        /// The check.
        check: Preflight,
        /// The volume.
        seen: Option<Seen>,
    },
    /// Of a clean-up.
    Cleaned {
        /// Bytes that are free now and were not before.
        freed_bytes: i64,
        /// Its name.
        volume: String,
        /// The volume.
        seen: Option<Seen>,
    },
    /// Of a drain: it has begun.
    Drains {
        /// Jobs that the worker still has to finish.
        running: i32,
    },
    /// Of a probe.
    Probed {
        /// Whether the worker gave a sign of life; if not, its stream has been ended.
        alive: bool,
    },
    /// Of a replacement: the stream has ended, or is about to.
    Replaced,
    /// It could not be done, in the worker's words.
    Failed(Failure),
    /// Nobody answered in time.
    Expired,
}
