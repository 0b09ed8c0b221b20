//! Tokens: access and id tokens are JWTs, which nobody but the issuer and the model checks; refresh tokens are just random.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use uuid::Uuid;

/// How every refresh token begins.
const REFRESH_PREFIX: &str = "rt_moorline_recognisable_";

/// A JWT of an account. The signature is random: the issuer knows its own.
pub(super) fn jwt(issuer: &str, account: &str, until: SystemTime) -> String {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "stand-in"});
    let claims = json!({
        "iss": issuer,
        "aud": ["https://api.openai.com/v1"],
        "iat": seconds(SystemTime::now()),
        "exp": seconds(until),
        "jti": Uuid::now_v7(),
        "email": format!("{account}@example.com"),
        "https://api.openai.com/auth": {
            "chatgpt_account_id": account, "chatgpt_plan_type": "plus", "chatgpt_user_id": format!("user-{account}"),
        },
    });
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{}", part(&header), part(&claims), random())
}

pub(super) fn refresh() -> String {
    format!("{REFRESH_PREFIX}{}", random())
}

pub(super) fn random() -> String {
    let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(64).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
