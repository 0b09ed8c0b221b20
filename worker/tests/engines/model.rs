//! A model and an issuer of tokens on loopback, for the real CLI.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

/// How it answers, and what it was asked.
#[derive(Debug, Clone)]
pub struct Model {
    pub url: String,
    state: Arc<Mutex<Answers>>,
}

#[derive(Debug, Default)]
struct Answers {
    /// Status and body of the model; an answer when there is none.
    model: Option<(u16, String)>,
    /// Body of the issuer; a refusal when there is none.
    issuer: Option<String>,
    calls: usize,
    refreshes: usize,
}

const ANSWER: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\"}}\n\n",
    "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"m1\",",
    "\"role\":\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"ok\",\"annotations\":[]}]}}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"usage\":{\"input_tokens\":1,",
    "\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":1,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":2}}}\n\n",
);
const REUSED: &str = r#"{"error":{"code":"refresh_token_reused","message":"Your refresh token was already used."}}"#;

impl Model {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Answers::default()));
        let router = Router::new().fallback(answer).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state }
    }

    /// From now on the model answers with this error.
    pub fn fails(&self, status: u16, body: &str) {
        self.state.lock().unwrap().model = Some((status, body.to_owned()));
    }

    /// From now on it answers.
    pub fn works(&self) {
        self.state.lock().unwrap().model = None;
    }

    /// What the issuer hands out from now on.
    pub fn issues(&self, tokens: &str) {
        self.state.lock().unwrap().issuer = Some(tokens.to_owned());
    }

    /// Calls of the model, and of the issuer.
    pub fn asked(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.calls, state.refreshes)
    }
}

async fn answer(State(state): State<Arc<Mutex<Answers>>>, method: Method, uri: Uri, _body: Bytes) -> Response {
    let mut state = state.lock().unwrap();
    let json = [(header::CONTENT_TYPE, "application/json")];
    match (method.as_str(), uri.path()) {
        ("POST", "/oauth/token") => {
            state.refreshes += 1;
            match &state.issuer {
                Some(tokens) => (json, tokens.clone()).into_response(),
                None => (StatusCode::UNAUTHORIZED, json, REUSED).into_response(),
            }
        }
        ("POST", path) if path.ends_with("/responses") => {
            state.calls += 1;
            match &state.model {
                Some((status, body)) => (StatusCode::from_u16(*status).unwrap(), json, body.clone()).into_response(),
                None => ([(header::CONTENT_TYPE, "text/event-stream")], ANSWER).into_response(),
            }
        }
        // No WebSocket.
        ("GET", path) if path.ends_with("/responses") => StatusCode::UPGRADE_REQUIRED.into_response(),
        _ => (StatusCode::NOT_FOUND, json, "{}").into_response(),
    }
}
