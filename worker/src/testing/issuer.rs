//! An issuer of logins for the real Codex CLI: device codes, tokens, refreshes and revocations.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// What the person does who is asked to enter the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Person {
    /// Nothing yet.
    #[default]
    Away,
    /// Enters it.
    Agrees,
    /// Says no.
    Refuses,
}

/// What it was asked, and what it answers.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) person: Person,
    /// Paths, in the order in which they were asked for.
    pub(crate) asked: Vec<String>,
    /// Refresh tokens that were issued.
    pub(crate) issued: Vec<String>,
}

type Shared = Arc<Mutex<Desk>>;

/// The issuer, until it is dropped.
pub(crate) struct Issuer {
    pub(crate) url: String,
    desk: Shared,
    task: JoinHandle<()>,
}

/// The code that it gives out.
pub(crate) const CODE: &str = "ABCD-EFGH";

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let desk = Shared::default();
        let router = Router::new().fallback(answer).with_state(desk.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("an issuer") });
        Self { url, desk, task }
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("the desk")
    }

    /// How often a path was asked for that ends so.
    pub(crate) fn asked(&self, end: &str) -> usize {
        self.desk().asked.iter().filter(|path| path.ends_with(end)).count()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(desk): State<Shared>, uri: Uri, _: Bytes) -> (StatusCode, Json<Value>) {
    let mut desk = desk.lock().expect("the desk");
    desk.asked.push(uri.path().to_owned());
    let (status, answer) = match (uri.path(), desk.person) {
        ("/api/accounts/deviceauth/usercode", _) => (
            200,
            json!({ "device_auth_id": "da-1", "user_code": CODE, "interval": "1", "expires_at": "2030-01-01T00:00:00Z" }),
        ),
        ("/api/accounts/deviceauth/token", Person::Away) => (403, json!({ "error": "authorization_pending" })),
        ("/api/accounts/deviceauth/token", Person::Refuses) => (400, json!({ "error": "access_denied" })),
        ("/api/accounts/deviceauth/token", Person::Agrees) => (
            200,
            json!({ "authorization_code": "code-1", "code_challenge": "cc", "code_verifier": "cv" }),
        ),
        ("/oauth/token", _) => {
            let refresh = format!("rt-issued-{}", desk.issued.len());
            desk.issued.push(refresh.clone());
            (
                200,
                json!({ "id_token": token(), "access_token": token(), "refresh_token": refresh }),
            )
        }
        ("/oauth/revoke", _) => (200, json!({})),
        _ => (404, json!({})),
    };
    (StatusCode::from_u16(status).expect("a status"), Json(answer))
}

/// A token of the account `acct-1` that lasts for an hour.
fn token() -> String {
    let now = chrono::Utc::now().timestamp();
    let claims = json!({
        "iat": now, "exp": now + 3600, "email": "dev@example.com",
        "https://api.openai.com/auth": { "chatgpt_account_id": "acct-1", "chatgpt_plan_type": "plus", "chatgpt_user_id": "user-1" },
    });
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    [part(r#"{"alg":"RS256","typ":"JWT"}"#), part(&claims.to_string()), part("sig")].join(".")
}
