//! The GitHub forge against a stand-in that keeps pull requests and can be told to misbehave.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, patch},
};
use serde_json::{Value, json};

use super::*;

/// What the stand-in holds, and the answers that it gives first.
#[derive(Default)]
struct Desk {
    pulls: Vec<Value>,
    calls: Vec<&'static str>,
    /// Answers before the real ones, by call.
    first: Vec<(&'static str, u16, Value)>,
    /// A pull request that another publisher opens just before ours.
    rival: bool,
}

type Shared = Arc<Mutex<Desk>>;

fn begin(desk: &mut Desk, call: &'static str) -> Option<(StatusCode, Json<Value>)> {
    desk.calls.push(call);
    let at = desk.first.iter().position(|(name, _, _)| *name == call)?;
    let (_, status, answer) = desk.first.remove(at);
    Some((StatusCode::from_u16(status).expect("a status"), Json(answer)))
}

async fn list(State(desk): State<Shared>) -> (StatusCode, Json<Value>) {
    let mut desk = desk.lock().expect("the desk");
    begin(&mut desk, "list").unwrap_or_else(|| (StatusCode::OK, Json(Value::Array(desk.pulls.clone()))))
}

async fn create(State(desk): State<Shared>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut desk = desk.lock().expect("the desk");
    if let Some(answer) = begin(&mut desk, "create") {
        return answer;
    }
    let pull =
        json!({ "number": 7, "state": "open", "html_url": "http://forge/7", "title": body["title"], "head": { "ref": body["head"] } });
    desk.pulls.push(pull.clone());
    if std::mem::take(&mut desk.rival) {
        let message = "A pull request already exists for acme:b.";
        return (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({ "message": "Validation Failed", "errors": [{ "message": message }] })),
        );
    }
    (StatusCode::CREATED, Json(pull))
}

async fn update(State(desk): State<Shared>, Path(number): Path<u64>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut desk = desk.lock().expect("the desk");
    begin(&mut desk, "update").unwrap_or_else(|| {
        let pull = desk.pulls.iter_mut().find(|pull| pull["number"] == number).expect("a pull request");
        pull["title"] = body["title"].clone();
        (StatusCode::OK, Json(pull.clone()))
    })
}

async fn stand_in(desk: Desk) -> (GitHub, Shared) {
    let shared = Arc::new(Mutex::new(desk));
    let router = Router::new()
        .route("/api/v3/repos/acme/widgets/pulls", get(list).post(create))
        .route("/api/v3/repos/acme/widgets/pulls/{number}", patch(update))
        .with_state(shared.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let api = format!("http://{}/api/v3", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (client(&api), shared)
}

fn client(api: &str) -> GitHub {
    let mut github = GitHub::new(api, "token".to_owned().into(), "acme", "widgets").expect("a client");
    github.pause = std::time::Duration::from_millis(1);
    github
}

fn wanted() -> Wanted<'static> {
    Wanted {
        head: "b",
        base: "main",
        title: "A title",
        body: "A body",
    }
}

#[tokio::test]
async fn a_second_publisher_updates_the_pull_request_of_the_first() {
    let (github, desk) = stand_in(Desk::default()).await;
    let first = github
        .ensure_pull_request(&wanted())
        .await
        .expect("opened")
        .expect("a pull request");
    assert_eq!((first.url.as_str(), first.existed), ("http://forge/7", false));
    let again = Wanted {
        title: "Another title",
        ..wanted()
    };
    let second = github.ensure_pull_request(&again).await.expect("updated").expect("a pull request");
    assert!(second.existed);
    let desk = desk.lock().expect("the desk");
    assert_eq!((desk.pulls.len(), &desk.pulls[0]["title"]), (1, &json!("Another title")));
}

#[tokio::test]
async fn a_rival_that_is_first_by_a_moment_is_found_by_a_second_look() {
    let (github, desk) = stand_in(Desk {
        rival: true,
        ..Desk::default()
    })
    .await;
    let found = github.ensure_pull_request(&wanted()).await.expect("found").expect("a pull request");
    assert!(found.existed);
    assert_eq!(desk.lock().expect("the desk").calls, ["list", "create", "list", "update"]);
}

#[tokio::test]
async fn a_broken_forge_is_asked_again() {
    let first = vec![("list", 502, json!("<html>")), ("create", 500, json!({ "message": "oops" }))];
    let (github, desk) = stand_in(Desk { first, ..Desk::default() }).await;
    github.ensure_pull_request(&wanted()).await.expect("opened");
    assert_eq!(desk.lock().expect("the desk").calls, ["list", "list", "create", "create"]);
}

#[tokio::test]
async fn refusals_have_a_code_and_the_forges_words() {
    let cases = [
        (401, "Bad credentials"),
        (403, "Resource not accessible"),
        (404, "Not Found"),
        (422, "base is invalid"),
    ];
    let mut codes = Vec::new();
    for (status, message) in cases {
        let first = vec![("create", status, json!({ "message": message }))];
        let (github, _) = stand_in(Desk { first, ..Desk::default() }).await;
        let failure = github.ensure_pull_request(&wanted()).await.expect_err("refused");
        assert!(failure.message.contains(message), "{}", failure.message);
        codes.push(failure.code);
    }
    assert_eq!(codes, ["FORGE_AUTH", "FORGE_AUTH", "FORGE_REFUSED", "FORGE_REFUSED"]);
    assert_eq!(
        client("http://127.0.0.1:1")
            .ensure_pull_request(&wanted())
            .await
            .expect_err("silent")
            .code,
        "FORGE_UNREACHABLE"
    );
}

#[test]
fn only_repositories_at_github_have_a_forge() {
    let on = |repository| on_github("https://github.com", repository);
    assert_eq!(on("acme/widgets"), Some(("acme", "widgets")));
    assert_eq!(on("https://github.com/acme/widgets.git"), Some(("acme", "widgets")));
    assert_eq!(on("https://github.com.evil.org/acme/widgets"), None);
    assert_eq!(on("https://gitlab.com/acme/widgets"), None);
    assert_eq!(on("file:///srv/acme/widgets"), None);
}
