//! Pairs of names and values for an agent's environment, in one setting.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use secrecy::SecretString;

use super::{Error, args::invalid};
use crate::variables::GEMINI_ENV;

/// What the worker sets itself, and a job could not work with another value of.
const OWN: [&str; 6] = ["HOME", "PATH", "TZ", "CODEX_HOME", "CODEX_SQLITE_HOME", "MOORLINE_CONTAINER"];

/// The same of Gemini alone. Its key, and where that is sent, have settings of their own.
const GEMINIS: [&str; 7] = [
    "GEMINI_API_KEY",
    "GEMINI_CLI_HOME",
    "GEMINI_CLI_NO_RELAUNCH",
    "GEMINI_CLI_SYSTEM_SETTINGS_PATH",
    "GOOGLE_GEMINI_BASE_URL",
    "MOORLINE_GEMINI_HOME",
    "TMPDIR",
];

/// Reads `NAME=value` pairs, one a line or with commas between them: a comma that no name follows belongs to the value.
pub(super) fn parse(variable: &'static str, given: Option<&str>) -> Result<BTreeMap<String, SecretString>, Error> {
    let pairs = given.unwrap_or_default().lines().flat_map(split);
    let pairs = pairs.filter(|pair| !pair.trim().is_empty());
    pairs.enumerate().map(|(index, pair)| read(variable, index + 1, pair)).collect()
}

/// Says only the pair's number where it is wrong: what was meant as a value may be a secret.
fn read(variable: &'static str, number: usize, pair: &str) -> Result<(String, SecretString), Error> {
    let own = |name| OWN.contains(&name) || variable == GEMINI_ENV.name && GEMINIS.contains(&name);
    match pair.trim().split_once('=') {
        Some((name, _)) if own(name) => Err(invalid(variable, format!("sets {name}, which the worker sets itself: take it out"))),
        Some((name, value)) if is_name(name) => Ok((name.to_owned(), SecretString::from(value))),
        _ => Err(invalid(
            variable,
            format!("has no name and value in its pair {number}: write NAME=value, one a line or with commas between them"),
        )),
    }
}

fn split(line: &str) -> Vec<&str> {
    static NEXT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r",\s*[A-Za-z_][A-Za-z0-9_]*=").ok());
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some(found) = NEXT.as_ref().and_then(|next| next.find(rest)) {
        pairs.push(&rest[..found.start()]);
        rest = &rest[found.start() + 1..];
    }
    pairs.push(rest.strip_suffix(',').unwrap_or(rest));
    pairs
}

fn is_name(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(first) && name.bytes().all(|byte| first(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn pairs(given: &str) -> Vec<String> {
        let parsed = parse("CODEX_ENV", Some(given)).unwrap();
        parsed
            .iter()
            .map(|(name, value)| format!("{name}={}", value.expose_secret()))
            .collect()
    }

    #[test]
    fn pairs_come_one_a_line_or_with_commas_between_them() {
        assert_eq!(pairs("A=1\n\n B_2=two words \n"), ["A=1", "B_2=two words"]);
        assert_eq!(pairs("A=1, B=2,"), ["A=1", "B=2"]);
        assert_eq!(pairs("NO_PROXY=a.b,c.d,X=y=z"), ["NO_PROXY=a.b,c.d", "X=y=z"]);
        assert_eq!(pairs(" "), [""; 0]);
    }

    #[test]
    fn what_gemini_has_settings_of_its_own_for_is_refused_for_gemini_alone() {
        let parsed = |variable| parse(variable, Some("HTTPS_PROXY=http://10.0.0.1:3128,GEMINI_API_KEY=k"));
        assert!(parsed("CODEX_ENV").is_ok());
        assert!(parsed("GEMINI_ENV").unwrap_err().to_string().contains("sets GEMINI_API_KEY"));
    }

    #[test]
    fn what_is_no_pair_is_refused_and_not_shown() {
        for (given, said) in [
            ("A=1\nsecret-value", "pair 2"),
            ("1A=secret-value", "pair 1"),
            ("HOME=/secret-value", "sets HOME"),
        ] {
            let error = parse("CODEX_ENV", Some(given)).unwrap_err().to_string();
            assert!(
                error.starts_with("CODEX_ENV ") && error.contains(said) && !error.contains("secret-value"),
                "{error}"
            );
        }
    }
}
