//! Makes text fit for messages and logs: no secrets, one line where one is wanted.

use std::sync::LazyLock;

use regex::Regex;
use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;

/// A directive for the log of every program with a worker in it, whatever else its log shows: the engine's client logs what it sends at a
/// finer level, and so the environment of containers.
pub const QUIET: &str = "bollard=info";

/// What stands where a secret was.
const GONE: &str = "[redacted]";

/// Shorter values are no secrets, and would blot out half of any text.
const SHORTEST: usize = 8;

/// Shapes of secrets, each with what to put in its place.
static SHAPES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let shapes = [
        // Fields of credential files, also where their quotes are escaped inside of other JSON.
        (
            r#"((?:refresh_token|access_token|id_token|OPENAI_API_KEY|api_key)\\*"\s*:\s*\\*")[^"\\]+"#,
            "${1}[redacted]",
        ),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", GONE),
        (r"\bsk-[A-Za-z0-9_-]{8,}", GONE),
        (r"\brt_[A-Za-z0-9_.-]{16,}", GONE),
        (r"\bgh[opusr]_[A-Za-z0-9]{16,}", GONE),
        (r"\bgithub_pat_[A-Za-z0-9_]{16,}", GONE),
        (r"\bAIza[A-Za-z0-9_-]{30,}", GONE),
        (r"\bAQ\.[A-Za-z0-9_-]{16,}", GONE),
        (r"\bya29\.[A-Za-z0-9_-]{16,}", GONE),
        (r#"((?:GEMINI|GOOGLE)_API_KEY\s*=\s*["']?)[A-Za-z0-9._~+/=-]{8,}"#, "${1}[redacted]"),
        (
            r"(?i)(\bauthorization\\*\W{1,6}(?:basic|bearer|token)\s+)[A-Za-z0-9._~+/=-]+",
            "${1}[redacted]",
        ),
        (r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}", "${1}[redacted]"),
        (r"(://)[^/\s:@]+:[^/\s@]+@", "${1}[redacted]@"),
    ];
    let compiled = shapes.into_iter().map(|(shape, with)| Some((Regex::new(shape).ok()?, with)));
    compiled.flatten().collect()
});

/// Removes secrets from text: those it was told, and whatever looks like one.
#[derive(Debug, Clone, Default)]
pub struct Redactor(Vec<SecretString>);

impl Redactor {
    /// Makes one that knows these secrets.
    pub fn new(known: impl IntoIterator<Item = SecretString>) -> Self {
        let long = |secret: &SecretString| secret.expose_secret().len() >= SHORTEST;
        Self(known.into_iter().filter(long).collect())
    }

    /// One that knows the secrets in a worker's settings: what an agent is given it may print.
    pub fn of(config: &Config) -> Self {
        let own = [&config.github_token, &config.gemini_api_key].into_iter().flatten().cloned();
        let embedding = config.embedding.credential.iter().map(|credential| credential.key.clone());
        Self::new(
            own.chain(embedding)
                .chain(config.codex_env.values().chain(config.gemini_env.values()).cloned()),
        )
    }

    /// The same, which knows these as well.
    #[must_use]
    pub fn with(mut self, known: Vec<SecretString>) -> Self {
        self.0.extend(Self::new(known).0);
        self
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        let told = |text: String, secret: &SecretString| text.replace(secret.expose_secret(), GONE);
        let shape = |text: String, (shape, with): &(Regex, &str)| shape.replace_all(&text, *with).into_owned();
        SHAPES.iter().fold(self.0.iter().fold(text.to_owned(), told), shape)
    }

    /// The text without secrets, on one line of at most `most` characters.
    pub fn line(&self, text: &str, most: usize) -> String {
        one_line(&self.text(text), most)
    }
}

/// The text with all white space condensed and control characters dropped, cut to `most` characters.
pub fn one_line(text: &str, most: usize) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().filter(|c| !c.is_control()).collect())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(most) {
        None => line,
        Some(_) => line.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// An error and what caused it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut parts: Vec<String> = Vec::new();
    for part in causes.map(ToString::to_string) {
        // Some errors print their source as well.
        if !parts.iter().any(|earlier| earlier.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_compiles() {
        assert_eq!(SHAPES.len(), 13);
    }

    #[test]
    fn keys_and_tokens_disappear_and_the_rest_stays() {
        let redactor = Redactor::new([SecretString::from("hunter2-hunter2"), SecretString::from("short")]);
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE3NjAwMDB9.c2ln";
        for (before, after) in [
            ("key sk-proj-abcDEF_123-456 refused", "key [redacted] refused"),
            ("ghp_0123456789abcdefghij.", "[redacted]."),
            ("key AQ.Ab8RN6-0123456789_abcdef.", "key [redacted]."),
            ("github_pat_11ABCDEFG0123456789_abc", "[redacted]"),
            ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]"),
            ("sent bearer 0123456789abcdef0123", "sent bearer [redacted]"),
            ("https://user:pass@host/x", "https://[redacted]@host/x"),
            (r#"{"refresh_token":"rt-old","n":1}"#, r#"{"refresh_token":"[redacted]","n":1}"#),
            (
                r#"{"out":"{\"access_token\": \"abc\"}"}"#,
                r#"{"out":"{\"access_token\": \"[redacted]\"}"}"#,
            ),
            ("it is hunter2-hunter2", "it is [redacted]"),
            (
                "a short word and a refresh token was already used",
                "a short word and a refresh token was already used",
            ),
            (
                "Missing bearer or basic authentication in header",
                "Missing bearer or basic authentication in header",
            ),
        ] {
            assert_eq!(redactor.text(before), after);
        }
        assert_eq!(redactor.text(&format!("token {jwt}")), "token [redacted]");
    }

    #[test]
    fn a_line_is_cut_by_characters_and_not_by_bytes() {
        assert_eq!(one_line("  ä\n b\u{1b}c\t", 10), "ä bc");
        assert_eq!(one_line("ääää", 4), "ääää");
        assert_eq!(one_line("äääää", 4), "äää…");
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        let inner = std::io::Error::other("disk full");
        let outer = crate::engine::Error::Other {
            doing: "start x".to_owned(),
            source: Box::new(inner),
        };
        assert_eq!(chain(&outer), "the container engine could not start x: disk full");
    }
}
