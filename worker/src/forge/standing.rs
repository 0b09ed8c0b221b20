//! How a token stands with GitHub: whether it is taken, and whether it may do what publishing needs.

use chrono::{DateTime, TimeDelta, Utc};
use moorline_proto::v1::GithubCredentialStatus as Status;
use serde_json::Value;

use super::github::GitHub;
use crate::redact::{chain, one_line};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Unspecified where nobody was asked, or nobody answered.
    pub status: Status,
    /// What is wrong, or will be soon, and what mends it.
    pub notes: String,
}

/// What GitHub says of a token beside an answer.
#[derive(Debug, Default)]
struct Said {
    /// Scopes of a classic token; `None` for any other kind.
    scopes: Option<String>,
    /// When the token ends, where it does.
    expires: Option<String>,
    /// Whether it has been used too much for now.
    limited: bool,
}

/// What ends within this time ends soon.
const SOON: TimeDelta = TimeDelta::hours(24);

impl GitHub {
    /// Looks the repository up, which says all of it.
    pub(super) async fn standing(&self) -> Standing {
        let response = match self.client._get(format!("/repos/{}/{}", self.owner, self.name)).await {
            Ok(response) => response,
            Err(error) => {
                return Standing {
                    status: Status::Unspecified,
                    notes: format!(
                        "GITHUB_TOKEN was not looked at, {} did not answer: {}",
                        self.api,
                        one_line(&chain(&error), 200)
                    ),
                };
            }
        };
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let said = Said {
            scopes: header("x-oauth-scopes"),
            expires: header("github-authentication-token-expiration"),
            limited: header("retry-after").is_some() || header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0"),
        };
        let status = response.status().as_u16();
        let body = self.client.body_to_string(response).await.unwrap_or_default();
        judge(status, &serde_json::from_str(&body).unwrap_or_default(), &said, Utc::now())
    }
}

fn judge(status: u16, repository: &Value, said: &Said, now: DateTime<Utc>) -> Standing {
    let standing = |status, notes: &str| Standing {
        status,
        notes: notes.to_owned(),
    };
    let (full_name, private) = (
        repository["full_name"].as_str().unwrap_or("the repository"),
        repository["private"] != false,
    );
    match status {
        401 => standing(
            Status::Invalid,
            "the forge refuses GITHUB_TOKEN: make a new one with the right to push and to open pull requests, set it on the workers, then retry the run",
        ),
        403 | 429 if said.limited => standing(
            Status::Unspecified,
            "GITHUB_TOKEN was not looked at: the forge answers it no more calls for now",
        ),
        403 | 404 => standing(
            Status::ScopeMissing,
            "GITHUB_TOKEN can't see the repository: give it the right to read and write its contents and pull requests",
        ),
        200 if !may_push(repository, private, said) => Standing {
            status: Status::ScopeMissing,
            notes: format!(
                "GITHUB_TOKEN may not push to {full_name}: give it the scope repo, or write access to contents and pull requests"
            ),
        },
        200 => Standing {
            status: Status::Valid,
            notes: expiry(said, now).unwrap_or_default(),
        },
        other => Standing {
            status: Status::Unspecified,
            notes: format!("GITHUB_TOKEN was not looked at: the forge answered with status {other}"),
        },
    }
}

fn may_push(repository: &Value, private: bool, said: &Said) -> bool {
    let scopes = said.scopes.as_deref().filter(|scopes| !scopes.trim().is_empty());
    let has = |wanted: &str| scopes.is_some_and(|scopes| scopes.split(',').any(|scope| scope.trim() == wanted));
    // Without scopes it is a token of another kind, whose rights are on the repository alone.
    let scoped = scopes.is_none() || has("repo") || (!private && has("public_repo"));
    scoped && repository["permissions"]["push"] != false
}

/// The header's time looks like `2026-11-21 09:00:00 UTC`, or has an offset in place of the name.
fn expiry(said: &Said, now: DateTime<Utc>) -> Option<String> {
    let text = said.expires.as_deref()?.trim().replace(" UTC", " +0000");
    let at = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S %z").ok()?;
    (at.to_utc() - now < SOON).then(|| format!("GITHUB_TOKEN expires at {}: make a new one and set it on the workers", at.to_utc()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_judged_by_what_the_forge_says_of_it() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let scopes = |scopes: &str| Said {
            scopes: Some(scopes.to_owned()),
            ..Said::default()
        };
        let repository = |private, push| json!({"full_name": "octo/hello", "private": private, "permissions": {"push": push}});
        let told = [
            judge(200, &repository(true, true), &scopes("gist, repo"), now),
            judge(200, &repository(true, true), &Said::default(), now),
            judge(200, &repository(false, true), &scopes("public_repo"), now),
            judge(200, &repository(true, true), &scopes("public_repo"), now),
            judge(200, &repository(true, false), &Said::default(), now),
            judge(404, &json!({"message": "Not Found"}), &scopes("gist"), now),
            judge(401, &json!({"message": "Bad credentials"}), &Said::default(), now),
            judge(502, &Value::Null, &Said::default(), now),
        ];
        let told: Vec<String> = told.iter().map(|one| format!("{:?}: {}", one.status, one.notes)).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        Valid: 
        Valid: 
        Valid: 
        ScopeMissing: GITHUB_TOKEN may not push to octo/hello: give it the scope repo, or write access to contents and pull requests
        ScopeMissing: GITHUB_TOKEN may not push to octo/hello: give it the scope repo, or write access to contents and pull requests
        ScopeMissing: GITHUB_TOKEN can't see the repository: give it the right to read and write its contents and pull requests
        Invalid: the forge refuses GITHUB_TOKEN: make a new one with the right to push and to open pull requests, set it on the workers, then retry the run
        Unspecified: GITHUB_TOKEN was not looked at: the forge answered with status 502
        ");
    }

    #[test]
    fn a_token_that_ends_within_a_day_is_told_of() {
        let now = DateTime::parse_from_rfc3339("2026-11-20T10:00:00Z").unwrap().to_utc();
        let expires = |text: &str| Said {
            expires: Some(text.to_owned()),
            ..Said::default()
        };
        assert!(expiry(&expires("2026-11-21 09:00:00 UTC"), now).is_some());
        assert!(expiry(&expires("2026-11-21 11:00:00 +0200"), now).is_some());
        assert!(expiry(&expires("2026-11-22 09:00:00 UTC"), now).is_none());
        assert!(expiry(&expires("soon"), now).is_none());
    }
}
