//! How far two ways of one stage came out alike: the one that counts, and the one in its shadow.
//!
//! Nothing here knows how a way was taken. What goes in was made by agents, skills and repositories; what comes out is bounded.

mod document;
mod fields;
mod patches;

use std::path::PathBuf;

use moorline_proto::v1::{self, ExecutionPath, Stage};
use serde::Serialize;

pub use self::{
    document::{Document, Status, Way},
    fields::Field,
    patches::{FileDrift, Lines},
};

/// How much may differ between two ways that count as the same.
///
/// Discover has none: phase, tasks and checklists are facts of one commit. Publish must come to the same tree on the same branch; what commit and
/// pull request say is a skill's to choose, and is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tolerance {
    /// Of submit: hunks that only one way has, in percent of all hunks of both, 0 to 100. A change without a hunk (a mode, a binary or an empty file) counts
    /// as one.
    pub hunks_percent: u32,
}

impl Tolerance {
    /// Nothing may differ.
    pub const STRICT: Self = Self { hunks_percent: 0 };
}

/// One way of a stage, taken to its end.
#[derive(Debug, Clone)]
pub struct Side {
    /// The way.
    pub path: ExecutionPath,
    /// What it came to.
    pub end: End,
}

/// What a way came to.
#[derive(Debug, Clone)]
pub enum End {
    /// Of discover.
    Discovered(v1::DiscoverResult),
    /// Of submit.
    Submitted(Submitted),
    /// Of publish.
    Published(Published),
    /// It failed.
    Failed(v1::Failure),
}

/// What the work of a submit stage came to.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// File with its patch, as git writes it, without renames.
    pub patch: PathBuf,
    /// Tasks that it ticks.
    pub tasks_done: Vec<String>,
}

/// What would be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Id of the commit's tree.
    pub tree: String,
    /// The branch.
    pub branch: String,
    /// The commit's message.
    pub commit_message: String,
    /// Title of the pull request.
    pub title: String,
    /// Text of the pull request.
    pub body: String,
}

impl Side {
    fn way(&self) -> Way {
        let (outcome, code) = match &self.end {
            End::Failed(failure) => ("failed", own_code(failure)),
            _ => ("succeeded", ""),
        };
        Way {
            path: document::path_name(self.path),
            outcome,
            code: code.to_owned(),
        }
    }
}

/// The code of a failure in the words of who failed: a skill's own where it gave one.
fn own_code(failure: &v1::Failure) -> &str {
    let skills = failure.details.get("skill_code").filter(|code| !code.is_empty());
    match failure.code.as_str() {
        "SKILL_FAILED" => skills.map_or("SKILL_FAILED", String::as_str),
        // The skill's is told beside it.
        "SKILL_AND_FALLBACK_FAILED" => failure
            .details
            .get("direct_code")
            .map_or("SKILL_AND_FALLBACK_FAILED", String::as_str),
        code => code,
    }
}

/// Compares two ways of a stage. Reads the patches of submit, and must not be called where blocking is not allowed.
pub fn compare(stage: Stage, primary: &Side, shadow: &Side, tolerance: Tolerance) -> Document {
    let mut document = Document::new(stage, primary.way(), shadow.way(), tolerance);
    match (&primary.end, &shadow.end) {
        (End::Failed(one), End::Failed(other)) if own_code(one) == own_code(other) => {
            document.detail = format!("both ways failed, {}", own_code(one));
            document
        }
        (End::Failed(_), _) | (_, End::Failed(_)) => {
            let ended = |way: &Way| match way.outcome {
                "failed" => format!("failed, {}", way.code),
                outcome => outcome.to_owned(),
            };
            let (one, other) = (ended(&document.primary), ended(&document.shadow));
            document.fields = vec![Field::new("outcome", &one, &other)];
            let detail = format!("{} {one}; {} {other}", document.primary.path, document.shadow.path);
            document.drift(detail)
        }
        (End::Discovered(one), End::Discovered(other)) => with_fields(document, fields::of_discover(one, other)),
        (End::Published(one), End::Published(other)) => with_fields(document, fields::of_publish(one, other)),
        (End::Submitted(one), End::Submitted(other)) => of_submit(document, one, other),
        _ => document.without("the two ways ended as different stages do: report this as a defect of the worker"),
    }
}

fn with_fields(mut document: Document, fields: Vec<Field>) -> Document {
    let differ: Vec<&str> = fields
        .iter()
        .filter(|field| !field.tolerated)
        .map(|field| field.name.as_str())
        .collect();
    let detail = match differ.split_first() {
        None => None,
        Some((first, [])) => Some(format!("{first} differs")),
        Some((first, more)) => Some(format!("{first} and {} more differ", more.len())),
    };
    document.fields = fields;
    match detail {
        None => document,
        Some(detail) => document.drift(detail),
    }
}

fn of_submit(mut document: Document, one: &Submitted, other: &Submitted) -> Document {
    let files = match patches::compare(&one.patch, &other.patch) {
        Ok(files) => files,
        Err(error) => return document.without(error.to_string()),
    };
    let (only_one, all) = files
        .iter()
        .fold((0, 0), |(only, all), file| (only + file.only_one_has(), all + file.hunks()));
    document.list(files);
    document.fields = fields::of_tasks_done(&one.tasks_done, &other.tasks_done);
    let limit = u64::from(document.tolerance.hunks_percent) * all;
    if only_one * 100 > limit {
        let detail = format!("{} files differ, in {only_one} of {all} hunks", document.files_differing());
        return document.drift(detail);
    }
    if document.fields.is_empty() {
        return document;
    }
    let fields = std::mem::take(&mut document.fields);
    with_fields(document, fields)
}

#[cfg(test)]
mod tests;
