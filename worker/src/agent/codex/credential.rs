//! What `auth.json` says: the CLI takes `{}` for a login, so it is read here too.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use moorline_proto::v1::PreflightRung as Rung;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{CredentialFile, Judged, Login};
use crate::agent::Identity;

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
    #[serde(default)]
    id_token: String,
    account_id: Option<String>,
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

    /// All that is known, given what it was `judged` to be worth.
    pub(super) fn login(&self, (rung, detail): Judged, file: &CredentialFile) -> Login {
        Login {
            rung,
            detail,
            method: self.method(),
            expires_at: self.expires_at(),
            identity: match self {
                Self::ChatGpt { .. } => identity(file).unwrap_or_default(),
                _ => Identity::default(),
            },
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::ChatGpt { .. } => "chatgpt",
            _ => "",
        }
    }

    fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::ChatGpt { expires_at, .. } => *expires_at,
            _ => None,
        }
    }
}

/// What is left of the file is put back only if it proves to be what is in the snapshot. An API key never changes by itself. Tokens do: the
/// old and the new file begin alike, so what is left must reach beyond the first token, whose signature differs between the two.
pub(super) fn restorable(damaged: &CredentialFile, snapshot: &CredentialFile) -> bool {
    let (CredentialFile::Content(damaged), CredentialFile::Content(snapshot_text)) = (damaged, snapshot) else {
        return false;
    };
    let (damaged, text) = (damaged.expose_secret(), snapshot_text.expose_secret());
    match Credential::of(snapshot) {
        Credential::ApiKey => true,
        Credential::ChatGpt { .. } if damaged.len() < text.len() && text.starts_with(damaged) => {
            first_token_end(text).is_some_and(|end| damaged.len() > end)
        }
        _ => false,
    }
}

/// Where the first of the file's tokens ends.
fn first_token_end(text: &[u8]) -> Option<usize> {
    let file: AuthFile = serde_json::from_slice(text).ok()?;
    let tokens = file.tokens?;
    let values = [tokens.id_token, tokens.access_token, tokens.refresh_token];
    let ends = values.iter().filter(|value| !value.is_empty()).filter_map(|value| {
        let at = text.windows(value.len()).position(|window| window == value.as_bytes())?;
        Some(at + value.len())
    });
    ends.min()
}

/// What of a file must be in no message: everything that lets somebody in.
pub(super) fn secrets(file: &CredentialFile) -> Vec<SecretString> {
    let CredentialFile::Content(content) = file else {
        return Vec::new();
    };
    let Ok(file) = serde_json::from_slice::<AuthFile>(content.expose_secret()) else {
        return Vec::new();
    };
    let tokens = file
        .tokens
        .map(|tokens| [tokens.access_token, tokens.refresh_token, tokens.id_token]);
    file.api_key
        .into_iter()
        .chain(tokens.into_iter().flatten())
        .map(Into::into)
        .collect()
}

fn identity(file: &CredentialFile) -> Option<Identity> {
    let CredentialFile::Content(content) = file else { return None };
    let file: AuthFile = serde_json::from_slice(content.expose_secret()).ok()?;
    let tokens = file.tokens?;
    let some = |value: String| (!value.is_empty()).then(|| SecretString::from(value));
    let account = tokens.account_id.filter(|account| !account.is_empty());
    let account = account
        .or_else(|| claimed_account(&tokens.id_token))
        .or_else(|| claimed_account(&tokens.access_token));
    Some(Identity {
        account: account.and_then(some),
        refresh_token: some(tokens.refresh_token),
    })
}

/// The account in a JWT's claims.
fn claimed_account(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(rename = "https://api.openai.com/auth")]
        auth: Auth,
    }
    #[derive(Deserialize)]
    struct Auth {
        chatgpt_account_id: String,
    }
    claims::<Claims>(token).map(|claims| claims.auth.chatgpt_account_id)
}

/// The `exp` claim of a JWT.
fn expiry(token: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    DateTime::from_timestamp(claims::<Claims>(token)?.exp, 0)
}

/// Claims of a JWT, whose signature is the issuer's business.
fn claims<C: serde::de::DeserializeOwned>(token: &str) -> Option<C> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}
