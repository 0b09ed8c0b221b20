//! A run: one request to advance one feature of one repository.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::{Error, stage::Stage};

/// Where in its life a run is. Stored as text; the database refuses the steps that [`Status::can_become`] does not know.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    AsExpression,
    FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Status {
    /// No worker has accepted a job of it yet.
    Pending,
    /// A worker has accepted a job of it.
    Running,
    /// Every stage that it asked for has succeeded.
    Succeeded,
    /// A stage has failed for good.
    Failed,
    /// The task list has no unchecked task.
    NoWork,
    /// Cancelled by a client.
    Cancelled,
    /// Failed before, and queued again.
    Retrying,
}

impl Status {
    /// Whether a run may go from `self` to `next`.
    pub fn can_become(self, next: Self) -> bool {
        use Status::{Cancelled, Failed, NoWork, Pending, Retrying, Running, Succeeded};
        match self {
            Pending => matches!(next, Running | Failed | Cancelled),
            Running => matches!(next, Succeeded | Failed | NoWork | Cancelled),
            Failed => matches!(next, Retrying),
            Retrying => matches!(next, Running | Failed | Cancelled),
            Succeeded | NoWork | Cancelled => false,
        }
    }

    /// Whether the run has ended, for now or for good.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::NoWork | Self::Cancelled)
    }
}

/// How far a run has come. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Phase {
    /// Reading the task list.
    Discover,
    /// The agent is at work.
    Submit,
    /// The patch is being published.
    Publish,
    /// Nothing is left to do.
    Complete,
}

impl From<Stage> for Phase {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Discover => Self::Discover,
            Stage::Submit => Self::Submit,
            Stage::Publish => Self::Publish,
        }
    }
}

/// The agent CLI that does the work. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Agent {
    /// OpenAI's Codex CLI.
    Codex,
    /// Google's Gemini CLI.
    Gemini,
}

/// What a run does when its shard takes no work now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnShardUnavailable {
    /// Wait, with a hold reason on the job.
    #[default]
    Wait,
    /// Be refused.
    Refuse,
}

/// What a run does when its shard's login isn't good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAuthFailure {
    /// Fail at once, with the remedy.
    #[default]
    Fail,
    /// Wait for a renewed login.
    Wait,
}

/// The client's choices, stored as one document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Higher goes first, −100 to 100.
    pub priority: i32,
    /// What to do when the shard takes no work.
    pub on_shard_unavailable: OnShardUnavailable,
    /// What to do when the login is bad.
    pub on_auth_failure: OnAuthFailure,
    /// Longest time for the agent in seconds; the server's default when unset.
    pub agent_timeout_seconds: Option<u32>,
    /// The first job is offered to nobody before this time. Left out of the document when unset, as the next two are: the digest of a request
    /// that says nothing of them is what it was before there were such choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// Longest time that a job of the run may wait in its queue; the server's default when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout_seconds: Option<u32>,
    /// Skills for some of the stages, in place of those that the policy names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stage_skills: BTreeMap<Stage, String>,
    /// SHA-256 over the content of the request, which tells whether a repeated idempotency key means the same.
    pub request_digest: String,
}

/// Branch of a run: `moorline/<feature_key>/<last 12 hex digits of the run id>`. The prefix is there because a branch called
/// `<feature_key>`, which Spec Kit users often have, leaves git no room for branches below that name.
pub fn branch_name(feature_key: &str, run_id: Uuid) -> String {
    let digits = run_id.simple().to_string();
    format!("moorline/{feature_key}/{}", &digits[20..])
}

/// The stages that a run goes through, in order.
pub fn stages(forced: Option<Phase>) -> &'static [Stage] {
    match forced {
        None | Some(Phase::Complete) => &[Stage::Discover, Stage::Submit, Stage::Publish],
        Some(Phase::Discover) => &[Stage::Discover],
        Some(Phase::Submit) => &[Stage::Submit],
        Some(Phase::Publish) => &[Stage::Publish],
    }
}

/// Longest feature key, in characters.
const FEATURE_KEY_MAX: usize = 120;

/// Checks that a feature key names one folder directly under `specs/`, and can be part of a branch name.
///
/// # Errors
///
/// `INVALID_FEATURE_KEY`, with what is wrong.
pub fn check_feature_key(feature_key: &str) -> Result<(), Error> {
    let wrong = if feature_key.trim().is_empty() {
        "is empty"
    } else if feature_key.chars().count() > FEATURE_KEY_MAX {
        "is longer than 120 characters"
    } else if feature_key.contains(['/', '\\']) {
        "holds a slash"
    } else if feature_key.contains("..") {
        "holds `..`"
    } else if feature_key.starts_with(['.', '-']) || feature_key.ends_with(['.', ' ']) || feature_key.ends_with(".lock") {
        "begins with a dot or a dash, or ends with a dot, a space or `.lock`"
    } else if feature_key.contains(|c: char| c.is_control() || c.is_whitespace() || "~^:?*[@{".contains(c)) {
        "holds white space or one of ~^:?*[@{"
    } else {
        return Ok(());
    };
    let message = format!("feature_key {wrong}: give the name of one folder under specs/, such as 001-greeting");
    Err(Error::invalid("feature_key", "INVALID_FEATURE_KEY", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_takes_no_step_but_those_of_its_life() {
        let allowed: Vec<String> = Status::VARIANTS
            .iter()
            .flat_map(|from| {
                Status::VARIANTS
                    .iter()
                    .filter(|to| from.can_become(**to))
                    .map(move |to| format!("{from} → {to}"))
            })
            .collect();
        insta::assert_snapshot!(allowed.join("\n"), @r"
        pending → running
        pending → failed
        pending → cancelled
        running → succeeded
        running → failed
        running → no_work
        running → cancelled
        failed → retrying
        retrying → running
        retrying → failed
        retrying → cancelled
        ");
    }

    #[test]
    fn a_branch_bears_the_end_of_the_run_id() {
        let id = Uuid::parse_str("01932c07-a3f0-7aaa-8bbb-0123456789ab").unwrap();
        assert_eq!(branch_name("001-greeting", id), "moorline/001-greeting/0123456789ab");
    }

    #[test]
    fn feature_keys_that_leave_specs_are_refused() {
        let long = "x".repeat(121);
        for key in [
            "", "  ", "..", "a/../b", "a/b", "a\\b", "../x", ".git", "-x", "a b", "x.lock", "a..b", "a\nb", "@{1}", &long,
        ] {
            assert_eq!(check_feature_key(key).unwrap_err().reason, "INVALID_FEATURE_KEY", "{key:?}");
        }
        for key in ["001-greeting", "20261120-101500-login", "größe", &"x".repeat(120)] {
            assert_eq!(check_feature_key(key), Ok(()), "{key:?}");
        }
    }
}
