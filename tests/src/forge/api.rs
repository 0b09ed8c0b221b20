//! The REST API: repositories and their pull requests.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    json,
    state::{PullRequest, Shared},
};
use crate::git::git;

/// What an endpoint answers instead.
type Refusal = (StatusCode, Json<Value>);

/// Which pull requests to list.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    head: Option<String>,
    base: Option<String>,
    state: Option<String>,
    per_page: Option<usize>,
    page: Option<usize>,
}

/// A repository that exists.
struct Repository {
    shared: Shared,
    full_name: String,
}

impl Repository {
    fn find(shared: Shared, owner: &str, name: &str) -> Result<Self, Refusal> {
        let full_name = format!("{owner}/{name}");
        let known = !full_name.contains("..") && super::repository_path(&shared.root, &full_name).is_dir();
        if known { Ok(Self { shared, full_name }) } else { Err(not_found()) }
    }

    /// What git says about it, or nothing when it fails.
    fn git(&self, arguments: &[&str]) -> Option<String> {
        git(&super::repository_path(&self.shared.root, &self.full_name), arguments).ok()
    }

    fn commit(&self, branch: &str) -> Option<String> {
        self.git(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")])
    }

    fn json(&self) -> Value {
        let default_branch = self.git(&["symbolic-ref", "--short", "HEAD"]).unwrap_or_default();
        let private = self.shared.lock().private;
        json::repository(&self.shared.url, &self.full_name, &default_branch, private)
    }

    fn pull_request(&self, one: &PullRequest) -> Value {
        let (head, base) = (self.commit(&one.head), self.commit(&one.base));
        json::pull_request(&self.shared.url, &self.json(), one, head.as_deref(), base.as_deref())
    }
}

pub(super) async fn repository(State(shared): State<Shared>, Path((owner, name)): Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    Ok(Json(Repository::find(shared, &owner, &name)?.json()))
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Path((owner, name)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let repository = Repository::find(shared, &owner, &name)?;
    // As at GitHub, a head without its owner filters nothing.
    let head = filter.head.as_deref().and_then(|head| head.split_once(':'));
    let all = repository
        .shared
        .lock()
        .pull_requests
        .get(&repository.full_name)
        .cloned()
        .unwrap_or_default();
    let wanted = all.iter().rev().filter(|one| {
        head.is_none_or(|(of, branch)| of == owner && branch == one.head)
            && filter.base.as_ref().is_none_or(|base| *base == one.base)
            && match filter.state.as_deref() {
                Some("all") => true,
                Some("closed") => !one.open,
                _ => one.open,
            }
    });
    let per_page = filter.per_page.unwrap_or(30).min(100);
    let page = wanted.skip(per_page * filter.page.unwrap_or(1).saturating_sub(1)).take(per_page);
    Ok(Json(page.map(|one| repository.pull_request(one)).collect()))
}

pub(super) async fn one(
    State(shared): State<Shared>,
    Path((owner, name, number)): Path<(String, String, u64)>,
) -> Result<Json<Value>, Refusal> {
    let repository = Repository::find(shared, &owner, &name)?;
    let all = repository
        .shared
        .lock()
        .pull_requests
        .get(&repository.full_name)
        .cloned()
        .unwrap_or_default();
    let found = all.iter().find(|one| one.number == number).ok_or_else(not_found)?;
    Ok(Json(repository.pull_request(found)))
}

pub(super) async fn create(
    State(shared): State<Shared>,
    Path((owner, name)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let repository = Repository::find(shared, &owner, &name)?;
    let text = |field: &str| body[field].as_str().map(str::to_owned);
    let missing = |field: &str| json!({"resource": "PullRequest", "field": field, "code": "missing_field"});
    let title = text("title").ok_or_else(|| invalid(missing("title")))?;
    let head = text("head").ok_or_else(|| invalid(missing("head")))?;
    let head = head.strip_prefix(&format!("{owner}:")).unwrap_or(&head).to_owned();
    let base = text("base").ok_or_else(|| invalid(missing("base")))?;
    for (field, branch) in [("head", &head), ("base", &base)] {
        if repository.commit(branch).is_none() {
            return Err(invalid(json!({"resource": "PullRequest", "field": field, "code": "invalid"})));
        }
    }
    let custom = |message: String| invalid(json!({"resource": "PullRequest", "code": "custom", "message": message}));
    let ahead = repository.git(&["rev-list", "--count", &format!("refs/heads/{base}..refs/heads/{head}")]);
    if ahead.as_deref() == Some("0") {
        return Err(custom(format!("No commits between {base} and {head}")));
    }
    let made = {
        // Under one lock, so that of two publishers at once only one makes it.
        let mut state = repository.shared.lock();
        let all = state.pull_requests.entry(repository.full_name.clone()).or_default();
        if all.iter().any(|one| one.open && one.head == head && one.base == base) {
            return Err(custom(format!("A pull request already exists for {owner}:{head}.")));
        }
        let number = all.len() as u64 + 1;
        let draft = body["draft"].as_bool().unwrap_or_default();
        let made = PullRequest {
            number,
            head,
            base,
            title,
            body: text("body"),
            open: true,
            draft,
        };
        all.push(made.clone());
        made
    };
    Ok((StatusCode::CREATED, Json(repository.pull_request(&made))))
}

pub(super) async fn update(
    State(shared): State<Shared>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Refusal> {
    let repository = Repository::find(shared, &owner, &name)?;
    let updated = {
        let mut state = repository.shared.lock();
        let all = state.pull_requests.entry(repository.full_name.clone()).or_default();
        let found = all.iter_mut().find(|one| one.number == number).ok_or_else(not_found)?;
        let text = |field: &str| body[field].as_str().map(str::to_owned);
        found.title = text("title").unwrap_or_else(|| found.title.clone());
        found.base = text("base").unwrap_or_else(|| found.base.clone());
        found.body = text("body").or_else(|| found.body.clone());
        found.open = text("state").map_or(found.open, |state| state == "open");
        found.clone()
    };
    Ok(Json(repository.pull_request(&updated)))
}

fn not_found() -> Refusal {
    (StatusCode::NOT_FOUND, Json(json::error(404, "Not Found", Value::Null)))
}

fn invalid(error: Value) -> Refusal {
    let body = json::error(422, "Validation Failed", json!([error]));
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body))
}
