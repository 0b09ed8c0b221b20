//! What `codex login status` means when it doesn't say yes.
//!
//! Decided by the exit code: the texts differ between versions. It prints to standard error, warnings included.

use moorline_proto::v1::PreflightRung as Rung;

use super::Judged;

/// Why the check failed; `None` when the CLI says that a login is stored.
pub(super) fn failed(code: i32, output: &str, program: &str) -> Option<Judged> {
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find(|line| line.starts_with("Error "));
    let said = error.or_else(|| lines().next_back()).unwrap_or("nothing").to_owned();
    let has = |needle: &str| error.is_some_and(|error| error.contains(needle));
    match code {
        0 => None,
        126 | 127 => Some((
            Rung::EnvironmentBroken,
            format!("{program} can't be run in the login-check image (exit code {code}): {said}"),
        )),
        1 if lines().any(|line| line == "Not logged in") => Some((Rung::NotLoggedIn, said)),
        1 if has("Permission denied") => Some((Rung::Unreadable, said)),
        1 if has("Error checking login status") && DAMAGE.iter().any(|sign| has(sign)) => Some((Rung::Corrupt, said)),
        1 if has("Error loading configuration") => Some((Rung::EnvironmentBroken, format!("mend config.toml in the volume: {said}"))),
        _ => Some((
            Rung::Unknown,
            format!("{program} login status ended with code {code} and said: {said}"),
        )),
    }
}

/// What is said of a damaged file, by serde and by Codex.
const DAMAGE: [&str; 7] = [
    "EOF while parsing",
    "expected ",
    "trailing characters",
    "missing field",
    "invalid type",
    "invalid ID token format",
    "invalid credential JSON",
];
