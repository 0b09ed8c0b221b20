//! Embeddings: who makes them for agents, by which credential, and whether they can be had.

mod call;
mod refusal;
mod wire;

use secrecy::SecretString;

pub use self::{
    call::{install_crypto, probe},
    refusal::Refusal,
};

/// Who makes embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Google's Generative Language API.
    Google,
    /// OpenAI's API, or one that is like it.
    OpenAi,
    /// An Ollama of one's own.
    Ollama,
    /// Nobody: the fleet's agents use none.
    None,
}

impl Provider {
    /// Its name in settings, profiles and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
            Self::None => "none",
        }
    }

    /// Where it is found unless it is said otherwise.
    pub fn url(self) -> &'static str {
        match self {
            Self::Google => "https://generativelanguage.googleapis.com/v1beta",
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Ollama => "http://127.0.0.1:11434",
            Self::None => "",
        }
    }

    /// Variable of its address.
    pub fn url_variable(self) -> &'static str {
        match self {
            Self::Google => "MOORLINE_GOOGLE_EMBEDDING_URL",
            Self::OpenAi => "MOORLINE_OPENAI_EMBEDDING_URL",
            Self::Ollama => "MOORLINE_OLLAMA_URL",
            Self::None => "",
        }
    }

    /// Variable of its model.
    pub fn model_variable(self) -> &'static str {
        match self {
            Self::Google => "GOOGLE_EMBEDDING_MODEL",
            Self::OpenAi => "MOORLINE_OPENAI_EMBEDDING_MODEL",
            Self::Ollama => "MOORLINE_OLLAMA_EMBEDDING_MODEL",
            Self::None => "",
        }
    }
}

/// Which variable a key came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `GOOGLE_API_KEY`.
    GoogleApiKey,
    /// `GEMINI_API_KEY`.
    GeminiApiKey,
    /// `OPENAI_API_KEY`.
    OpenAiApiKey,
}

impl Source {
    /// Its name in profiles and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::GoogleApiKey => "google_api_key",
            Self::GeminiApiKey => "gemini_api_key",
            Self::OpenAiApiKey => "openai_api_key",
        }
    }

    /// The variable.
    pub fn variable(self) -> &'static str {
        match self {
            Self::GoogleApiKey => "GOOGLE_API_KEY",
            Self::GeminiApiKey => "GEMINI_API_KEY",
            Self::OpenAiApiKey => "OPENAI_API_KEY",
        }
    }
}

/// A key, and where it is from.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Where it is from.
    pub source: Source,
    /// The key.
    pub key: SecretString,
}

/// What is set of embeddings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who makes them.
    pub provider: Provider,
    /// By which model; empty without a provider.
    pub model: String,
    /// Where, without a slash at its end; empty without a provider.
    pub url: String,
    /// The provider's key, if one is set.
    pub credential: Option<Credential>,
    /// Numbers that each must have; any when unset.
    pub dimension: Option<u32>,
    /// Whether one is asked for at start.
    pub probe: bool,
}

impl Settings {
    /// Those of a fleet whose agents use none.
    pub fn none() -> Self {
        Self {
            provider: Provider::None,
            model: String::new(),
            url: String::new(),
            credential: None,
            dimension: None,
            probe: false,
        }
    }

    /// Where the key is from, `none` when there is none.
    pub fn credential_source(&self) -> &'static str {
        self.credential.as_ref().map_or("none", |credential| credential.source.name())
    }

    /// What to set where the provider needs a key and has none. An API like OpenAI's at an address of one's own may need none.
    pub fn missing_key(&self) -> Option<&'static str> {
        match self.provider {
            _ if self.credential.is_some() => None,
            Provider::Google => Some("GOOGLE_API_KEY or GEMINI_API_KEY"),
            Provider::OpenAi if self.url == Provider::OpenAi.url() => Some("OPENAI_API_KEY"),
            Provider::OpenAi | Provider::Ollama | Provider::None => None,
        }
    }
}
