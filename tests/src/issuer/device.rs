//! Device login: a code for the device, a page for the person, and an answer to the device that keeps asking.

use axum::{
    Json,
    extract::{Form, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::books::{Code, Decision, Shared};

pub(super) async fn user_code(State(shared): State<Shared>) -> Json<Value> {
    let mut books = shared.lock();
    let letters: String = std::iter::repeat_with(|| fastrand::choice(b"BCDFGHJKLMNPQRSTVWXZ").map_or('B', |letter| char::from(*letter)))
        .take(8)
        .collect();
    let (id, user_code) = (Uuid::now_v7().to_string(), format!("{}-{}", &letters[..4], &letters[4..]));
    let decision = books.approves_at_once.then_some(Decision::Approve);
    let code = Code {
        user_code: user_code.clone(),
        decision,
    };
    books.codes.insert(id.clone(), code);
    Json(json!({"device_auth_id": id, "user_code": user_code, "interval": "1"}))
}

#[derive(Deserialize)]
pub(super) struct Poll {
    device_auth_id: String,
    user_code: String,
}

/// Codex takes 403 and 404 for "not yet", and asks again.
pub(super) async fn poll(State(shared): State<Shared>, Json(poll): Json<Poll>) -> Response {
    let mut books = shared.lock();
    let code = books
        .codes
        .get(&poll.device_auth_id)
        .filter(|code| code.user_code == poll.user_code);
    let refused = |status: StatusCode, error: &str| (status, Json(json!({"error": {"code": error, "message": error}}))).into_response();
    match code.map(|code| code.decision) {
        None => refused(StatusCode::BAD_REQUEST, "invalid_request"),
        Some(None) => refused(StatusCode::FORBIDDEN, "deviceauth_authorization_pending"),
        Some(Some(Decision::Deny)) => refused(StatusCode::BAD_REQUEST, "access_denied"),
        Some(Some(Decision::Expire)) => refused(StatusCode::BAD_REQUEST, "expired_token"),
        Some(Some(Decision::Approve)) => {
            let grant = books.grant();
            Json(json!({"authorization_code": grant, "code_challenge": "challenge", "code_verifier": "verifier"})).into_response()
        }
    }
}

pub(super) async fn page() -> Html<&'static str> {
    Html(
        "<form method=post><input name=user_code><button name=decision value=approve>Yes</button><button name=decision value=deny>No</button></form>",
    )
}

#[derive(Deserialize)]
pub(super) struct Entered {
    user_code: String,
    decision: String,
}

pub(super) async fn enter(State(shared): State<Shared>, Form(entered): Form<Entered>) -> Response {
    let decision = match entered.decision.as_str() {
        "approve" => Decision::Approve,
        _ => Decision::Deny,
    };
    match shared.lock().decide(entered.user_code.trim(), decision) {
        true => "Go back to your terminal.".into_response(),
        false => (StatusCode::NOT_FOUND, "There is no such code.").into_response(),
    }
}
