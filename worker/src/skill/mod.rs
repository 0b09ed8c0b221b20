//! Skills: folders in the Agent Skills format, which tell an agent, or a program of their own, how a stage is done.
//!
//! A skill lies in two mirrors, `.codex/skills/<name>` and `.agents/skills/<name>`, which are alike byte for byte. Those of the root
//! ([`crate::config::Config::skills_root`]) are looked at once at start, where jobs run; those of a repository when a run needs one.

pub mod check;
pub(crate) mod envelope;
mod files;
mod format;
mod front_matter;
mod health;
mod judge;
mod log;
mod mirrors;
pub mod mistake;
pub(crate) mod program;
mod registry;
pub mod repository;

use std::{collections::BTreeMap, path::PathBuf};

use moorline_proto::v1;

pub use self::{
    format::is_name,
    registry::{Found, Registry},
};
use crate::stage::failure;

/// Where skills lie below a root or a checkout. What is in them is the same.
pub const MIRRORS: [&str; 2] = [".codex/skills", ".agents/skills"];

/// A skill that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    /// Its name: that of its folder.
    pub name: String,
    /// What it is for, in its author's words.
    pub description: String,
    /// `version` of its metadata; empty without one.
    pub version: String,
    /// SHA-256 over names, modes and contents of its files, in lower-case hex.
    pub digest: String,
    /// Stages that it carries, and how.
    pub stages: BTreeMap<v1::Stage, Carrier>,
    /// The program that says whether all is well with it, relative to its folder.
    pub health: Option<String>,
    /// Its `SKILL.md` without the front matter.
    pub text: String,
    /// Its folder: for a skill of the root as containers see it, for a repository's where it lies in the checkout.
    pub folder: PathBuf,
    /// Where it was found.
    pub source: Source,
}

/// How a skill carries a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// The agent is given its text.
    Instructions,
    /// This program does it, relative to the skill's folder.
    Executable(String),
}

/// Where a skill was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the root, which the operator fills.
    Root,
    /// In a run's own repository.
    Repository,
}

/// Why a skill can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It isn't there.
    #[error("the skill {name} is not in {place}: put it into both {} and {} there", MIRRORS[0], MIRRORS[1])]
    Missing {
        /// Its name.
        name: String,
        /// Where it was looked for, in words.
        place: String,
    },
    /// It is there and can't be used.
    #[error("the skill {name} of {place} can't be used: {}", .mistakes.join("; "))]
    Invalid {
        /// Its name.
        name: String,
        /// Where it lies, in words.
        place: String,
        /// What is wrong with it, each with what to do.
        mistakes: Vec<String>,
    },
}

impl Error {
    /// The failure of a stage that needs the skill: its own fault, which a built-in way may make up for.
    pub fn failure(&self) -> v1::Failure {
        let code = match self {
            Self::Missing { .. } => "SKILL_MISSING",
            Self::Invalid { .. } => "SKILL_INVALID",
        };
        failure(code, v1::FailureClass::Job, self.to_string())
    }
}

#[cfg(test)]
mod tests;
