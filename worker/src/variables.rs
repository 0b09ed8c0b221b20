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

/// Keys of Google, the first by its own name.
pub const GOOGLE_API_KEY: Variable = secret(
    "GOOGLE_API_KEY",
    "Key for Google's embeddings; Gemini takes it as well where it has none of its own",
);

/// The second by the name that Gemini knows.
pub const GEMINI_API_KEY: Variable = secret(
    "GEMINI_API_KEY",
    "Key for Gemini; Google's embeddings take it where there is no `GOOGLE_API_KEY`",
);

/// Key of OpenAI.
pub const OPENAI_API_KEY: Variable = secret("OPENAI_API_KEY", "Key for OpenAI's embeddings");

/// File of [`GITHUB_TOKEN`].
pub const GITHUB_TOKEN_FILE: Variable = file(
    "GITHUB_TOKEN_FILE",
    "File that holds `GITHUB_TOKEN`, instead; empty counts as not set",
);

/// File of [`CODEX_ENV`].
pub const CODEX_ENV_FILE: Variable = file("CODEX_ENV_FILE", "File that holds `CODEX_ENV`, instead; empty counts as not set");

/// File of [`GOOGLE_API_KEY`].
pub const GOOGLE_API_KEY_FILE: Variable = file(
    "GOOGLE_API_KEY_FILE",
    "File that holds `GOOGLE_API_KEY`, instead; empty counts as not set",
);

/// File of [`GEMINI_API_KEY`].
pub const GEMINI_API_KEY_FILE: Variable = file(
    "GEMINI_API_KEY_FILE",
    "File that holds `GEMINI_API_KEY`, instead; empty counts as not set",
);

/// File of [`OPENAI_API_KEY`].
pub const OPENAI_API_KEY_FILE: Variable = file(
    "OPENAI_API_KEY_FILE",
    "File that holds `OPENAI_API_KEY`, instead; empty counts as not set",
);

const fn secret(name: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        default: "",
        secret: true,
        about,
    }
}

/// Its value is a path.
const fn file(name: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        default: "",
        secret: false,
        about,
    }
}

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
pub const ALL: [Variable; 13] = [
    GITHUB_TOKEN,
    GITHUB_TOKEN_FILE,
    CODEX_ENV,
    CODEX_ENV_FILE,
    GOOGLE_API_KEY,
    GOOGLE_API_KEY_FILE,
    GEMINI_API_KEY,
    GEMINI_API_KEY_FILE,
    OPENAI_API_KEY,
    OPENAI_API_KEY_FILE,
    DOCKER_HOST,
    LOG,
    LOG_FORMAT,
];
