//! Pull requests at GitHub, GitHub Enterprise, or anything that speaks their REST API.

use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use moorline_proto::v1::{Failure, FailureClass};
use octocrab::Octocrab;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::{Forge, PullRequest, Wanted};
use crate::{
    redact::{chain, one_line},
    stage::failure,
};

/// One repository at GitHub.
#[derive(Debug)]
pub struct GitHub {
    pub(super) client: Octocrab,
    pub(super) api: String,
    pub(super) owner: String,
    pub(super) name: String,
    /// Pause before the first repetition of a call; it doubles.
    pub(super) pause: Duration,
}

/// An answer, or none.
enum Outcome {
    Answer(u16, Value),
    Silence(String),
}

enum Method {
    Get,
    Post(Value),
    Patch(Value),
}

impl GitHub {
    /// The repository `owner/name` behind an API address such as `https://api.github.com`.
    pub fn new(api: &str, token: SecretString, owner: &str, name: &str) -> Result<Self, Failure> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let client = Octocrab::builder()
            .base_uri(api)
            .map(|builder| builder.personal_token(token.expose_secret().to_owned()))
            .map(|builder| {
                builder
                    .set_connect_timeout(seconds(10))
                    .set_read_timeout(seconds(30))
                    .set_write_timeout(seconds(30))
            })
            .and_then(|builder| builder.build());
        Ok(Self {
            client: client.map_err(|error| refused("FORGE_UNREACHABLE", FailureClass::Environment, api, &error.to_string()))?,
            api: api.to_owned(),
            owner: owner.to_owned(),
            name: name.to_owned(),
            pause: Duration::from_millis(500),
        })
    }

    /// The pull request of a branch, an open one first.
    async fn find(&self, head: &str) -> Result<Option<Value>, Failure> {
        let query = Serializer::new(String::new())
            .append_pair("head", &format!("{}:{head}", self.owner))
            .append_pair("state", "all")
            .append_pair("per_page", "100")
            .finish();
        let (status, answer) = self.call(Method::Get, &format!("/pulls?{query}")).await?;
        if status != 200 {
            return Err(self.refusal(status, &answer));
        }
        let mut found: Vec<Value> = match answer {
            Value::Array(all) => all.into_iter().filter(|one| one["head"]["ref"] == head).collect(),
            _ => Vec::new(),
        };
        found.sort_by_key(|one| one["state"] != "open");
        Ok(found.into_iter().next())
    }

    async fn update(&self, found: &Value, wanted: &Wanted<'_>) -> Result<PullRequest, Failure> {
        let number = found["number"].as_u64().unwrap_or_default();
        let body = json!({ "title": wanted.title, "body": wanted.body });
        let (status, answer) = self.call(Method::Patch(body), &format!("/pulls/{number}")).await?;
        match status {
            200 => Ok(pull_request(&answer, true)),
            _ => Err(self.refusal(status, &answer)),
        }
    }

    /// One call, again after a pause while the forge is silent or broken. All calls are safe to repeat: a pull request that was
    /// made by a call whose answer got lost is found by its branch.
    async fn call(&self, method: Method, path: &str) -> Result<(u16, Value), Failure> {
        let pause = ExponentialBuilder::default()
            .with_min_delay(self.pause)
            .with_max_delay(Duration::from_secs(8))
            .with_max_times(4)
            .with_jitter();
        let uri = format!("/repos/{}/{}{path}", self.owner, self.name);
        let outcome = (|| async {
            match self.once(&method, &uri).await {
                Outcome::Answer(status, answer) if status < 500 => Ok((status, answer)),
                Outcome::Answer(status, answer) => Err(format!("status {status}: {}", words(&answer))),
                Outcome::Silence(said) => Err(said),
            }
        })
        .retry(pause)
        .await;
        outcome.map_err(|said| refused("FORGE_UNREACHABLE", FailureClass::Environment, &self.api, &said))
    }

    async fn once(&self, method: &Method, uri: &str) -> Outcome {
        let response = match method {
            Method::Get => self.client._get(uri).await,
            Method::Post(body) => self.client._post(uri, Some(body)).await,
            Method::Patch(body) => self.client._patch(uri, Some(body)).await,
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return Outcome::Silence(one_line(&chain(&error), 400)),
        };
        let status = response.status().as_u16();
        match self.client.body_to_string(response).await {
            Ok(text) => Outcome::Answer(status, serde_json::from_str(&text).unwrap_or(Value::String(text))),
            Err(error) => Outcome::Silence(one_line(&chain(&error), 400)),
        }
    }

    fn refusal(&self, status: u16, answer: &Value) -> Failure {
        let said = format!("status {status}: {}", words(answer));
        let code = if matches!(status, 401 | 403) {
            "FORGE_AUTH"
        } else {
            "FORGE_REFUSED"
        };
        refused(code, FailureClass::Job, &self.api, &said)
    }
}

#[async_trait]
impl Forge for GitHub {
    async fn ensure_pull_request(&self, wanted: &Wanted<'_>) -> Result<Option<PullRequest>, Failure> {
        if let Some(found) = self.find(wanted.head).await? {
            return self.update(&found, wanted).await.map(Some);
        }
        let body = json!({ "title": wanted.title, "body": wanted.body, "head": wanted.head, "base": wanted.base });
        let (status, answer) = self.call(Method::Post(body), "/pulls").await?;
        match status {
            201 | 200 => Ok(Some(pull_request(&answer, false))),
            // Another publisher was first, or the answer to our own first try got lost.
            422 if answer.to_string().contains("already exists") => match self.find(wanted.head).await? {
                Some(found) => self.update(&found, wanted).await.map(Some),
                None => Err(self.refusal(status, &answer)),
            },
            _ => Err(self.refusal(status, &answer)),
        }
    }
}

fn pull_request(answer: &Value, existed: bool) -> PullRequest {
    PullRequest {
        url: answer["html_url"].as_str().unwrap_or_default().to_owned(),
        existed,
        response: answer.to_string(),
    }
}

/// The forge's message and the messages of its single errors, on one line.
fn words(answer: &Value) -> String {
    let message = answer["message"].as_str().or(answer.as_str()).unwrap_or("no message");
    let errors = answer["errors"].as_array().into_iter().flatten();
    let errors = errors.filter_map(|error| error["message"].as_str().or(error["code"].as_str()).or(error.as_str()));
    let all = std::iter::once(message).chain(errors).collect::<Vec<_>>().join("; ");
    one_line(&all, 400)
}

fn refused(code: &'static str, class: FailureClass, api: &str, said: &str) -> Failure {
    let advice = match code {
        "FORGE_AUTH" => "give GITHUB_TOKEN the right to read and write pull requests of this repository, then retry the run",
        "FORGE_UNREACHABLE" => "see whether MOORLINE_GITHUB_API_URL is right and answers, then retry the run",
        _ => "mend what it names, then retry the run; the branch is pushed already",
    };
    failure(
        code,
        class,
        format!("the forge at {api} did not open the pull request ({said}): {advice}"),
    )
}
