//! Repositories, by the git program (2.39 or later).
//!
//! Every call goes one way (`command.rs`, `environment.rs`), which clears the environment and sets all of git's configuration itself. The worker's
//! git directory of a run lies outside the folder that containers see: what an agent plants in the `.git` that it works with
//! (hooks, filters, a file-system monitor) is never read by the worker.

mod checkout;
mod command;
mod commit;
mod environment;
mod error;
mod patch;
mod remote;
mod room;
mod weight;

use std::{path::Path, time::Duration};

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

pub use self::{
    checkout::Checkout,
    commit::{Blob, CommitSpec, Merge},
    error::Error,
    patch::PatchStat,
    remote::Pushed,
};
use crate::{config::Config, disk};

/// The oldest git that has what is needed (`merge-tree --write-tree` that tells conflicts apart).
pub const OLDEST: (u32, u32) = (2, 39);

/// The git program, as one worker uses it.
#[derive(Debug, Clone)]
pub struct Git {
    github_url: String,
    token: Option<SecretString>,
    protocols: String,
    limit: Duration,
    /// Bytes that may be fetched, and checked out; 0 for no limit.
    most: u64,
}

/// A branch of a remote repository and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Name of the branch, without `refs/heads/`.
    pub branch: String,
    /// Its commit, in hex.
    pub commit: String,
}

impl Git {
    /// Git with the token, the protocols and the GitHub address of these settings.
    pub fn new(config: &Config) -> Self {
        Self {
            github_url: config.github_url.trim_end_matches('/').to_owned(),
            token: config.github_token.clone(),
            protocols: config.git_protocols.clone(),
            limit: config.walls.git_timeout,
            most: config.walls.git_bytes,
        }
    }

    /// The same with another limit for one call.
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The URL that a run's `repository` stands for: `owner/name` is found at GitHub, all else is a URL (or path) already.
    pub fn url(&self, repository: &str) -> String {
        match owner_and_name(repository) {
            Some((owner, name)) => format!("{}/{owner}/{}.git", self.github_url, name.trim_end_matches(".git")),
            None => repository.to_owned(),
        }
    }

    /// Version of the program, such as `(2, 47)`, with its own text.
    pub async fn version(&self, stop: &CancellationToken) -> Result<((u32, u32), String), Error> {
        let output = self.call("tell its version").arg("--version").ok(stop).await?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let number = text.split_whitespace().nth(2).unwrap_or_default();
        let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
        Ok(((parts.next().unwrap_or(0), parts.next().unwrap_or(0)), text))
    }

    /// Makes an empty git directory, replacing what was there; `commit` tells the hash that the repository uses by its length.
    async fn init(&self, git_dir: &Path, commit: &str, stop: &CancellationToken) -> Result<(), Error> {
        remove(git_dir).await?;
        let format = if commit.len() == 64 { "sha256" } else { "sha1" };
        self.call("make a git directory")
            .args(["init", "--quiet", "--bare", "--template="])
            .arg(format!("--object-format={format}"))
            .arg("--")
            .arg(git_dir)
            .ok(stop)
            .await?;
        Ok(())
    }
}

/// The two halves of `owner/name`; `None` when it is something else, such as a URL or a path.
pub fn owner_and_name(repository: &str) -> Option<(&str, &str)> {
    let part = |text: &str| {
        !text.is_empty()
            && !text.starts_with(['.', '-'])
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    repository.split_once('/').filter(|(owner, name)| part(owner) && part(name))
}

/// Removes a folder and all in it; one that isn't there is no error.
async fn remove(folder: &Path) -> Result<(), Error> {
    let gone = folder.to_owned();
    let removed = tokio::task::spawn_blocking(move || disk::remove(&gone)).await;
    let removed = removed.map_err(std::io::Error::other).flatten();
    removed.map_err(|error| Error::io("remove", folder, error))
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
