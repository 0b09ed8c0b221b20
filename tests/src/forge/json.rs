//! Answers in GitHub's shape, as far as clients read them.

use serde_json::{Value, json};

use super::state::PullRequest;

/// An error.
pub(super) fn error(status: u16, message: &str, errors: Value) -> Value {
    let mut body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
    if !errors.is_null() {
        body["errors"] = errors;
    }
    body
}

/// A repository.
pub(super) fn repository(url: &str, full_name: &str, default_branch: &str, private: bool) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or(("", full_name));
    json!({
        "id": 1, "node_id": "R_1", "name": name, "full_name": full_name, "private": private, "owner": user(url, owner),
        "html_url": format!("{url}/{full_name}"), "url": format!("{url}/api/v3/repos/{full_name}"),
        "clone_url": format!("{url}/{full_name}.git"), "git_url": format!("{url}/{full_name}.git"),
        "default_branch": default_branch, "fork": false, "archived": false, "disabled": false,
        "permissions": {"admin": false, "push": true, "pull": true},
    })
}

/// A pull request, with the commits that its branches are at.
pub(super) fn pull_request(url: &str, repository: &Value, one: &PullRequest, head: Option<&str>, base: Option<&str>) -> Value {
    let full_name = repository["full_name"].as_str().unwrap_or_default();
    let owner = full_name.split('/').next().unwrap_or_default();
    let branch = |name: &str, commit: Option<&str>| {
        json!({
            "label": format!("{owner}:{name}"), "ref": name, "sha": commit.unwrap_or_default(),
            "user": user(url, owner), "repo": repository,
        })
    };
    let page = format!("{url}/{full_name}/pull/{}", one.number);
    json!({
        "id": one.number, "node_id": format!("PR_{}", one.number), "number": one.number,
        "url": format!("{url}/api/v3/repos/{full_name}/pulls/{}", one.number), "html_url": page,
        "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"),
        "state": if one.open { "open" } else { "closed" }, "locked": false, "draft": one.draft,
        "title": one.title, "body": one.body, "user": user(url, "local"),
        "head": branch(&one.head, head), "base": branch(&one.base, base),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "closed_at": null, "merged_at": null,
        "labels": [], "assignees": [], "requested_reviewers": [], "merged": false,
    })
}

fn user(url: &str, login: &str) -> Value {
    let api = format!("{url}/api/v3/users/{login}");
    json!({
        "login": login, "id": 1, "node_id": "U_1", "avatar_url": format!("{url}/avatars/1"), "gravatar_id": "",
        "url": api, "html_url": format!("{url}/{login}"), "followers_url": format!("{api}/followers"),
        "following_url": format!("{api}/following"), "gists_url": format!("{api}/gists"), "starred_url": format!("{api}/starred"),
        "subscriptions_url": format!("{api}/subscriptions"), "organizations_url": format!("{api}/orgs"),
        "repos_url": format!("{api}/repos"), "events_url": format!("{api}/events"),
        "received_events_url": format!("{api}/received_events"), "type": "User", "site_admin": false,
    })
}
