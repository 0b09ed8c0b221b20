//! The stages of a run, and what each has to say when it succeeds.

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

/// A stage, in the order of a run. Stored as text.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
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
pub enum Stage {
    /// Reads the task list.
    Discover,
    /// The agent works.
    Submit,
    /// Commits, pushes, opens a pull request.
    Publish,
}

impl Stage {
    /// Whether the stage may be run again elsewhere as soon as its worker's stream has ended: discover has no outside effect, and two
    /// publishers do no harm. The agent's stage costs money and is waited for.
    pub fn is_cheap(self) -> bool {
        matches!(self, Self::Discover | Self::Publish)
    }
}

/// What a stage reports when it succeeds, stored with its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Outcome {
    /// Of discover.
    Discover(Discovered),
    /// Of submit.
    Submit(Submitted),
    /// Of publish.
    Publish(Published),
}

impl Outcome {
    /// The stage that it is of.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Discover(_) => Stage::Discover,
            Self::Submit(_) => Stage::Submit,
            Self::Publish(_) => Stage::Publish,
        }
    }
}

/// What discover found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    /// The branch that the run starts from.
    pub base_ref: String,
    /// Its commit.
    pub base_commit: String,
    /// The next phase with unchecked tasks; `None` when there is no work.
    pub phase: Option<TaskPhase>,
    /// The feature's checklists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklists: Vec<Checklist>,
}

/// A checklist of a feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checklist {
    /// Name of its file without `.md`.
    pub name: String,
    /// Its points.
    pub total: i32,
    /// Those that are checked.
    pub done: i32,
}

/// A phase of a task list, with what is left to do in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPhase {
    /// As written after `Phase`.
    pub number: String,
    /// As written.
    pub title: String,
    /// Its unchecked tasks, in order.
    pub tasks: Vec<Task>,
    /// Numbers of the phases that must be done before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

/// One line of a task list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Such as `T013`.
    pub id: String,
    /// Text after the marks.
    pub description: String,
    /// Whether it bears `[P]`.
    pub parallel: bool,
    /// Such as `US2`; empty outside user stories.
    pub story: String,
    /// Line in the file, from 1.
    pub line: i32,
}

/// What the agent's work came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The agent's own thread id.
    pub codex_task_id: String,
    /// Commit that the patch applies to.
    pub base_commit: String,
    /// Artifact id of the patch.
    pub patch_artifact_id: Uuid,
    /// Files that the patch touches.
    pub files_changed: i32,
    /// Lines added.
    pub insertions: i32,
    /// Lines removed.
    pub deletions: i32,
    /// Tokens read, as the agent reported.
    pub input_tokens: i64,
    /// Tokens written, as the agent reported.
    pub output_tokens: i64,
    /// Tasks of the phase that the patch ticks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks_done: Vec<String>,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The branch that was pushed.
    pub branch_name: String,
    /// The commit on it.
    pub commit: String,
    /// The pull request; empty without a forge.
    pub pr_url: String,
    /// Whether the pull request was there before.
    pub pr_existed: bool,
}
