//! What `auth.json` says: the CLI takes `{}` for a login, so it is read here too.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use moorline_proto::v1::PreflightRung as Rung;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{CredentialFile, Judged};

/// A stored login, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    ApiKey,
    ChatGpt {
        expires_at: Option<DateTime<Utc>>,
        refreshable: bool,
    },
    /// No file.
    Missing,
    /// Not JSON.
    Damaged,
    /// JSON without a key or tokens.
    Empty,
    /// A kind of login that this worker doesn't know.
    Other(String),
    /// No readable file.
    Unusable(String),
}

/// The parts of the file that count; more is allowed. Never printed.
#[derive(Deserialize)]
struct AuthFile {
    auth_mode: Option<String>,
    #[serde(rename = "OPENAI_API_KEY")]
    api_key: Option<String>,
    tokens: Option<Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
}

impl Credential {
    pub(super) fn of(file: &CredentialFile) -> Self {
        match file {
            CredentialFile::Missing => Self::Missing,
            CredentialFile::Unusable(why) => Self::Unusable(why.clone()),
            CredentialFile::Content(content) => match serde_json::from_slice(content.expose_secret()) {
                Ok(file) => Self::of_file(&file),
                Err(_) => Self::Damaged,
            },
        }
    }

    fn of_file(file: &AuthFile) -> Self {
        let key = || file.api_key.as_deref().is_some_and(|key| !key.trim().is_empty());
        let tokens = || file.tokens.as_ref().filter(|tokens| !tokens.access_token.is_empty());
        match file.auth_mode.as_deref() {
            Some("apikey") | None if key() => Self::ApiKey,
            Some("chatgpt") | None => tokens().map_or(Self::Empty, |tokens| Self::ChatGpt {
                expires_at: expiry(&tokens.access_token),
                refreshable: !tokens.refresh_token.is_empty(),
            }),
            Some("apikey") => Self::Empty,
            Some(other) => Self::Other(other.to_owned()),
        }
    }

    /// What it is worth, given that the CLI says that a login is stored.
    pub(super) fn judged(&self, now: DateTime<Utc>) -> Judged {
        let (rung, detail) = match self {
            Self::ApiKey => (Rung::Present, "an API key is stored"),
            Self::ChatGpt { expires_at: Some(at), .. } if *at > now => {
                return (Rung::Unexpired, format!("a ChatGPT login is stored, its token is valid until {at}"));
            }
            Self::ChatGpt {
                expires_at: None,
                refreshable: true,
            } => (Rung::Present, "a ChatGPT login is stored; its token doesn't say when it expires"),
            Self::ChatGpt { refreshable: true, .. } => (
                Rung::Present,
                "a ChatGPT login is stored; its token has expired and is renewed at the next use",
            ),
            Self::ChatGpt { expires_at: Some(_), .. } => (Rung::Expired, "the token has expired, and there is no refresh token"),
            Self::ChatGpt { .. } => (Rung::Corrupt, "auth.json holds neither a refresh token nor a readable access token"),
            Self::Empty => (Rung::Corrupt, "auth.json holds no key and no token"),
            Self::Damaged => (Rung::Corrupt, "auth.json is not complete JSON"),
            Self::Missing => (Rung::Unknown, "the CLI reports a login, but there is no auth.json in the volume"),
            Self::Other(mode) => return (Rung::Unknown, format!("auth.json holds a login of the unknown kind {mode:?}")),
            Self::Unusable(why) => return (Rung::Unknown, why.clone()),
        };
        (rung, detail.to_owned())
    }

    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::ChatGpt { .. } => "chatgpt",
            _ => "",
        }
    }

    pub(super) fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::ChatGpt { expires_at, .. } => *expires_at,
            _ => None,
        }
    }
}

/// The `exp` claim of a JWT, whose signature is the issuer's business.
fn expiry(token: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    DateTime::from_timestamp(claims.exp, 0)
}
