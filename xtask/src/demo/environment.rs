//! Keeps the user's own settings out of what is started here.

use std::env;

use crate::command::Cmd;

/// Prefixes of variables that Moorline, Codex or git act on: a database, a login or a token of the user must not slip in.
const PREFIXES: [&str; 10] = [
    "MOORLINE_",
    "CODEX_",
    "SPEC_",
    "OPENAI_",
    "GITHUB_",
    "GH_",
    "GEMINI_",
    "GOOGLE_",
    "DEFAULT_EMBEDDING_",
    "GIT_CONFIG",
];

/// Names of their own that git acts on: set in a hook, they would lead it to another repository.
const NAMES: [&str; 3] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"];

/// Takes such variables away from a command.
pub fn clean(command: Cmd) -> Cmd {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| is_own(name))
        .fold(command, |command, name| command.env_remove(&name))
}

/// Where things are on this machine, and what tests are told: these stay.
const MACHINE: [&str; 3] = ["MOORLINE_CACHE_DIR", "MOORLINE_POSTGRES_", "MOORLINE_TEST_"];

fn is_own(name: &str) -> bool {
    !MACHINE.iter().any(|kept| name.starts_with(kept)) && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_database_login_and_tokens_are_taken_away() {
        for name in ["MOORLINE_DATABASE_URL", "CODEX_HOME", "GITHUB_TOKEN", "OPENAI_API_KEY", "GIT_DIR"] {
            assert!(is_own(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "SSL_CERT_FILE",
            "DOCKER_HOST",
            "MOORLINE_POSTGRES_BIN",
        ] {
            assert!(!is_own(name), "{name}");
        }
    }
}
