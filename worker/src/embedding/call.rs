//! One real call for one embedding.

use std::time::Duration;

use reqwest::{
    Client,
    header::{HeaderMap, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    Refusal, Settings,
    wire::{self, Call},
};
use crate::redact::{Redactor, chain};

/// Longest answer that is read; an embedding of the largest models has a tenth of it.
const LONGEST: usize = 4 << 20;
/// Longest words of an answer that are passed on, in characters.
const WORDS: usize = 200;

/// Chooses ring for TLS in this process, once: clients of HTTPS can't be made before.
pub fn install_crypto() {
    // An error says that one is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Asks for one embedding within `limit`. Returns how many numbers it has.
///
/// # Errors
///
/// Why there is none, or none of the size that is wanted.
pub async fn probe(settings: &Settings, limit: Duration) -> Result<usize, Refusal> {
    let asked = Asked {
        settings,
        words: Redactor::new(settings.credential.iter().map(|credential| credential.key.clone())),
    };
    let Some(call) = wire::call(settings) else { return Ok(0) };
    let found = timeout(limit, asked.make(call)).await.unwrap_or_else(|_| {
        Err(Refusal::TimedOut {
            url: asked.url(),
            seconds: limit.as_secs(),
            variable: settings.provider.url_variable(),
        })
    })?;
    match settings.dimension {
        Some(wanted) if usize::try_from(wanted) != Ok(found) => Err(Refusal::Dimension {
            model: settings.model.clone(),
            found,
            wanted,
        }),
        _ => Ok(found),
    }
}

struct Asked<'a> {
    settings: &'a Settings,
    words: Redactor,
}

impl Asked<'_> {
    async fn make(&self, call: Call) -> Result<usize, Refusal> {
        let client = self.client(&call)?;
        let sent = client.post(call.url).json(&call.body).send().await;
        let mut response = sent.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            answer.extend_from_slice(&piece);
            if answer.len() > LONGEST {
                return Err(self.unreadable("it is far too long"));
            }
        }
        let answer = String::from_utf8_lossy(&answer);
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &answer));
        }
        let document: Value = serde_json::from_str(&answer).map_err(|_| self.unreadable("it is no JSON"))?;
        let found = wire::dimension(self.settings.provider, &document);
        found.ok_or_else(|| self.unreadable("its JSON has no embedding where this API has it"))
    }

    fn client(&self, call: &Call) -> Result<Client, Refusal> {
        install_crypto();
        let mut headers = HeaderMap::new();
        if let (Some((name, before)), Some(credential)) = (&call.header, &self.settings.credential) {
            let value = HeaderValue::try_from(format!("{before}{}", credential.key.expose_secret()));
            let mut value = value.map_err(|_| self.refused(401, "it has characters that no key has"))?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        // A redirect could lead the key elsewhere.
        let client = Client::builder().default_headers(headers).redirect(Policy::none()).build();
        client.map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: reqwest::Error) -> Refusal {
        Refusal::Unreachable {
            url: self.url(),
            // The address may hold a password.
            why: self.words.line(&chain(&error.without_url()), WORDS),
            variable: self.settings.provider.url_variable(),
        }
    }

    fn unreadable(&self, why: &str) -> Refusal {
        Refusal::Unreadable {
            url: self.url(),
            why: why.to_owned(),
            variable: self.settings.provider.url_variable(),
        }
    }

    fn refused(&self, status: u16, answer: &str) -> Refusal {
        let (url, said) = (self.url(), self.words.line(&wire::said(answer), WORDS));
        let settings = self.settings;
        match status {
            _ if wire::is_about_the_key(status, answer) => Refusal::KeyRefused {
                url,
                status,
                said,
                variable: match &settings.credential {
                    Some(credential) => credential.source.variable(),
                    None => settings.missing_key().unwrap_or("OPENAI_API_KEY"),
                },
            },
            404 => Refusal::ModelUnknown {
                url,
                model: settings.model.clone(),
                said,
                variable: settings.provider.model_variable(),
            },
            429 => Refusal::Limited { url, said },
            _ => Refusal::Failed {
                url,
                status,
                said,
                variable: settings.provider.url_variable(),
            },
        }
    }

    fn url(&self) -> String {
        self.words.text(&self.settings.url)
    }
}

#[cfg(test)]
mod tests;
