//! A request's body, which Codex compresses for a ChatGPT login.

use std::io::Read as _;

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use ruzstd::decoding::StreamingDecoder;
use serde_json::Value;

/// The JSON in a body, or why there is none.
pub(super) fn json(headers: &HeaderMap, body: &Bytes) -> Result<Value, String> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let plain = match encoding {
        Some("zstd") => decompress(body).map_err(|error| format!("the body is no zstd ({error})"))?,
        _ => body.to_vec(),
    };
    serde_json::from_slice(&plain).map_err(|error| {
        format!(
            "the body is no JSON ({error}; content encoding {}): send it plain or as zstd",
            encoding.unwrap_or("none")
        )
    })
}

fn decompress(body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut plain = Vec::new();
    StreamingDecoder::new(body)?.read_to_end(&mut plain)?;
    Ok(plain)
}
