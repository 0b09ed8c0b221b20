//! What is told of a comparison: the artifact `shadow-drift.json`.

use moorline_proto::v1::{ExecutionPath, ShadowStatus, Stage};
use serde::Serialize;

use super::{Side, Tolerance, fields::Field, patches::FileDrift};
use crate::stage::plain;

/// Most files that are listed; those that differ come first.
const FILES: usize = 1000;

/// How two ways of one stage came out. Its size is bounded, whatever an agent or a skill has made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Document {
    /// `discover`, `submit` or `publish`.
    pub stage: String,
    /// The way that counted.
    pub primary: Way,
    /// The way without effect.
    pub shadow: Way,
    /// Whether they agree.
    pub status: Status,
    /// What may differ in spite of `same`.
    pub tolerance: Tolerance,
    /// One line for people: why they differ, or why nothing could be compared.
    pub detail: String,
    /// Files that either way has changed. Of submit alone.
    pub files: Vec<FileDrift>,
    /// Files that are not in this list, for its length.
    pub files_left_off: usize,
    /// What differs beside files.
    pub fields: Vec<Field>,
    #[serde(skip)]
    pub(super) files_differing: usize,
}

/// A way, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Way {
    /// `skill`, `direct_only` or `direct_fallback`.
    pub path: String,
    /// `succeeded`, `failed`, or `none` for one that was not taken to its end.
    pub outcome: &'static str,
    /// Code of its failure; empty for none.
    pub code: String,
}

/// Whether two ways agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Within the tolerance.
    Same,
    /// Not within it.
    Drift,
    /// There was nothing to compare.
    NotCompared,
}

impl Document {
    pub(super) fn new(stage: Stage, primary: Way, shadow: Way, tolerance: Tolerance) -> Self {
        Self {
            stage: plain(stage.as_str_name(), "STAGE_"),
            primary,
            shadow,
            status: Status::Same,
            tolerance,
            detail: "both ways came to the same".to_owned(),
            files: Vec::new(),
            files_left_off: 0,
            fields: Vec::new(),
            files_differing: 0,
        }
    }

    /// A shadow that came to nothing that could be compared, for the reason given.
    pub fn not_compared(stage: Stage, primary: &Side, shadow: ExecutionPath, why: impl Into<String>) -> Self {
        let none = Way {
            path: path_name(shadow),
            outcome: "none",
            code: String::new(),
        };
        Self::new(stage, primary.way(), none, Tolerance::STRICT).without(why)
    }

    /// The same without a comparison.
    pub(super) fn without(mut self, why: impl Into<String>) -> Self {
        self.status = Status::NotCompared;
        self.detail = why.into();
        self
    }

    pub(super) fn drift(mut self, detail: String) -> Self {
        self.status = Status::Drift;
        self.detail = detail;
        self
    }

    /// Takes the files in, as many as may be listed.
    pub(super) fn list(&mut self, mut files: Vec<FileDrift>) {
        self.files_differing = files.iter().filter(|file| !file.same).count();
        files.sort_by(|one, other| (one.same, &one.path).cmp(&(other.same, &other.path)));
        self.files_left_off = files.len().saturating_sub(FILES);
        files.truncate(FILES);
        self.files = files;
    }

    /// The status as the server knows it.
    pub fn shadow_status(&self) -> ShadowStatus {
        match self.status {
            Status::Same => ShadowStatus::Same,
            Status::Drift => ShadowStatus::Drift,
            Status::NotCompared => ShadowStatus::NotCompared,
        }
    }

    /// How many files differ, whether they are listed or not.
    pub fn files_differing(&self) -> i32 {
        i32::try_from(self.files_differing).unwrap_or(i32::MAX)
    }
}

/// The plain name of a way.
pub(super) fn path_name(path: ExecutionPath) -> String {
    plain(path.as_str_name(), "EXECUTION_PATH_")
}
