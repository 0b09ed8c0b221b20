//! Page tokens: where the next page begins, and for which filters.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::Error;

#[derive(Serialize, Deserialize)]
struct Token {
    /// Time of the last row of the page, in microseconds, the database's own precision.
    at: i64,
    id: Uuid,
    /// Of the filters: a token goes with them.
    filter: String,
}

/// How many rows a page has, as asked for and as far as it may be.
pub fn size(asked: i32) -> i64 {
    const DEFAULT: i64 = 50;
    const MAX: i32 = 500;
    match asked {
        size @ 1.. => i64::from(size.min(MAX)),
        _ => DEFAULT,
    }
}

/// Cuts rows to a page, and returns the token of the next one. One row more than the page has says that there is a next one.
pub fn next<T>(rows: &mut Vec<T>, size: i64, token: impl FnOnce(&T) -> String) -> String {
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > size;
    rows.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    rows.last().filter(|_| more).map(token).unwrap_or_default()
}

/// A token for the page after what has this time and id.
pub fn after(filter: &impl std::fmt::Debug, created_at: DateTime<Utc>, id: Uuid) -> String {
    let token = Token {
        at: created_at.timestamp_micros(),
        id,
        filter: digest(filter),
    };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

/// Where the page of a token begins; `None` for the first page.
///
/// # Errors
///
/// `BAD_PAGE_TOKEN`.
pub fn begin(filter: &impl std::fmt::Debug, token: &str) -> Result<Option<(DateTime<Utc>, Uuid)>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let bad = |message| Error::invalid("page_token", "BAD_PAGE_TOKEN", message);
    let token: Token = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| {
            bad("page_token is none of this server's: use next_page_token of the page before, or leave it empty for the first page")
        })?;
    if token.filter != digest(filter) {
        return Err(bad(
            "page_token belongs to other filters: keep the filters from page to page, or leave it empty for the first page",
        ));
    }
    let at = DateTime::from_timestamp_micros(token.at).ok_or_else(|| bad("page_token holds no time: leave it empty for the first page"))?;
    Ok(Some((at, token.id)))
}

fn digest(filter: &impl std::fmt::Debug) -> String {
    hex::encode(&Sha256::digest(format!("{filter:?}"))[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::runs::Filter;

    #[test]
    fn a_token_goes_with_its_filters_and_nothing_else_is_one() {
        let filter = Filter {
            repository: Some("octo/hello".to_owned()),
            ..Filter::default()
        };
        let at = DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap();
        let token = after(&filter, at, Uuid::nil());
        assert_eq!(begin(&filter, &token), Ok(Some((at, Uuid::nil()))));
        assert_eq!(begin(&filter, ""), Ok(None));
        for (filter, token) in [(Filter::default(), token.as_str()), (filter.clone(), "x"), (filter, "e30")] {
            assert_eq!(begin(&filter, token).unwrap_err().reason, "BAD_PAGE_TOKEN");
        }
    }
}
