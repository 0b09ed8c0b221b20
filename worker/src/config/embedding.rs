//! Settings of embeddings.

use secrecy::SecretString;

use super::{
    Error,
    args::{Args, address, boolean, given, invalid},
    secret,
};
use crate::{
    embedding::{Credential, Provider, Settings, Source},
    variables::{GEMINI_API_KEY, GEMINI_API_KEY_FILE, GOOGLE_API_KEY, GOOGLE_API_KEY_FILE, OPENAI_API_KEY, OPENAI_API_KEY_FILE},
};

/// Most dimensions that any model has; more is a slip.
const MOST: u32 = 65_536;

/// What the arguments, and the keys in the environment, say.
pub(super) fn settings(args: &Args) -> Result<Settings, Error> {
    let provider = provider(args.embedding_provider.clone())?;
    let keys = Keys::read()?;
    let model = |value: &Option<String>, default: &str| given(value.clone()).unwrap_or_else(|| default.to_owned());
    let (variable, model, url) = match provider {
        Provider::None => return Ok(Settings::none()),
        Provider::Google => (
            "GOOGLE_EMBEDDING_MODEL",
            model(&args.google_embedding_model, "gemini-embedding-001"),
            address("MOORLINE_GOOGLE_EMBEDDING_URL", args.google_embedding_url.clone(), provider.url())?,
        ),
        Provider::OpenAi => (
            "MOORLINE_OPENAI_EMBEDDING_MODEL",
            model(&args.openai_embedding_model, "text-embedding-3-small"),
            address("MOORLINE_OPENAI_EMBEDDING_URL", args.openai_embedding_url.clone(), provider.url())?,
        ),
        Provider::Ollama => (
            "MOORLINE_OLLAMA_EMBEDDING_MODEL",
            model(&args.ollama_embedding_model, "nomic-embed-text"),
            address("MOORLINE_OLLAMA_URL", args.ollama_url.clone(), provider.url())?,
        ),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !model.chars().all(plain) || model.contains("..") {
        return Err(invalid(variable, format!("is `{model}`: set the name of a model")));
    }
    Ok(Settings {
        provider,
        model,
        url,
        credential: keys.of(provider),
        dimension: dimension(args.embedding_dimension.clone())?,
        probe: boolean("MOORLINE_EMBEDDING_PROBE", args.embedding_probe.clone())?,
    })
}

fn dimension(value: Option<String>) -> Result<Option<u32>, Error> {
    let read = |value: String| match value.parse() {
        Ok(number @ 1..=MOST) => Ok(number),
        _ => Err(invalid(
            "MOORLINE_EMBEDDING_DIMENSION",
            format!("is `{value}`: set a whole number from 1 to {MOST}, or leave it unset for any"),
        )),
    };
    given(value).map(read).transpose()
}

fn provider(value: Option<String>) -> Result<Provider, Error> {
    match given(value).map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("google") => Ok(Provider::Google),
        Some("openai") => Ok(Provider::OpenAi),
        Some("ollama") => Ok(Provider::Ollama),
        Some("none") => Ok(Provider::None),
        Some(other) => Err(invalid(
            "DEFAULT_EMBEDDING_PROVIDER",
            format!("is `{other}`: set google, openai, ollama or none"),
        )),
    }
}

/// The keys that the environment, or files that it names, hold.
struct Keys {
    google: Option<SecretString>,
    gemini: Option<SecretString>,
    openai: Option<SecretString>,
}

impl Keys {
    fn read() -> Result<Self, Error> {
        Ok(Self {
            google: secret::read(&GOOGLE_API_KEY, &GOOGLE_API_KEY_FILE)?.map(Into::into),
            gemini: secret::read(&GEMINI_API_KEY, &GEMINI_API_KEY_FILE)?.map(Into::into),
            openai: secret::read(&OPENAI_API_KEY, &OPENAI_API_KEY_FILE)?.map(Into::into),
        })
    }

    fn gemini(self) -> Option<SecretString> {
        self.gemini
    }

    /// Google's own name goes before the older one.
    fn of(self, provider: Provider) -> Option<Credential> {
        let (source, key) = match (provider, self) {
            (Provider::Google, Self { google: Some(key), .. }) => (Source::GoogleApiKey, key),
            (Provider::Google, Self { gemini: Some(key), .. }) => (Source::GeminiApiKey, key),
            (Provider::OpenAi, Self { openai: Some(key), .. }) => (Source::OpenAiApiKey, key),
            _ => return None,
        };
        Some(Credential { source, key })
    }
}

/// The key that Gemini itself is given. Embeddings' own key is none: with it a volume that was logged out would still count as logged in.
pub(super) fn gemini_key() -> Result<Option<SecretString>, Error> {
    Ok(Keys::read()?.gemini())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(google: bool, gemini: bool, openai: bool) -> Keys {
        let key = |set: bool, key: &str| set.then(|| SecretString::from(key));
        Keys {
            google: key(google, "a"),
            gemini: key(gemini, "b"),
            openai: key(openai, "c"),
        }
    }

    #[test]
    fn google_api_key_goes_before_gemini_api_key_and_no_provider_gets_anothers_key() {
        let source = |provider, keys: Keys| keys.of(provider).map(|credential| credential.source.name());
        assert_eq!(source(Provider::Google, keys(true, true, true)), Some("google_api_key"));
        assert_eq!(source(Provider::Google, keys(false, true, true)), Some("gemini_api_key"));
        assert_eq!(source(Provider::Google, keys(false, false, true)), None);
        assert_eq!(source(Provider::OpenAi, keys(true, true, true)), Some("openai_api_key"));
        assert_eq!(source(Provider::OpenAi, keys(true, true, false)), None);
        assert_eq!(source(Provider::Ollama, keys(true, true, true)), None);
    }

    #[test]
    fn gemini_is_not_given_the_key_of_embeddings() {
        assert!(keys(true, false, true).gemini().is_none());
        assert!(keys(true, true, true).gemini().is_some());
    }
}
