//! What the volume's files say: a key in `.env`, or the CLI's own login with Google in `oauth_creds.json`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use moorline_proto::v1::PreflightRung as Rung;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::agent::{CredentialFile, Identity, Login};

/// Holds a key; goes before the other.
pub(super) const KEY_FILE: &str = ".env";
/// Holds the CLI's own login.
pub(super) const GOOGLE_FILE: &str = "oauth_creds.json";

/// A stored login, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    ApiKey,
    Google {
        expires_at: Option<DateTime<Utc>>,
        refreshable: bool,
    },
    /// No file.
    Missing,
    /// A file with neither a key nor tokens.
    Empty,
    /// Cut-off JSON.
    Damaged,
    /// No readable file.
    Unusable(String),
}

/// The parts of `oauth_creds.json` that count; more is allowed. Never printed.
#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    #[serde(default)]
    id_token: String,
    /// Milliseconds.
    expiry_date: Option<i64>,
}

impl Credential {
    pub(super) fn of(file: &CredentialFile) -> Self {
        let content = match file {
            CredentialFile::Missing => return Self::Missing,
            CredentialFile::Unusable(why) => return Self::Unusable(why.clone()),
            CredentialFile::Content(content) => content.expose_secret(),
        };
        if !content.trim_ascii_start().starts_with(b"{") {
            return if key(content).is_some() { Self::ApiKey } else { Self::Empty };
        }
        match tokens(content) {
            Some(tokens) if tokens.access_token.is_empty() && tokens.refresh_token.is_empty() => Self::Empty,
            Some(tokens) => Self::Google {
                expires_at: tokens.expiry_date.and_then(DateTime::from_timestamp_millis),
                refreshable: !tokens.refresh_token.is_empty(),
            },
            None => Self::Damaged,
        }
    }

    /// What it is worth.
    pub(super) fn judged(&self, now: DateTime<Utc>) -> (Rung, String) {
        let (rung, detail) = match self {
            Self::ApiKey => (Rung::Present, "an API key is stored"),
            Self::Google { expires_at: Some(at), .. } if *at > now => {
                return (
                    Rung::Unexpired,
                    format!("a login with Google is stored, its token is valid until {at}"),
                );
            }
            Self::Google { refreshable: true, .. } => {
                (Rung::Present, "a login with Google is stored; its token is renewed at the next use")
            }
            Self::Google { expires_at: Some(_), .. } => (Rung::Expired, "the token has expired, and there is no refresh token"),
            Self::Google { .. } => (
                Rung::Corrupt,
                "oauth_creds.json holds no refresh token, and doesn't say when its token expires",
            ),
            Self::Missing => (Rung::NotLoggedIn, "the volume holds neither a key nor a login with Google"),
            Self::Empty => (Rung::Corrupt, "the file holds no key and no token"),
            Self::Damaged => (Rung::Corrupt, "oauth_creds.json is not complete JSON"),
            Self::Unusable(why) => return (Rung::Unknown, why.clone()),
        };
        (rung, detail.to_owned())
    }

    /// All that is known, given what it was `judged` to be worth.
    pub(super) fn login(&self, (rung, detail): (Rung, String), file: &CredentialFile) -> Login {
        let (method, expires_at) = match self {
            Self::ApiKey => ("api_key", None),
            Self::Google { expires_at, .. } => ("google", *expires_at),
            _ => ("", None),
        };
        let identity = match self {
            Self::Google { .. } => identity(file).unwrap_or_default(),
            // Keys are made to be shared.
            _ => Identity::default(),
        };
        Login {
            rung,
            detail,
            method,
            expires_at,
            identity,
        }
    }
}

/// A key never changes by itself, and a refresh token of Google's is not used up: what was put aside is the same login where the damaged one is
/// its beginning. Of another login nothing else would be the same, and other content is what somebody has put there.
pub(super) fn restorable(damaged: &CredentialFile, snapshot: &CredentialFile) -> bool {
    let (CredentialFile::Content(damaged), CredentialFile::Content(text)) = (damaged, snapshot) else {
        return false;
    };
    let (damaged, text) = (damaged.expose_secret(), text.expose_secret());
    let whole = matches!(
        Credential::of(snapshot),
        Credential::ApiKey | Credential::Google { refreshable: true, .. }
    );
    whole && damaged.len() < text.len() && text.starts_with(damaged)
}

/// Whether the first file holds the login, so that the other doesn't count: people keep other settings in it, too.
pub(super) fn counts(first: &CredentialFile) -> bool {
    match first {
        CredentialFile::Missing => false,
        CredentialFile::Content(content) => key(content.expose_secret()).is_some(),
        CredentialFile::Unusable(_) => true,
    }
}

/// The key that the file sets, which may be exported, quoted, or end as lines of another system do. `work.sh` reads it so, too.
fn key(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let value = text.lines().find_map(|line| {
        let line = line.trim_ascii_start();
        let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        let name = exported.unwrap_or(line).trim_ascii_start().strip_prefix("GEMINI_API_KEY")?;
        name.trim_ascii_start().strip_prefix('=')
    })?;
    let value = value.trim_ascii();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value).trim_ascii();
    (!value.is_empty()).then(|| value.to_owned())
}

/// What of a file must be in no message: everything that lets somebody in.
pub(super) fn secrets(file: &CredentialFile) -> Vec<SecretString> {
    let CredentialFile::Content(content) = file else {
        return Vec::new();
    };
    let content = content.expose_secret();
    let tokens = tokens(content).map(|tokens| [tokens.access_token, tokens.refresh_token, tokens.id_token]);
    key(content)
        .into_iter()
        .chain(tokens.into_iter().flatten())
        .map(Into::into)
        .collect()
}

fn tokens(content: &[u8]) -> Option<Tokens> {
    serde_json::from_slice(content).ok()
}

fn identity(file: &CredentialFile) -> Option<Identity> {
    let CredentialFile::Content(content) = file else { return None };
    let tokens = tokens(content.expose_secret())?;
    let some = |value: String| (!value.is_empty()).then(|| SecretString::from(value));
    Some(Identity {
        account: account(&tokens.id_token).and_then(some),
        refresh_token: some(tokens.refresh_token),
    })
}

/// The account in a JWT's claims, whose signature is Google's business.
fn account(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok().map(|claims| claims.sub)
}
