//! Kinds of workers, by the queues that they serve: what each needs.

use std::path::Path;

use crate::config::{Config, GEMINI_QUEUE};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One without an agent.
    Default,
    /// One of a Codex shard.
    Codex,
    /// One that runs Gemini.
    Gemini,
}

impl Kind {
    pub(super) fn of(config: &Config) -> Self {
        match config.login_queue() {
            Some(GEMINI_QUEUE) => Self::Gemini,
            Some(_) => Self::Codex,
            None => Self::Default,
        }
    }

    /// Name of its check of the volume.
    pub(super) fn volume(self) -> &'static str {
        match self {
            Self::Gemini => "gemini_volume",
            Self::Codex | Self::Default => "codex_volume",
        }
    }

    /// Name of its check of the login.
    pub(super) fn login(self) -> &'static str {
        match self {
            Self::Gemini => "gemini_login",
            Self::Codex | Self::Default => "codex_login",
        }
    }

    /// The setting that names its volume.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Gemini => "MOORLINE_GEMINI_VOLUME",
            Self::Codex | Self::Default => "CODEX_VOLUME_NAME",
        }
    }

    /// Where its containers usually have their volume.
    pub(super) fn usual_path(self) -> &'static Path {
        match self {
            Self::Gemini => Path::new("/home/app/.gemini"),
            Self::Codex | Self::Default => Path::new("/home/app/.codex"),
        }
    }
}
