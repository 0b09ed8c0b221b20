//! What a forge remembers.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

/// One side of the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The REST API.
    Api,
    /// Git over HTTP.
    Git,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number, from 1 in each repository.
    pub number: u64,
    /// Branch that it comes from.
    pub head: String,
    /// Branch that it goes into.
    pub base: String,
    /// One line.
    pub title: String,
    /// Markdown, if any was given.
    pub body: Option<String>,
    /// Whether it is still open.
    pub open: bool,
    /// Whether it was opened as a draft.
    pub draft: bool,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Side of the forge.
    pub side: Side,
    /// `GET`, `POST` or `PATCH`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// Whether it came with the forge's token.
    pub authorized: bool,
    /// The body of a call of the API; null elsewhere.
    pub body: Value,
    /// Status of the answer.
    pub status: u16,
}

/// Requests that are to fail.
#[derive(Debug)]
pub(super) struct PlannedFailure {
    pub(super) side: Side,
    pub(super) status: u16,
    /// How many more.
    pub(super) times: usize,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) pull_requests: BTreeMap<String, Vec<PullRequest>>,
    pub(super) calls: Vec<Call>,
    pub(super) failures: VecDeque<PlannedFailure>,
    pub(super) private: bool,
}

impl State {
    /// The status that the next request of a side is to get, if it is to fail.
    pub(super) fn next_failure(&mut self, side: Side) -> Option<u16> {
        let planned = self.failures.iter_mut().find(|planned| planned.side == side && planned.times > 0)?;
        planned.times -= 1;
        Some(planned.status)
    }
}

/// What handlers share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) url: Arc<str>,
    pub(super) root: Arc<Path>,
    state: Arc<Mutex<State>>,
}

impl Shared {
    pub(super) fn new(url: String, root: PathBuf) -> Self {
        Self {
            url: url.into(),
            root: root.into(),
            state: Arc::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
