//! A login is checked for a run, by whoever asks.

use uuid::Uuid;

use super::{Error, Flow};
use crate::{
    db::{preflights, runs},
    domain,
};

/// Whose login to check.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The run.
    pub run_id: Uuid,
    /// Another key than the run's own, to choose the shard by; blank for the run's shard.
    pub affinity_key: &'a str,
    /// Whether to check even though the last check is recent.
    pub force_refresh: bool,
    /// Who asks.
    pub requested_by: &'a str,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The check.
    pub check: preflights::Row,
    /// The run with it.
    pub run: runs::Run,
    /// Whether the volume's last check was recent enough and stands.
    pub reused: bool,
}

/// Checks the login that a run needs, and notes the result on the run.
///
/// # Errors
///
/// `UNSUPPORTED`, for now.
#[allow(clippy::unused_async, reason = "what it will do waits")]
pub async fn of_run(_flow: &Flow, _request: &Request<'_>) -> Result<Outcome, Error> {
    Err(domain::Error::unsupported("this server can't do that yet").into())
}
