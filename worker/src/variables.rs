//! Variables that no flag stands for: secrets, since the process list shows flags, and what is wanted before flags are read.
//!
//! Beside the flags of [`crate::config::Args`] this is all that a worker is set by. `docs/configuration.md` is made of both.

pub use moorline_telemetry::variables::Variable;
use moorline_telemetry::variables::{LOG, LOG_FORMAT, OTEL_SERVICE_NAME, OTLP_ENDPOINT, OTLP_TIMEOUT};

/// Token for git and the forge.
pub const GITHUB_TOKEN: Variable = secret("GITHUB_TOKEN", "Token for git over HTTPS and for pull requests");

/// What agents get beside what the worker sets.
pub const CODEX_ENV: Variable = secret(
    "CODEX_ENV",
    "Further environment of every container of Codex, jobs and login commands alike: `NAME=value`, one a line or with commas between them",
);

/// The same for Gemini: keys of one agent's tools are no other's.
pub const GEMINI_ENV: Variable = secret(
    "GEMINI_ENV",
    "Further environment of every container of Gemini, as `CODEX_ENV` is of Codex's, such as a proxy or keys of its tools",
);

/// Keys of Google, the first by its own name.
pub const GOOGLE_API_KEY: Variable = secret("GOOGLE_API_KEY", "Key for Google's embeddings; Gemini is not given it");

/// The second by the name that Gemini knows.
pub const GEMINI_API_KEY: Variable = secret(
    "GEMINI_API_KEY",
    "Key for Gemini where its volume holds no login, so also after a logout; Google's embeddings take it where there is no `GOOGLE_API_KEY`",
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

/// File of [`GEMINI_ENV`].
pub const GEMINI_ENV_FILE: Variable = file("GEMINI_ENV_FILE", "File that holds `GEMINI_ENV`, instead; empty counts as not set");

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
    Variable::new(name, about).secret()
}

/// Its value is a path, and no secret.
const fn file(name: &'static str, about: &'static str) -> Variable {
    Variable::new(name, about)
}

/// Where Docker is.
pub const DOCKER_HOST: Variable = Variable::new("DOCKER_HOST", "Where the Docker engine answers").or("unix:///var/run/docker.sock");

/// All of them.
pub const ALL: [Variable; 18] = [
    GITHUB_TOKEN,
    GITHUB_TOKEN_FILE,
    CODEX_ENV,
    CODEX_ENV_FILE,
    GEMINI_ENV,
    GEMINI_ENV_FILE,
    GOOGLE_API_KEY,
    GOOGLE_API_KEY_FILE,
    GEMINI_API_KEY,
    GEMINI_API_KEY_FILE,
    OPENAI_API_KEY,
    OPENAI_API_KEY_FILE,
    DOCKER_HOST,
    LOG,
    LOG_FORMAT,
    OTLP_ENDPOINT,
    OTLP_TIMEOUT,
    OTEL_SERVICE_NAME,
];
