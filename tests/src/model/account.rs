//! What the service does for accounts: it lets in those whose access token is good, tells them about themselves, and limits their use.

use std::time::{Duration, SystemTime};

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::server::failure;
use crate::issuer::Reader;

/// Lets a request pass whose access token the issuer finds good; every request where there is no issuer, and Gemini's.
pub(super) async fn admit(State(reader): State<Option<Reader>>, request: Request, next: Next) -> Response {
    // Google's keys are none of this issuer's business.
    let path = request.uri().path();
    let open = path == "/requests" || path.contains("/v1beta/");
    let Some(reader) = reader.filter(|_| !open) else {
        return next.run(request).await;
    };
    let bearer = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let judged = bearer.map_or(Err("missing_bearer"), |token| reader.judge(token));
    match judged {
        Ok(()) => next.run(request).await,
        Err(code) => failure(StatusCode::UNAUTHORIZED, code, &words(code, bearer.unwrap_or_default())),
    }
}

/// As the real service words it, which shows parts of a wrong key: here all of it, the worst that can be.
fn words(code: &str, bearer: &str) -> String {
    match code {
        "token_expired" => "Provided authentication token is expired. Please try signing in again.".to_owned(),
        "token_revoked" => "Encountered invalidated oauth token for user, failing request".to_owned(),
        "missing_bearer" => "Missing bearer or basic authentication in header".to_owned(),
        _ => format!("Incorrect API key provided: {bearer}. You can find your API key at https://platform.openai.com/account/api-keys."),
    }
}

/// Questions about the account, and reports that nobody reads.
pub(super) async fn about(Path(path): Path<String>) -> Response {
    match path.as_str() {
        "wham/usage" => Json(json!({"plan_type": "plus", "rate_limit": null, "credits": null})).into_response(),
        path if path.ends_with("/events") => Json(Value::Object(serde_json::Map::new())).into_response(),
        _ => failure(StatusCode::NOT_FOUND, "not_found", "the scripted model knows nothing of that"),
    }
}

/// The account may not be used for a while.
pub(super) fn limited(wait: Duration) -> Response {
    let until = SystemTime::now() + wait;
    let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let error = json!({
        "type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus",
        "resets_at": until, "resets_in_seconds": wait.as_secs(),
    });
    (StatusCode::TOO_MANY_REQUESTS, Json(json!({"error": error}))).into_response()
}
