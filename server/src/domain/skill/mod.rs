//! Skills: what is decided of a stage before its job is offered, and what is recorded of the way that it went.

mod canary;
mod decide;
mod execution;
mod explain;
mod name;
mod policy;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

pub use decide::{Foreseen, decide, foresee};
pub use execution::{Attempt, digest};
pub use name::{check_name, is_name};
pub use policy::{Policy, SPECKIT, StagePolicy, canary_percent};

use super::{job::Failure, stage::Stage};

/// The way that a stage goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ExecutionPath {
    /// A skill carries it.
    Skill,
    /// A skill was to carry it and failed; the built-in code did it.
    DirectFallback,
    /// The built-in code does it, and no skill was tried.
    DirectOnly,
}

/// Who has chosen a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The run.
    Run,
    /// The policy, for this stage.
    Stage,
    /// The policy, for every stage that names none.
    Default,
}

/// Why a stage takes the built-in code although skills come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DirectReason {
    /// Skills are switched off for all stages.
    SkillsOff,
    /// Skills are switched off for this stage.
    StageOff,
    /// The run is not in the canary's share.
    OutsideCanary,
}

/// How a skill carries a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The agent is given its text.
    Instructions,
    /// Its program does the work.
    Executable,
}

/// What the policy says of one stage of a run, stored with the run and with each attempt of the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of the proto message StageDecision, documented there")]
pub struct Decision {
    pub stage: Stage,
    pub selected_skill: String,
    pub execution_path: ExecutionPath,
    pub use_skills: bool,
    pub fallback_enabled: bool,
    pub shadow_mode: bool,
    pub source: Source,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replaced_skill: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_reason: Option<DirectReason>,
    pub canary_percent: u8,
    pub canary_bucket: u8,
    pub policy_version: i64,
    #[serde(default)]
    pub repository_skill: bool,
}

/// How an attempt went, stored with it when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of the proto message StageExecution, documented there")]
pub struct Execution {
    pub stage: Stage,
    pub selected_skill: String,
    pub execution_path: ExecutionPath,
    pub used_skills: bool,
    pub used_fallback: bool,
    pub shadow_mode_requested: bool,
    pub duration_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill_failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub skill_digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

/// Whether a shadow agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ShadowStatus {
    /// Both ways ended alike, within the tolerance.
    Same,
    /// They differ.
    Drift,
    /// There was nothing to compare.
    NotCompared,
}

/// What came of a stage's other way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of the proto message ShadowOutcome, documented there")]
pub struct Shadow {
    pub execution_path: ExecutionPath,
    pub status: ShadowStatus,
    pub files: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_id: Option<Uuid>,
    pub detail: String,
    pub duration_ms: i64,
}
