//! What happens to every request: it is recorded, and fails when it is meant to.

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{
    access, json,
    state::{Call, Shared, Side},
};

/// Longest body of a call of the API in bytes.
const BODY_LIMIT: usize = 4 << 20;

pub(super) async fn record(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let side = if request.uri().path().starts_with("/api/") {
        Side::Api
    } else {
        Side::Git
    };
    let mut call = Call {
        side,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        authorized: access::is_authorized(request.headers()),
        body: Value::Null,
        status: 0,
    };
    if side == Side::Api {
        // Calls of the API are small; what git sends is passed on as it comes.
        let (parts, body) = request.into_parts();
        let Ok(bytes) = to_bytes(body, BODY_LIMIT).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        call.body = serde_json::from_slice(&bytes).unwrap_or_default();
        request = Request::from_parts(parts, Body::from(bytes));
    }
    let planned = shared.lock().next_failure(side);
    let response = match (planned, side) {
        (Some(status), _) => failure(status),
        (None, Side::Api) if !call.authorized => failure(401),
        (None, _) => next.run(request).await,
    };
    call.status = response.status().as_u16();
    shared.lock().calls.push(call);
    response
}

/// A failure in GitHub's words. A 401 asks for credentials, without which git would not send any.
fn failure(status: u16) -> Response {
    let message = match status {
        401 => "Bad credentials",
        403 => "Resource not accessible by personal access token",
        404 => "Not Found",
        _ => "Server Error",
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(json::error(status.as_u16(), message, Value::Null))).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"GitHub\""));
    }
    response
}
