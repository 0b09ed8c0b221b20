//! The legs that an attempt may have. Each has a container of its own.

use serde::{Deserialize, Serialize};

/// Whose container it is, of those that one attempt may start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// The built-in way, and no other was tried.
    #[default]
    Direct,
    /// An agent that works by a skill's instructions.
    Skill,
    /// A skill's program.
    Program,
    /// The built-in way after a skill that failed.
    Fallback,
    /// The other way, beside the first and without any effect.
    Shadow,
}

impl Leg {
    /// Label of its container.
    pub const LABEL: &str = "moorline.leg";

    /// Its name in labels and in names of containers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Skill => "skill",
            Self::Program => "program",
            Self::Fallback => "fallback",
            Self::Shadow => "shadow",
        }
    }

    /// Whether a container with this label is its; one from before there were legs went the built-in way.
    pub fn is_of(self, label: Option<&str>) -> bool {
        label.unwrap_or(Self::Direct.name()) == self.name()
    }

    /// Name of its container.
    pub(crate) fn container(self, job_id: &str, lease_token: i64) -> String {
        match self {
            Self::Direct => format!("moorline-{job_id}-{lease_token}"),
            other => format!("moorline-{job_id}-{lease_token}-{}", other.name()),
        }
    }
}
