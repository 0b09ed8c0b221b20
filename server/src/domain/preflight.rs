//! A login check and what exactly it found.

use chrono::{DateTime, Utc};
use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// Result of a login check. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Status {
    /// The login is good, as far as the rung says.
    Passed,
    /// It isn't.
    Failed,
    /// No volume is configured.
    Skipped,
}

/// What exactly was found, from the worst to the best. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[diesel(sql_type = Text)]
pub enum Rung {
    /// The volume doesn't exist.
    VolumeMissing,
    /// The credential can't be read by the job's user.
    Unreadable,
    /// The credential is truncated, or none at all.
    Corrupt,
    /// Nobody is logged in.
    NotLoggedIn,
    /// The login has expired and can't be refreshed.
    Expired,
    /// The issuer has revoked it.
    Revoked,
    /// The account is rate-limited.
    RateLimited,
    /// Engine, image or CLI are missing or broken.
    EnvironmentBroken,
    /// No answer in time.
    TimedOut,
    /// The CLI said something that isn't understood.
    Unknown,
    /// The CLI says that a login is stored.
    Present,
    /// The token's own dates say that it is valid.
    Unexpired,
    /// A real call worked lately.
    Proven,
    /// Another volume holds the same login.
    Duplicate,
}

impl Rung {
    /// Whether it says that the login is no good, which only a person can mend. The other failures say nothing of the login.
    #[must_use]
    pub fn is_bad_login(self) -> bool {
        match self {
            Self::VolumeMissing
            | Self::Unreadable
            | Self::Corrupt
            | Self::NotLoggedIn
            | Self::Expired
            | Self::Revoked
            | Self::Duplicate => true,
            Self::RateLimited
            | Self::EnvironmentBroken
            | Self::TimedOut
            | Self::Unknown
            | Self::Present
            | Self::Unexpired
            | Self::Proven => false,
        }
    }

    /// Whether it leaves what was known of the login before as it was: the check could not be made.
    #[must_use]
    pub fn is_no_verdict(self) -> bool {
        matches!(self, Self::EnvironmentBroken | Self::TimedOut)
    }
}

/// Longest message of a check, in characters.
pub const MESSAGE_MAX: usize = 512;

/// One login check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// Passed, failed or skipped.
    pub status: Status,
    /// What exactly was found; `None` when nothing was checked.
    pub rung: Option<Rung>,
    /// One line; never empty when the check failed.
    pub message: String,
    /// Exit code of the CLI, when it ran.
    pub exit_code: Option<i32>,
    /// How long it took.
    pub duration_ms: i64,
    /// When the worker made it, by the worker's clock; only compared with itself and never later than the database's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<DateTime<Utc>>,
    /// For a rate limit: after this long the account may be used again, where the agent said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<i64>,
    /// The volume that was checked.
    pub volume: String,
    /// The shard's queue.
    pub queue: String,
    /// The worker that checked.
    pub worker_name: String,
}

impl Preflight {
    /// The check as it may be stored: one line of at most 512 characters, and a failure never without words.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        let line = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        self.message = line.chars().take(MESSAGE_MAX).collect();
        if self.message.is_empty() && self.status == Status::Failed {
            self.message = format!(
                "the login check of volume {} failed without a message: see the log of worker {}",
                self.volume, self.worker_name
            );
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_check_is_one_short_line_and_a_failure_has_words() {
        let check = |status, message: &str| {
            let check = Preflight {
                status,
                rung: None,
                message: message.to_owned(),
                exit_code: None,
                duration_ms: 0,
                checked_at: None,
                retry_after_ms: None,
                volume: "codex_auth_0".to_owned(),
                queue: "codex-0".to_owned(),
                worker_name: "w".to_owned(),
            };
            check.normalised().message
        };
        assert_eq!(check(Status::Passed, "two\n  lines "), "two lines");
        assert_eq!(check(Status::Failed, &"é".repeat(600)).chars().count(), 512);
        assert!(check(Status::Failed, " ").contains("codex_auth_0"));
    }
}
