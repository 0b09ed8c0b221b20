//! The same model for the Gemini CLI: Google's `streamGenerateContent`, with the modes and the script of the other.
//!
//! A key with `wrong` in it is answered as Google answers a wrong one.

use std::{convert::Infallible, io, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{answer, mode::Mode, prompt, request::Request, server::Server};

/// Header of the key.
const KEY: &str = "x-goog-api-key";

pub(super) async fn respond(
    State(server): State<Server>,
    Path((mode, model)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let request = Request {
        authorization: headers.get(KEY).map(|key| super::request::redact(key.as_bytes())),
        model: model.split(':').next().map(str::to_owned),
        ..read(&method, &uri, &body)
    };
    server.log.add(request.clone());
    if headers
        .get(KEY)
        .is_some_and(|key| String::from_utf8_lossy(key.as_bytes()).contains("wrong"))
    {
        let reason = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"});
        return failure(
            400,
            "API key not valid. Please pass a valid API key.",
            "INVALID_ARGUMENT",
            json!([reason]),
        );
    }
    match mode.parse() {
        Ok(mode) => answer_in(mode, &request, &server).await,
        Err(unknown) => failure(404, &format!("{unknown}"), "NOT_FOUND", json!([])),
    }
}

async fn answer_in(mode: Mode, request: &Request, server: &Server) -> Response {
    if mode == Mode::Wait {
        tokio::select! {
            () = server.go.cancelled() => {}
            () = server.stop.cancelled() => {}
        }
    }
    match mode {
        Mode::Status(status) => failure(status, &format!("scripted status {status}"), "SCRIPTED", json!([])),
        Mode::Flaky(count) if server.log.count(&request.path) <= count => {
            failure(500, "scripted failure, better next time", "INTERNAL", json!([]))
        }
        Mode::Limited(wait) => limited(wait),
        Mode::Quota | Mode::RateLimited => failure(
            429,
            "Resource has been exhausted (e.g. check quota).",
            "RESOURCE_EXHAUSTED",
            json!([]),
        ),
        Mode::RefreshReused => failure(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED", json!([])),
        Mode::Mute => {
            server.stop.cancelled().await;
            failure(503, "the scripted model stops", "UNAVAILABLE", json!([]))
        }
        Mode::Hang => {
            let silence = stream::once(server.stop.clone().cancelled_owned()).map(|()| Err(io::Error::other("the scripted model stops")));
            events(silence)
        }
        Mode::Drop => events(stream::iter([Ok(chunk(mode, request)), Err(io::Error::other("scripted cut"))])),
        Mode::Work | Mode::Commit | Mode::Rework | Mode::Leak | Mode::Slow(_) | Mode::Wait | Mode::Say | Mode::Flaky(_) => {
            events(stream::iter([Ok::<_, Infallible>(chunk(mode, request))]))
        }
    }
}

/// What the model says next, as one event of its stream.
fn chunk(mode: Mode, request: &Request) -> Bytes {
    let answer = json!({
        "candidates": [{"content": {"role": "model", "parts": [part(mode, request)]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}, "modelVersion": "scripted",
    });
    Bytes::from(format!("data: {answer}\r\n\r\n"))
}

fn part(mode: Mode, request: &Request) -> Value {
    if !request.tool_outputs.is_empty() {
        return json!({"text": "Done: the tasks are worked and ticked."});
    }
    let asked = request.prompt.as_deref().and_then(prompt::parse);
    match asked.filter(|asked| mode != Mode::Say && !asked.tasks.is_empty()) {
        Some(asked) => {
            let arguments = json!({"command": answer::command(mode, &asked), "description": "Does the tasks."});
            json!({"functionCall": {"name": "run_shell_command", "args": arguments}})
        }
        None => json!({"text": "There is nothing that I would change."}),
    }
}

/// The account may not be used for a while.
fn limited(wait: Duration) -> Response {
    let delay = format!("{}s", wait.as_secs());
    let details = json!([
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]);
    let message = format!("You exceeded your current quota, please check your plan and billing details. Please retry in {delay}.");
    failure(429, &message, "RESOURCE_EXHAUSTED", details)
}

/// An error as the real service words it.
fn failure(status: u16, message: &str, name: &str, details: Value) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let error = json!({"error": {"code": status, "message": message, "status": name, "details": details}});
    (code, Json(error)).into_response()
}

fn events<E: std::error::Error + Send + Sync + 'static>(events: impl stream::Stream<Item = Result<Bytes, E>> + Send + 'static) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

/// What is kept of a request.
fn read(method: &Method, uri: &Uri, body: &Value) -> Request {
    let contents = body["contents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = |content: &Value| content["parts"].as_array().cloned().unwrap_or_default();
    let texts = |content: &Value| {
        parts(content)
            .iter()
            .filter_map(|part| part["text"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let asked = contents
        .iter()
        .rposition(|content| content["role"] == "user" && !texts(content).is_empty());
    let since = contents[asked.map_or(0, |at| at + 1)..].iter().flat_map(parts);
    let responses = since.filter(|part| part["functionResponse"].is_object());
    let tools = body["tools"].as_array().into_iter().flatten();
    let declared = tools.flat_map(|tool| tool["functionDeclarations"].as_array().cloned().unwrap_or_default());
    Request {
        method: method.to_string(),
        path: uri.path().to_owned(),
        authorization: None,
        model: None,
        // Before it, in the same message, the CLI says where it is.
        prompt: asked.and_then(|at| texts(&contents[at]).pop()),
        tool_outputs: responses.map(|part| part["functionResponse"]["response"].to_string()).collect(),
        tools: declared.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_and_what_tools_have_said_since_are_found() {
        let body = json!({
            "contents": [
                {"role": "user", "parts": [{"text": "This is the context."}]},
                {"role": "user", "parts": [{"text": "specs/001-a/tasks.md\nT001 Do it"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "run_shell_command", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "run_shell_command", "response": {"output": "ok"}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "run_shell_command"}, {"name": "write_file"}]}],
        });
        let uri = Uri::from_static("/work/v1beta/models/m:streamGenerateContent?alt=sse");
        let request = read(&Method::POST, &uri, &body);
        assert_eq!(request.prompt.as_deref(), Some("specs/001-a/tasks.md\nT001 Do it"));
        assert_eq!(request.tool_outputs, [r#"{"output":"ok"}"#]);
        assert_eq!(request.tools, ["run_shell_command", "write_file"]);
    }
}
