//! What the three APIs are asked, and what they answer.

use reqwest::header::{AUTHORIZATION, HeaderName};
use serde_json::{Value, json};

use super::{Provider, Settings};

const TEXT: &str = "Is anybody there?";

/// One call.
pub(super) struct Call {
    pub(super) url: String,
    pub(super) body: Value,
    /// Header of the key, and what stands before the key in it.
    pub(super) header: Option<(HeaderName, &'static str)>,
}

/// The call for one embedding; `None` where nobody makes any.
pub(super) fn call(settings: &Settings) -> Option<Call> {
    let Settings { url, model, .. } = settings;
    // Google and OpenAI make shorter ones when asked to.
    let dimension = |body: &mut Value, field: &str| {
        if let Some(dimension) = settings.dimension {
            body[field] = dimension.into();
        }
    };
    match settings.provider {
        Provider::None => None,
        Provider::Google => {
            let model = model.trim_start_matches("models/");
            let mut body = json!({ "model": format!("models/{model}"), "content": { "parts": [{ "text": TEXT }] } });
            dimension(&mut body, "outputDimensionality");
            Some(Call {
                url: format!("{url}/models/{model}:embedContent"),
                body,
                header: Some((HeaderName::from_static("x-goog-api-key"), "")),
            })
        }
        Provider::OpenAi => {
            let mut body = json!({ "model": model, "input": TEXT, "encoding_format": "float" });
            // Models before these take none.
            if model.starts_with("text-embedding-3") {
                dimension(&mut body, "dimensions");
            }
            Some(Call {
                url: format!("{url}/embeddings"),
                body,
                header: Some((AUTHORIZATION, "Bearer ")),
            })
        }
        Provider::Ollama => Some(Call {
            url: format!("{url}/api/embed"),
            body: json!({ "model": model, "input": TEXT }),
            header: None,
        }),
    }
}

/// How many numbers the embedding in an answer has; `None` where there is none.
pub(super) fn dimension(provider: Provider, answer: &Value) -> Option<usize> {
    let values = match provider {
        Provider::None => return None,
        Provider::Google => &answer["embedding"]["values"],
        Provider::OpenAi => &answer["data"][0]["embedding"],
        Provider::Ollama => &answer["embeddings"][0],
    };
    let numbers = values.as_array().filter(|numbers| numbers.iter().all(Value::is_number))?;
    Some(numbers.len()).filter(|length| *length > 0)
}

/// The words of an answer that is a failure.
pub(super) fn said(answer: &str) -> String {
    let document: Value = serde_json::from_str(answer).unwrap_or_default();
    let words = [&document["error"]["message"], &document["error"], &document["message"]];
    let words = words.into_iter().find_map(Value::as_str).unwrap_or(answer);
    if words.trim().is_empty() { "no words" } else { words }.to_owned()
}

/// Whether a failure says that the key is no key. Google answers so with 400.
pub(super) fn is_about_the_key(status: u16, answer: &str) -> bool {
    matches!(status, 401 | 403) || status == 400 && answer.contains("API_KEY_INVALID")
}
