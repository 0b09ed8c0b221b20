//! Who may do what: the forge has one token.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, prelude::BASE64_STANDARD};

/// The token that the forge accepts, worth nothing anywhere else.
pub const TOKEN: &str = "local-forge-token-0123456789";

/// Whether a request has the token: as a bearer, in GitHub's older form `token …`, or as the password of any user.
pub(super) fn is_authorized(headers: &HeaderMap) -> bool {
    let Some((scheme, value)) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' ')) else {
        return false;
    };
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => value == TOKEN,
        "basic" => password(value).is_some_and(|password| password == TOKEN),
        _ => false,
    }
}

fn password(value: &str) -> Option<String> {
    let decoded = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}
