//! Why an embedding could not be had. No message holds a key.

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing answers.
    #[error("{url} can't be reached ({why}): check the network, a proxy that is needed (HTTPS_PROXY), and {variable}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the client said.
        why: String,
        /// Variable of the address.
        variable: &'static str,
    },
    /// It takes too long.
    #[error("{url} has not answered within {seconds} s: check the network, and {variable}")]
    TimedOut {
        /// Where it was asked.
        url: String,
        /// For how long.
        seconds: u64,
        /// Variable of the address.
        variable: &'static str,
    },
    /// The key isn't taken.
    #[error("{url} refuses the key ({status}: {said}): set {variable} to a key that may use the model")]
    KeyRefused {
        /// Where it was asked.
        url: String,
        /// The answer's HTTP status.
        status: u16,
        /// Its words.
        said: String,
        /// Variables of the key.
        variable: &'static str,
    },
    /// There is no such model.
    #[error("{url} knows no model {model} ({said}): set {variable} to one that makes embeddings, or for Ollama `ollama pull {model}`")]
    ModelUnknown {
        /// Where it was asked.
        url: String,
        /// The model.
        model: String,
        /// The answer's words.
        said: String,
        /// Variable of the model.
        variable: &'static str,
    },
    /// The account may make no more calls for now.
    #[error("{url} limits the account for now ({said}): wait, or use a key of another account")]
    Limited {
        /// Where it was asked.
        url: String,
        /// The answer's words.
        said: String,
    },
    /// It answers with some other failure.
    #[error("{url} answers with {status} ({said}): check {variable}, and that the service is up")]
    Failed {
        /// Where it was asked.
        url: String,
        /// The answer's HTTP status.
        status: u16,
        /// Its words.
        said: String,
        /// Variable of the address.
        variable: &'static str,
    },
    /// The answer holds no embedding.
    #[error("what {url} answers is no embedding ({why}): check that {variable} is the address of the provider's API")]
    Unreadable {
        /// Where it was asked.
        url: String,
        /// What is wrong with it.
        why: String,
        /// Variable of the address.
        variable: &'static str,
    },
    /// An embedding of another size.
    #[error(
        "{model} makes embeddings of {found} dimensions, and MOORLINE_EMBEDDING_DIMENSION is {wanted}: set it to {found}, or another model"
    )]
    Dimension {
        /// The model.
        model: String,
        /// What it makes.
        found: usize,
        /// What is wanted.
        wanted: u32,
    },
}
