//! A job: one attempt of one stage, the unit that a worker claims.

use std::collections::BTreeMap;

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::stage::{Discovered, Submitted};

/// Where in its life a job is. Stored as text; the database refuses other steps than those of [`Status::can_become`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Status {
    /// Waits for a worker, or is parked.
    Queued,
    /// Accepted by a worker.
    Running,
    /// Did what it should.
    Succeeded,
    /// Did not.
    Failed,
    /// Was not needed.
    Skipped,
    /// Its run was cancelled.
    Cancelled,
}

impl Status {
    /// Whether a job may go from `self` to `next`. A queued job fails without a worker when the server itself refuses it.
    pub fn can_become(self, next: Self) -> bool {
        use Status::{Cancelled, Failed, Queued, Running, Skipped, Succeeded};
        match self {
            Queued => matches!(next, Running | Failed | Skipped | Cancelled),
            Running => matches!(next, Succeeded | Failed | Cancelled),
            Succeeded | Failed | Skipped | Cancelled => false,
        }
    }
}

/// Why a queued job is offered to nobody. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[diesel(sql_type = Text)]
pub enum HoldReason {
    /// An operator drains its shard.
    ShardDraining,
    /// No worker holds its shard's volume.
    ShardOffline,
    /// Its shard's login must be renewed.
    WaitingAuth,
    /// Its login is rate-limited for now.
    CoolingDown,
    /// What is known of its login is too old: the shard's worker is asked to check it.
    CheckingLogin,
}

/// Whose failure it is, which decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, VariantArray, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The job's own: another attempt would fail the same way.
    Job,
    /// The machine's: another worker may do better.
    Environment,
    /// The login's: an operator must renew it.
    Login,
    /// The worker went away.
    LostWorker,
}

/// Why a job failed, stored with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable upper-case name.
    pub code: String,
    /// What happened and what to do next.
    pub message: String,
    /// Whose failure it is.
    pub class: FailureClass,
    /// Further facts by name.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
}

impl Failure {
    /// A job's worker went away with it.
    pub fn worker_lost(worker: &str) -> Self {
        Self {
            code: "WORKER_LOST".to_owned(),
            message: format!("worker {worker} went away while it ran this job: nothing to do while attempts are left"),
            class: FailureClass::LostWorker,
            details: BTreeMap::new(),
        }
    }
}

/// What a job works from: what the stages before it reported, stored when it is queued.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Payload {
    /// What discover found; unset for discover itself, and for a forced submit, which looks for itself.
    pub discover: Option<Discovered>,
    /// What submit left; set for publish.
    pub submit: Option<Submitted>,
    /// How often a client had retried the run when the job was queued: attempts are counted anew after each.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// The run's place in its client's trace, as W3C Trace Context has it; empty where the client has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_takes_no_step_but_those_of_its_life() {
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
        queued → running
        queued → failed
        queued → skipped
        queued → cancelled
        running → succeeded
        running → failed
        running → cancelled
        ");
    }
}
