//! Variables that no flag stands for: secrets, since the process list shows flags, and what is wanted before flags are read.
//!
//! Beside the flags of [`crate::config::Args`] this is all that a worker is set by. `docs/configuration.md` is made of both.

/// A variable that is read by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What counts while it is not set, in words of the variable; empty for nothing.
    pub default: &'static str,
    /// Whether its value must turn up nowhere.
    pub secret: bool,
    /// What it is for, in one sentence or two.
    pub about: &'static str,
}

impl Variable {
    /// What it is set to. Blank counts as not set.
    pub fn read(&self) -> Option<String> {
        let value = std::env::var(self.name).ok()?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The same, or else its default.
    pub fn read_or_default(&self) -> String {
        self.read().unwrap_or_else(|| self.default.to_owned())
    }
}

/// Token for git and the forge.
pub const GITHUB_TOKEN: Variable = Variable {
    name: "GITHUB_TOKEN",
    default: "",
    secret: true,
    about: "Token for git over HTTPS and for pull requests",
};

/// What agents get beside what the worker sets.
pub const CODEX_ENV: Variable = Variable {
    name: "CODEX_ENV",
    default: "",
    secret: true,
    about: "Further environment of every container of Codex, jobs and login commands alike: `NAME=value`, one a line or with commas between them",
};

/// Key of Gemini's agents.
pub const GEMINI_API_KEY: Variable = Variable {
    name: "GEMINI_API_KEY",
    default: "",
    secret: true,
    about: "API key that Gemini is given where its volume holds no login",
};

/// The same by Google's own name.
pub const GOOGLE_API_KEY: Variable = Variable {
    name: "GOOGLE_API_KEY",
    default: "",
    secret: true,
    about: "The same where `GEMINI_API_KEY` is not set",
};

/// Where Docker is.
pub const DOCKER_HOST: Variable = Variable {
    name: "DOCKER_HOST",
    default: "unix:///var/run/docker.sock",
    secret: false,
    about: "Where the Docker engine answers",
};

/// What is logged.
pub const LOG: Variable = Variable {
    name: "MOORLINE_LOG",
    default: "info",
    secret: false,
    about: "What is logged, such as `info,moorline_worker=debug`",
};

/// How it is logged.
pub const LOG_FORMAT: Variable = Variable {
    name: "MOORLINE_LOG_FORMAT",
    default: "human",
    secret: false,
    about: "Form of the log on standard error: `human`, or `json` for programs",
};

/// All of them.
pub const ALL: [Variable; 7] = [
    GITHUB_TOKEN,
    CODEX_ENV,
    GEMINI_API_KEY,
    GOOGLE_API_KEY,
    DOCKER_HOST,
    LOG,
    LOG_FORMAT,
];
