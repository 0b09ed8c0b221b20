//! Where pull requests are opened.

mod github;
mod standing;

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use moorline_proto::v1::Failure;

pub use self::{github::GitHub, standing::Standing};
use crate::{config::Config, git::owner_and_name};

/// The pull request that a run wants.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Branch that was pushed.
    pub head: &'a str,
    /// Branch that it should go into.
    pub base: &'a str,
    /// One line.
    pub title: &'a str,
    /// Markdown.
    pub body: &'a str,
}

/// A pull request that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its page.
    pub url: String,
    /// Whether it was there before and only brought up to date.
    pub existed: bool,
    /// The forge's answer, as JSON.
    pub response: String,
}

/// A place for pull requests.
#[async_trait]
pub trait Forge: Send + Sync + Debug {
    /// Opens the pull request, or brings the one of that branch up to date; never a second one. `None` where there are no
    /// pull requests.
    async fn ensure_pull_request(&self, wanted: &Wanted<'_>) -> Result<Option<PullRequest>, Failure>;
}

/// No forge: a pushed branch is all.
#[derive(Debug)]
pub struct NoForge;

#[async_trait]
impl Forge for NoForge {
    async fn ensure_pull_request(&self, _wanted: &Wanted<'_>) -> Result<Option<PullRequest>, Failure> {
        Ok(None)
    }
}

/// The forge of a repository, and why there is none when there is none.
pub fn choose(config: &Config, repository: &str) -> Result<(Arc<dyn Forge>, Option<&'static str>), Failure> {
    let Some((owner, name)) = on_github(&config.github_url, repository) else {
        return Ok((
            Arc::new(NoForge),
            Some("the repository is on no known forge: the branch is pushed without a pull request"),
        ));
    };
    let Some(token) = &config.github_token else {
        return Ok((
            Arc::new(NoForge),
            Some("GITHUB_TOKEN is not set: the branch is pushed without a pull request"),
        ));
    };
    let github = GitHub::new(&config.github_api_url, token.clone(), owner, name)?;
    Ok((Arc::new(github), None))
}

/// How the worker's token stands with the forge of a repository. Asked once: it is a look, and no stage fails for want of one.
pub async fn standing(config: &Config, repository: &str) -> Standing {
    let (Some((owner, name)), Some(token)) = (on_github(&config.github_url, repository), &config.github_token) else {
        return Standing::default();
    };
    match GitHub::new(&config.github_api_url, token.clone(), owner, name) {
        Ok(github) => github.standing().await,
        Err(failure) => Standing {
            notes: failure.message,
            ..Standing::default()
        },
    }
}

/// Owner and name of a repository at GitHub, from `owner/name` or a URL below the GitHub address.
fn on_github<'a>(github_url: &str, repository: &'a str) -> Option<(&'a str, &'a str)> {
    let path = match repository.strip_prefix(github_url.trim_end_matches('/')) {
        Some(path) => path.trim_matches('/'),
        None => repository,
    };
    owner_and_name(path.strip_suffix(".git").unwrap_or(path))
}

#[cfg(test)]
mod tests;
