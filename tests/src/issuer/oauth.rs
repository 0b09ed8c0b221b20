//! Tokens for a code or for a refresh token, and their end.

use std::{convert::Infallible, future::Future};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    books::{Refusal, Shared, Tokens},
    pause::Point,
};

#[derive(Deserialize)]
struct Asked {
    grant_type: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    refresh_token: String,
}

pub(super) async fn token(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(asked) = read(&headers, &body) else {
        return refused(Refusal::Unknown);
    };
    match asked.grant_type.as_str() {
        "authorization_code" => answer(shared.lock().log_in(&asked.code)).into_response(),
        "refresh_token" => refresh(&shared, &asked.refresh_token).await,
        _ => refused(Refusal::Unknown),
    }
}

async fn refresh(shared: &Shared, refresh_token: &str) -> Response {
    let failed = |status: u16| {
        (
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            "scripted failure",
        )
            .into_response()
    };
    if let Some(brake) = shared.brake(Point::Asked)
        && !brake.hold().await
    {
        return failed(503);
    }
    let failure = shared.lock().failure();
    if let Some(status) = failure {
        return failed(status);
    }
    let decided = shared.lock().refresh(refresh_token);
    if let Some(brake) = shared.brake(Point::Decided) {
        brake.hold().await;
    }
    match (decided, shared.brake(Point::Sent)) {
        (Ok(tokens), Some(brake)) => telling(&tokens, async { brake.tell() }),
        (decided, _) => answer(decided),
    }
}

/// Forms for a code, JSON for a refresh token: as Codex sends them.
fn read(headers: &HeaderMap, body: &Bytes) -> Option<Asked> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if kind.starts_with("application/json") {
        return serde_json::from_slice(body).ok();
    }
    let field = |name: &str| {
        let found = url::form_urlencoded::parse(body).find(|(field, _)| field == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    Some(Asked {
        grant_type: field("grant_type"),
        code: field("code"),
        refresh_token: field("refresh_token"),
    })
}

fn answer(decided: Result<Tokens, Refusal>) -> Response {
    match decided {
        Ok(tokens) => Json(json(&tokens)).into_response(),
        Err(refusal) => refused(refusal),
    }
}

fn json(tokens: &Tokens) -> Value {
    json!({"id_token": tokens.id, "access_token": tokens.access, "refresh_token": tokens.refresh, "token_type": "Bearer"})
}

/// The answer, and word of it once its content is with the connection.
fn telling(tokens: &Tokens, tell: impl Future<Output = ()> + Send + 'static) -> Response {
    let content = Bytes::from(json(tokens).to_string());
    let told = stream::once(tell).map(|()| Ok::<_, Infallible>(Bytes::new()));
    let body = Body::from_stream(stream::iter([Ok(content)]).chain(told));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// As the real issuer words it.
fn refused(refusal: Refusal) -> Response {
    let (status, code, message) = match refusal {
        Refusal::Reused => (
            StatusCode::UNAUTHORIZED,
            "refresh_token_reused",
            "Your refresh token has already been used to generate a new access token. Please try signing in again.",
        ),
        Refusal::Invalidated => (
            StatusCode::UNAUTHORIZED,
            "refresh_token_invalidated",
            "Your refresh token has been invalidated. Please try signing in again.",
        ),
        Refusal::Unknown => (
            StatusCode::UNAUTHORIZED,
            "invalid_grant",
            "The request is not one that can be granted.",
        ),
    };
    let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": code});
    (status, Json(json!({"error": error}))).into_response()
}

#[derive(Deserialize)]
struct Revoked {
    token: String,
}

pub(super) async fn revoke(State(shared): State<Shared>, body: Bytes) -> Json<Value> {
    let json = serde_json::from_slice(&body).map(|Revoked { token }| token).ok();
    let form = || {
        url::form_urlencoded::parse(&body)
            .find(|(name, _)| name == "token")
            .map(|(_, token)| token.into_owned())
    };
    if let Some(token) = json.or_else(form) {
        shared.lock().revoke(&token);
    }
    Json(json!({}))
}
