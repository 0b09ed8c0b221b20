//! What is asked of a worker's process beside its jobs, and what it answers.

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::{job::Failure, preflight::Preflight};

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
}

/// What is asked, with what belongs to it. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Order {
    /// See [`Kind::CheckVolume`].
    CheckVolume {
        /// The volume.
        volume: String,
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
        }
    }
}

/// How it went. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Of a check: the check.
    Checked(Preflight),
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
