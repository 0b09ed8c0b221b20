//! What operators look at: the policy's versions, and the skills of workers.

use super::super::{Error, Flow, fleet};
use crate::db::{
    instances,
    skill_policies::{self, Row},
};

/// The policy as it is now.
///
/// # Errors
///
/// When the database fails.
pub async fn policy(flow: &Flow) -> Result<Row, Error> {
    let latest = skill_policies::list(&mut *flow.connection().await?, None, 1).await?.pop();
    // The server that answers has seeded it.
    latest.ok_or(Error::Database(diesel::result::Error::NotFound))
}

/// Versions of the policy, the latest first; only those before one, if it is named.
///
/// # Errors
///
/// When the database fails.
pub async fn policies(flow: &Flow, before: Option<i64>, limit: i64) -> Result<Vec<Row>, Error> {
    Ok(skill_policies::list(&mut *flow.connection().await?, before, limit).await?)
}

/// The connected workers by name, with what each has checked at its start.
///
/// # Errors
///
/// When the database fails.
pub async fn profiles(flow: &Flow) -> Result<Vec<(String, serde_json::Value)>, Error> {
    let connected = fleet::workers(flow).await?.into_iter().filter(|worker| worker.connected);
    let names: Vec<String> = connected.map(|worker| worker.name).collect();
    Ok(instances::profiles(&mut *flow.connection().await?, &names).await?)
}
