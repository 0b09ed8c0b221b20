//! JSON in: bodies and query strings.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, Uri, header, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::refusal::Refusal;
use crate::{domain::Error, wire};

/// A body as a value; none at all counts as an empty object.
///
/// # Errors
///
/// `NOT_JSON`; `INVALID_TEXT` for a NUL character, which the database can't store.
pub fn json(headers: &HeaderMap, body: &[u8]) -> Result<Value, Error> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let declared = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if !declared.is_none_or(is_json) {
        return Err(not_json(
            "content-type is not application/json: send JSON, and say so in the header".to_owned(),
        ));
    }
    let value = serde_json::from_slice(body).map_err(|error| not_json(format!("the body is no JSON: {error}; correct it")))?;
    if has_nul(&value) {
        return Err(nul());
    }
    Ok(value)
}

fn is_json(declared: &str) -> bool {
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A body that isn't what its route takes.
pub fn not_json(message: String) -> Error {
    Error::invalid("body", "NOT_JSON", message)
}

fn nul() -> Error {
    Error::invalid(
        "request",
        "INVALID_TEXT",
        "a text holds a NUL character, which can't be stored: remove it",
    )
}

/// A body that did not arrive whole.
pub fn broken(uri: &Uri, rejection: &BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = "the body is longer than 4 MiB: send less";
        return Refusal::plain(uri, StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message);
    }
    let message = "the body did not arrive whole: send it again";
    Refusal::plain(uri, StatusCode::BAD_REQUEST, "BODY_BROKEN_OFF", message)
}

/// A JSON body of an old route.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| broken(&uri, &rejection))?;
        let value = json(&headers, &bytes)?;
        let read = serde_json::from_value(value).map_err(|error| not_json(format!("the body is not what this route takes: {error}")))?;
        Ok(Self(read))
    }
}

/// The query string of an old route.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(nul().into());
        }
        let invalid = |message: String| Error::invalid("query", "INVALID_QUERY", format!("{message}: correct it, or leave it out"));
        let Query(read) = Query::try_from_uri(&parts.uri).map_err(|rejection| invalid(rejection.body_text()))?;
        Ok(Self(read))
    }
}

/// The id in the path of an old route.
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state)
            .await
            .map_or_else(|_| String::new(), |Path(text)| text);
        Ok(Self(wire::id("id", &text)?))
    }
}
