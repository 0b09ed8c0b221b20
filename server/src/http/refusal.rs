//! The one place that gives errors their HTTP status and their shape.
//!
//! What is wrong has been said once, by `wire/status.rs`. The old routes say it as their system did; the new ones as `google.rpc.Status`.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::rpc;
use crate::{
    domain, flow,
    wire::status::{DOMAIN, refused, status},
};

/// What a call is refused with.
#[derive(Debug)]
pub struct Refusal {
    http: StatusCode,
    body: Value,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// The answer of an old route: `{"detail": {"code", "message", …}}` with further facts in camelCase.
    pub fn of_workflows(status: &Status) -> Self {
        let details = status.get_error_details();
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        let field = details.bad_request().and_then(|bad| bad.field_violations.first());
        let mut detail = Map::new();
        detail.extend(field.map(|violation| ("field".to_owned(), camel_case(&violation.field).into())));
        let info = details.error_info();
        let facts = info.iter().flat_map(|info| &info.metadata);
        detail.extend(facts.map(|(name, value)| (camel_case(name), value.as_str().into())));
        detail.insert("code".to_owned(), info.map_or("INTERNAL", |info| &info.reason).into());
        detail.insert("message".to_owned(), status.message().into());
        Self {
            http: http_of_workflows(status.code()),
            body: json!({ "detail": detail }),
            retry_after,
        }
    }

    /// The answer of a new route: `google.rpc.Status`.
    pub fn of_rpc(pool: &DescriptorPool, status: &Status) -> Self {
        Self {
            http: http_of_rpc(status.code()),
            body: rpc_body(pool, status),
            retry_after: status.get_details_retry_info().and_then(|info| info.retry_delay),
        }
    }

    /// The answer where no use case was reached, in the shape of the routes around it.
    pub fn plain(uri: &Uri, http: StatusCode, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        let body = if uri.path().starts_with(rpc::PREFIX) {
            let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": DOMAIN });
            json!({ "code": code_of(http) as i32, "message": message, "details": [info] })
        } else {
            json!({ "detail": { "code": reason, "message": message } })
        };
        Self {
            http,
            body,
            retry_after: None,
        }
    }
}

/// `google.rpc.Status` as JSON.
pub fn rpc_body(pool: &DescriptorPool, status: &Status) -> Value {
    let with_details = || {
        let message = DynamicMessage::decode(pool.get_message_by_name("google.rpc.Status")?, status.details()).ok()?;
        serde_json::to_value(message).ok()
    };
    // A status that was made elsewhere, by the transport say, has no details.
    let full = (!status.details().is_empty()).then(with_details).flatten();
    full.unwrap_or_else(|| json!({ "code": status.code() as i32, "message": status.message() }))
}

/// As the replaced system answered.
fn http_of_workflows(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::UNPROCESSABLE_ENTITY,
        Code::FailedPrecondition => StatusCode::CONFLICT,
        other => http_of_rpc(other),
    }
}

/// As the comments in `google/rpc/code.proto` map them.
fn http_of_rpc(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // Of nginx: the client has left, and nobody reads it.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn code_of(http: StatusCode) -> Code {
    match http {
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::Unimplemented,
        StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
        _ => Code::InvalidArgument,
    }
}

fn camel_case(name: &str) -> String {
    let mut upper = false;
    let letters = name.chars().filter_map(|letter| {
        let next = if upper { letter.to_ascii_uppercase() } else { letter };
        upper = letter == '_';
        (!upper).then_some(next)
    });
    letters.collect()
}

impl From<flow::Error> for Refusal {
    fn from(error: flow::Error) -> Self {
        Self::of_workflows(&status(error))
    }
}

impl From<domain::Error> for Refusal {
    fn from(error: domain::Error) -> Self {
        Self::of_workflows(&refused(&error))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.http, Json(self.body)).into_response();
        if let Some(delay) = self.retry_after {
            // Whole seconds, rounded up: earlier would be too early.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn told(refusal: Refusal) -> String {
        let response = refusal.into_response();
        let retry = response
            .headers()
            .get(header::RETRY_AFTER)
            .map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        format!("{status} {} {retry:?}", String::from_utf8_lossy(&body))
    }

    fn every_kind() -> Vec<domain::Error> {
        vec![
            domain::Error::invalid("options.feature_key", "INVALID_X", "give another"),
            domain::Error::not_found("RUN_NOT_FOUND", "list the runs").with("run_id", "1"),
            domain::Error::already_exists("RUN_ALREADY_OPEN", "watch it"),
            domain::Error::precondition("WORKER_REFUSED", "read it").with("code", "BUSY"),
            domain::Error::fenced("stop"),
            domain::Error::exhausted("TOO_MANY", "wait").retry_after(Duration::from_millis(1500)),
            domain::Error::leaving("SHUTTING_DOWN", "call again"),
            domain::Error::unsupported("not yet"),
        ]
    }

    #[tokio::test]
    async fn every_kind_of_refusal_has_its_old_status() {
        let mut lines = Vec::new();
        for error in every_kind() {
            lines.push(told(Refusal::from(error)).await);
        }
        insta::assert_snapshot!(lines.join("\n"), @r#"
        422 {"detail":{"code":"INVALID_X","field":"options.featureKey","message":"give another"}} None
        404 {"detail":{"code":"RUN_NOT_FOUND","message":"list the runs","runId":"1"}} None
        409 {"detail":{"code":"RUN_ALREADY_OPEN","message":"watch it"}} None
        409 {"detail":{"code":"WORKER_REFUSED","message":"read it"}} None
        409 {"detail":{"code":"FENCED","message":"stop"}} None
        429 {"detail":{"code":"TOO_MANY","message":"wait"}} Some("2")
        503 {"detail":{"code":"SHUTTING_DOWN","message":"call again"}} None
        501 {"detail":{"code":"UNSUPPORTED","message":"not yet"}} None
        "#);
    }

    #[tokio::test]
    async fn every_kind_of_refusal_has_its_status_of_google_rpc() {
        let contract = rpc::Contract::new().unwrap();
        let mut lines = Vec::new();
        for error in every_kind() {
            lines.push(told(Refusal::of_rpc(&contract.pool, &refused(&error))).await);
        }
        insta::assert_snapshot!(lines.join("\n"), @r#"
        400 {"code":3,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"moorline","reason":"INVALID_X"},{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"description":"give another","field":"options.feature_key"}]}],"message":"give another"} None
        404 {"code":5,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"moorline","metadata":{"run_id":"1"},"reason":"RUN_NOT_FOUND"}],"message":"list the runs"} None
        409 {"code":6,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"moorline","reason":"RUN_ALREADY_OPEN"}],"message":"watch it"} None
        400 {"code":9,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"moorline","metadata":{"code":"BUSY"},"reason":"WORKER_REFUSED"}],"message":"read it"} None
        409 {"code":10,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"moorline","reason":"FENCED"}],"message":"stop"} None
        429 {"code":8,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"moorline","reason":"TOO_MANY"}],"message":"wait"} Some("2")
        503 {"code":14,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"moorline","reason":"SHUTTING_DOWN"}],"message":"call again"} None
        501 {"code":12,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"moorline","reason":"UNSUPPORTED"}],"message":"not yet"} None
        "#);
    }
}
