//! A GitHub of one's own on loopback: git over smart HTTP by the real `git http-backend`, and the part of the REST API that opens
//! pull requests.
//!
//! A worker uses it with `MOORLINE_GITHUB_URL` = [`LocalForge::url`], `MOORLINE_GITHUB_API_URL` = [`LocalForge::api_url`] and
//! `GITHUB_TOKEN` = [`TOKEN`].

mod access;
mod api;
mod git_http;
mod json;
mod record;
mod state;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use axum::{Router, extract::DefaultBodyLimit, middleware, routing::get};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::state::{PlannedFailure, Shared};
pub use self::{
    access::TOKEN,
    state::{Call, PullRequest, Side},
};
use crate::repo::{Builder, SampleRepository};

/// A running forge. It ends when this is dropped, its repositories included.
#[derive(Debug)]
pub struct LocalForge {
    url: String,
    shared: Shared,
    root: TempDir,
    stop: CancellationToken,
}

impl LocalForge {
    /// Listens on a free port of loopback.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens on an address.
    pub async fn start_on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let root = tempfile::tempdir()?;
        let shared = Shared::new(url.clone(), root.path().to_owned());
        let app = Router::new()
            .route("/api/v3/repos/{owner}/{name}", get(api::repository))
            .route("/api/v3/repos/{owner}/{name}/pulls", get(api::list).post(api::create))
            .route("/api/v3/repos/{owner}/{name}/pulls/{number}", get(api::one).patch(api::update))
            .fallback(git_http::serve)
            .layer(middleware::from_fn_with_state(shared.clone(), record::record))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stopped).await });
        Ok(Self { url, shared, root, stop })
    }

    /// Where repositories are, such as `http://127.0.0.1:4711`; `owner/name` is below it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the REST API is.
    pub fn api_url(&self) -> String {
        format!("{}/api/v3", self.url)
    }

    /// The address to clone `owner/name` from.
    pub fn clone_url(&self, repository: &str) -> String {
        format!("{}/{repository}.git", self.url)
    }

    /// Makes a repository `owner/name`.
    pub fn add(&self, repository: &str, sample: Builder) -> anyhow::Result<SampleRepository> {
        sample.build_at(&self.path(repository))
    }

    /// Refuses every push to a repository from now on, with a message, as a protected branch does.
    pub fn refuse_pushes(&self, repository: &str, message: &str) -> anyhow::Result<()> {
        let hook = self.path(repository).join("hooks/pre-receive");
        let quoted = message.replace('\'', r"'\''");
        std::fs::create_dir_all(hook.parent().context("a hook has a directory")?)?;
        std::fs::write(
            &hook,
            format!("#!/bin/sh\ncat > /dev/null\nprintf '%s\\n' '{quoted}' >&2\nexit 1\n"),
        )?;
        Ok(std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755))?)
    }

    /// Takes pushes again.
    pub fn accept_pushes(&self, repository: &str) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.path(repository).join("hooks/pre-receive"))?)
    }

    /// Answers the next `times` requests of one side with a status, such as 401, 403 or 500.
    pub fn fail_next(&self, side: Side, status: u16, times: usize) {
        self.shared.lock().failures.push_back(PlannedFailure { side, status, times });
    }

    /// Makes reading a repository need the token too; writing always does.
    pub fn make_private(&self) {
        self.shared.lock().private = true;
    }

    /// The pull requests of a repository, oldest first.
    pub fn pull_requests(&self, repository: &str) -> Vec<PullRequest> {
        self.shared.lock().pull_requests.get(repository).cloned().unwrap_or_default()
    }

    /// What has been asked so far, in order of the answers.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    /// The bare repository of `owner/name` on disk.
    pub fn path(&self, repository: &str) -> PathBuf {
        repository_path(self.root.path(), repository)
    }
}

impl Drop for LocalForge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn repository_path(root: &Path, repository: &str) -> PathBuf {
    root.join(format!("{repository}.git"))
}
