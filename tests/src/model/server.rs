//! The HTTP side: which mode, which status, which events.

use std::{convert::Infallible, io};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{RequestLog, account, answer, body, gemini, mode::Mode, request::Request};
use crate::issuer::Reader;

/// Longest request body in bytes: prompts with whole files in them are large.
const BODY_LIMIT: usize = 64 << 20;

#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) log: RequestLog,
    pub(super) go: CancellationToken,
    pub(super) stop: CancellationToken,
}

pub(super) fn router(log: RequestLog, go: CancellationToken, stop: CancellationToken, reader: Option<Reader>) -> Router {
    Router::new()
        .route("/requests", get(requests))
        .route("/{mode}/v1/responses", post(respond))
        .route("/{mode}/v1/models", get(models))
        .route("/{mode}/v1beta/models/{model}", post(gemini::respond))
        .route("/backend-api/{*path}", get(account::about).post(account::about))
        .fallback(other)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .method_not_allowed_fallback(other)
        .layer(axum::middleware::from_fn_with_state(reader, account::admit))
        .with_state(Server { log, go, stop })
}

/// Codex asks for it with a ChatGPT login; it knows its own models.
async fn models(State(server): State<Server>, method: Method, uri: Uri, headers: HeaderMap) -> Json<Value> {
    server.log.add(Request::new(&method, &uri, &headers, &Value::Null));
    Json(json!({"models": []}))
}

/// What was asked so far, for a test or a person in another process.
async fn requests(State(server): State<Server>) -> Json<Vec<Request>> {
    Json(server.log.all())
}

/// Codex first tries a WebSocket on the same address: 426 makes it use server-sent events at once. Anything else isn't there.
async fn other(State(server): State<Server>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    server.log.add(Request::new(&method, &uri, &headers, &Value::Null));
    let wants_websocket = headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let status = if wants_websocket {
        StatusCode::UPGRADE_REQUIRED
    } else {
        StatusCode::NOT_FOUND
    };
    failure(status, "not_found", "the scripted model answers POST /<mode>/v1/responses only")
}

async fn respond(
    State(server): State<Server>,
    Path(mode): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let parsed = body::json(&headers, &body);
    let request = Request::new(&method, &uri, &headers, parsed.as_ref().unwrap_or(&Value::Null));
    server.log.add(request.clone());
    if let Err(hint) = parsed {
        return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_body", &hint);
    }
    match mode.parse() {
        Ok(mode) => answer_in(mode, &request, &server).await,
        Err(unknown) => failure(StatusCode::NOT_FOUND, "unknown_mode", &format!("{unknown}")),
    }
}

async fn answer_in(mode: Mode, request: &Request, server: &Server) -> Response {
    let id = format!("resp_{}", Uuid::now_v7().simple());
    let created = event("response.created", json!({"response": {"id": id}}));
    let failed = |code: &str| {
        let error = json!({"code": code, "message": format!("scripted {code}")});
        event(
            "response.failed",
            json!({"response": {"id": id, "status": "failed", "error": error}}),
        )
    };
    let item = || {
        event(
            "response.output_item.done",
            json!({"output_index": 0, "item": answer::next_item(mode, request)}),
        )
    };
    if mode == Mode::Wait {
        tokio::select! {
            () = server.go.cancelled() => {}
            () = server.stop.cancelled() => {}
        }
    }
    match mode {
        Mode::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            failure(status, code_of(status), &format!("scripted status {}", status.as_u16()))
        }
        Mode::Flaky(count) if server.log.count(&request.path) <= count => failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "scripted failure, better next time",
        ),
        Mode::Limited(wait) => account::limited(wait),
        Mode::RefreshReused => failure(
            StatusCode::UNAUTHORIZED,
            "refresh_token_reused",
            "Your access token could not be refreshed because your refresh token was already used. Please log out and sign in again.",
        ),
        Mode::Mute => {
            server.stop.cancelled().await;
            failure(StatusCode::SERVICE_UNAVAILABLE, "server_error", "the scripted model stops")
        }
        Mode::Hang => {
            let silence = stream::once(server.stop.clone().cancelled_owned()).map(|()| Err(io::Error::other("the scripted model stops")));
            events(stream::iter([Ok(created)]).chain(silence))
        }
        Mode::Drop => {
            // An error in the body makes the server cut the connection; what came before it is sent while the body waits.
            let cut = stream::once(async {
                tokio::task::yield_now().await;
                Err(io::Error::other("scripted cut"))
            });
            events(stream::iter([Ok(created), Ok(item())]).chain(cut))
        }
        Mode::Quota => complete([created, failed("insufficient_quota")]),
        Mode::RateLimited => complete([created, failed("rate_limit_exceeded")]),
        Mode::Work | Mode::Commit | Mode::Rework | Mode::Leak | Mode::Slow(_) | Mode::Wait | Mode::Say | Mode::Flaky(_) => {
            let usage = json!({
                "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15,
            });
            complete([
                created,
                item(),
                event("response.completed", json!({"response": {"id": id, "usage": usage}})),
            ])
        }
    }
}

/// An error as the real service words it.
pub(super) fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({"error": {"message": message, "type": "scripted_error", "code": code}})),
    )
        .into_response()
}

fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "invalid_api_key",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_exceeded",
        _ => "server_error",
    }
}

fn event(kind: &str, mut fields: Value) -> Bytes {
    fields["type"] = kind.into();
    Bytes::from(format!("event: {kind}\ndata: {fields}\n\n"))
}

fn complete<const N: usize>(all: [Bytes; N]) -> Response {
    events(stream::iter(all.map(Ok::<_, Infallible>)))
}

fn events<E: std::error::Error + Send + Sync + 'static>(events: impl stream::Stream<Item = Result<Bytes, E>> + Send + 'static) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}
