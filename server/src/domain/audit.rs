//! What was known of a run's credentials when they were looked at.

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::preflight;

/// What was known of a run's credentials before a stage began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The agent's login; `None` when it wasn't looked at.
    pub codex_status: Option<CodexStatus>,
    /// The forge's token; `None` when it wasn't looked at.
    pub github_status: Option<GithubStatus>,
    /// For people; no secret.
    pub notes: String,
}

/// State of the agent's login. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum CodexStatus {
    /// It works.
    Valid,
    /// It doesn't.
    Invalid,
    /// It works, and must be renewed soon.
    ExpiresSoon,
}

impl CodexStatus {
    /// What a login check says of it.
    pub fn of_check(status: preflight::Status) -> Option<Self> {
        match status {
            preflight::Status::Passed => Some(Self::Valid),
            preflight::Status::Failed => Some(Self::Invalid),
            preflight::Status::Skipped => None,
        }
    }
}

/// State of the forge's token. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum GithubStatus {
    /// It works.
    Valid,
    /// It doesn't.
    Invalid,
    /// It works, but may not do what publishing needs.
    ScopeMissing,
}
