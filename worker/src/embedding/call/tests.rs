//! Real calls to servers of our own that speak the three formats.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap as Headers, StatusCode, Uri},
    response::IntoResponse,
};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::embedding::{Credential, Provider, Source};

const KEY: &str = "key-0123456789-very-secret";
const SOON: Duration = Duration::from_secs(20);

/// What a server was asked: its path, the headers of a key, the body.
type Heard = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A server that gives one answer to everything.
struct Api {
    url: String,
    heard: Heard,
}

impl Api {
    async fn start(status: u16, answer: impl Into<String>) -> Self {
        let (heard, answer) = (Heard::default(), answer.into());
        let status = StatusCode::from_u16(status).unwrap();
        let hear = move |State(heard): State<Heard>, uri: Uri, headers: Headers, body: Bytes| async move {
            let keys = ["x-goog-api-key", "authorization"];
            let key = keys.iter().find_map(|name| headers.get(*name)).map(|value| value.to_str().unwrap());
            let body = serde_json::from_slice(&body).unwrap();
            heard
                .lock()
                .unwrap()
                .push((uri.to_string(), key.unwrap_or_default().to_owned(), body));
            // A redirect, where it is one, leads back here.
            (status, [("location", "/elsewhere")], answer).into_response()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(hear).with_state(heard.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, heard }
    }

    fn heard(&self) -> (String, String, Value) {
        let heard = self.heard.lock().unwrap();
        assert_eq!(heard.len(), 1, "one call, and no redirect is followed");
        heard[0].clone()
    }
}

fn settings(provider: Provider, url: &str) -> Settings {
    let credential = |source| Some(Credential { source, key: KEY.into() });
    Settings {
        provider,
        model: "m-1".to_owned(),
        url: url.to_owned(),
        credential: match provider {
            Provider::Google => credential(Source::GeminiApiKey),
            Provider::OpenAi => credential(Source::OpenAiApiKey),
            _ => None,
        },
        dimension: None,
        probe: true,
    }
}

/// How a call ends; the address as `URL`.
async fn refused(provider: Provider, status: u16, answer: &str) -> String {
    let api = Api::start(status, answer).await;
    let refusal = probe(&settings(provider, &api.url), SOON).await.unwrap_err().to_string();
    assert!(!refusal.contains(KEY), "{refusal}");
    refusal.replace(&api.url, "URL")
}

#[tokio::test]
async fn google_is_asked_in_its_words() {
    let api = Api::start(200, json!({ "embedding": { "values": vec![0.5; 768] } }).to_string()).await;
    let mut settings = settings(Provider::Google, &api.url);
    settings.dimension = Some(768);
    assert_eq!(probe(&settings, SOON).await, Ok(768));
    let (path, key, body) = api.heard();
    assert_eq!((path.as_str(), key.as_str()), ("/models/m-1:embedContent", KEY));
    assert_eq!(
        body,
        json!({ "model": "models/m-1", "content": { "parts": [{ "text": "Is anybody there?" }] }, "outputDimensionality": 768 })
    );
}

#[tokio::test]
async fn openai_is_asked_in_its_words() {
    let answer = json!({ "object": "list", "data": [{ "object": "embedding", "index": 0, "embedding": [0.1, -2, 3] }] });
    let api = Api::start(200, answer.to_string()).await;
    assert_eq!(probe(&settings(Provider::OpenAi, &api.url), SOON).await, Ok(3));
    let (path, key, body) = api.heard();
    assert_eq!((path, key), ("/embeddings".to_owned(), format!("Bearer {KEY}")));
    assert_eq!(
        body,
        json!({ "model": "m-1", "input": "Is anybody there?", "encoding_format": "float" })
    );
}

#[tokio::test]
async fn ollama_is_asked_in_its_words_and_given_no_key() {
    let api = Api::start(200, json!({ "model": "m-1", "embeddings": [[1, 2]] }).to_string()).await;
    assert_eq!(probe(&settings(Provider::Ollama, &api.url), SOON).await, Ok(2));
    let (path, key, body) = api.heard();
    assert_eq!((path.as_str(), key.as_str()), ("/api/embed", ""));
    assert_eq!(body, json!({ "model": "m-1", "input": "Is anybody there?" }));
}

#[tokio::test]
async fn refusals_are_told_apart_and_say_what_to_set() {
    let google = |status: u16, said: &str| {
        let details = json!([{ "reason": if status == 400 { "API_KEY_INVALID" } else { "OTHER" } }]);
        json!({ "error": { "code": status, "message": said, "details": details } }).to_string()
    };
    let echoed = format!("Incorrect API key provided: {KEY}");
    let said = [
        refused(Provider::Google, 400, &google(400, "API key not valid.")).await,
        refused(Provider::Google, 403, &google(403, "Blocked.")).await,
        refused(Provider::OpenAi, 401, &google(401, &echoed)).await,
        refused(Provider::Google, 404, &google(404, "models/m-1 is not found")).await,
        refused(
            Provider::Ollama,
            404,
            r#"{"error":"model \"m-1\" not found, try pulling it first"}"#,
        )
        .await,
        refused(Provider::OpenAi, 429, &google(429, "Slow down.")).await,
        refused(Provider::OpenAi, 307, "").await,
        refused(Provider::Ollama, 500, "<h1>Oops</h1>").await,
        refused(Provider::Ollama, 200, "<h1>Welcome</h1>").await,
        refused(Provider::Google, 200, r#"{"embedding":{"values":[]}}"#).await,
        refused(Provider::OpenAi, 200, r#"{"data":[{"embedding":["a"]}]}"#).await,
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    URL refuses the key (400: API key not valid.): set GEMINI_API_KEY to a key that may use the model
    URL refuses the key (403: Blocked.): set GEMINI_API_KEY to a key that may use the model
    URL refuses the key (401: Incorrect API key provided: [redacted]): set OPENAI_API_KEY to a key that may use the model
    URL knows no model m-1 (models/m-1 is not found): set GOOGLE_EMBEDDING_MODEL to one that makes embeddings, or for Ollama `ollama pull m-1`
    URL knows no model m-1 (model "m-1" not found, try pulling it first): set MOORLINE_OLLAMA_EMBEDDING_MODEL to one that makes embeddings, or for Ollama `ollama pull m-1`
    URL limits the account for now (Slow down.): wait, or use a key of another account
    URL answers with 307 (no words): check MOORLINE_OPENAI_EMBEDDING_URL, and that the service is up
    URL answers with 500 (<h1>Oops</h1>): check MOORLINE_OLLAMA_URL, and that the service is up
    what URL answers is no embedding (it is no JSON): check that MOORLINE_OLLAMA_URL is the address of the provider's API
    what URL answers is no embedding (its JSON has no embedding where this API has it): check that MOORLINE_GOOGLE_EMBEDDING_URL is the address of the provider's API
    what URL answers is no embedding (its JSON has no embedding where this API has it): check that MOORLINE_OPENAI_EMBEDDING_URL is the address of the provider's API
    "#);
}

#[tokio::test]
async fn another_dimension_than_the_wanted_one_is_refused() {
    let api = Api::start(200, json!({ "embeddings": [[1, 2, 3]] }).to_string()).await;
    let mut settings = settings(Provider::Ollama, &api.url);
    settings.dimension = Some(4);
    insta::assert_snapshot!(probe(&settings, SOON).await.unwrap_err(), @"m-1 makes embeddings of 3 dimensions, and MOORLINE_EMBEDDING_DIMENSION is 4: set it to 3, or another model");
}

#[tokio::test]
async fn nobody_there_is_told_from_somebody_who_says_nothing() {
    let free = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
    let gone = free().await.local_addr().unwrap();
    let refusal = probe(&settings(Provider::Google, &format!("http://ada:{KEY}@{gone}")), SOON)
        .await
        .unwrap_err();
    let text = refusal.to_string();
    assert!(matches!(refusal, Refusal::Unreachable { .. }) && !text.contains(KEY), "{text}");
    assert!(text.contains("refused") && text.contains("MOORLINE_GOOGLE_EMBEDDING_URL"), "{text}");

    let silent = free().await;
    let url = format!("http://{}", silent.local_addr().unwrap());
    let refusal = probe(&settings(Provider::Ollama, &url), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::TimedOut { .. }), "{refusal}");
    drop(silent);
}

#[tokio::test]
async fn https_that_nobody_vouches_for_is_unreachable_and_no_panic() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let hang_up = async {
        let (stream, _) = listener.accept().await?;
        drop(stream);
        io::Result::Ok(())
    };
    let settings = settings(Provider::OpenAi, &url);
    let (refusal, ended) = tokio::join!(probe(&settings, SOON), hang_up);
    assert!(matches!(refusal, Err(Refusal::Unreachable { .. })), "{refusal:?}");
    ended.unwrap();
}
