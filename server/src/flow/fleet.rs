//! Workers as operators see them, and draining one.

use std::time::Duration;

use uuid::Uuid;

use super::{Error, Flow, command};
pub use crate::db::sessions::Seen;
use crate::{
    db::{instances, sessions},
    domain::{
        self,
        command::{Answer, Order},
    },
};

/// How long a worker has to say that it drains.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Workers that are connected, or away with a running lease.
///
/// # Errors
///
/// When the database fails.
pub async fn workers(flow: &Flow) -> Result<Vec<Seen>, Error> {
    Ok(sessions::workers(&mut *flow.connection().await?, None, flow.timers.lease.as_secs_f64()).await?)
}

/// One of them, with what it has checked at its latest start.
///
/// # Errors
///
/// `WORKER_NOT_FOUND`.
pub async fn worker(flow: &Flow, name: &str) -> Result<(Seen, serde_json::Value), Error> {
    let worker = find(flow, name).await?;
    let profile = instances::profile(&mut *flow.connection().await?, name).await?;
    Ok((worker, profile.unwrap_or_default()))
}

async fn find(flow: &Flow, name: &str) -> Result<Seen, Error> {
    let lease = flow.timers.lease.as_secs_f64();
    let found = sessions::workers(&mut *flow.connection().await?, Some(name), lease).await?.pop();
    Ok(found.ok_or_else(|| {
        let message = format!("there is no worker {name:?}: `moorline worker list` shows those that there are");
        domain::Error::not_found("WORKER_NOT_FOUND", message).with("worker", name)
    })?)
}

/// Tells a worker to take nothing new, finish what it has, and end. Returns how many jobs it still has to finish, once it has said that it
/// drains. Safe to repeat.
///
/// # Errors
///
/// `WORKER_NOT_FOUND`, `WORKER_AWAY`, `WORKER_REFUSED`, `WORKER_SILENT`.
pub async fn drain(flow: &Flow, worker_name: &str, reason: &str, requested_by: &str) -> Result<i32, Error> {
    let worker = find(flow, worker_name).await?;
    if !worker.connected {
        let message = format!("worker {worker_name} has no stream now: try again when it is back, or stop its process with SIGTERM");
        return Err(domain::Error::precondition("WORKER_AWAY", message)
            .with("worker", worker_name)
            .into());
    }
    let asked = command::Request {
        instance_id: worker.instance_id,
        session_id: None,
        order: Order::Drain { reason: reason.to_owned() },
        requested_by,
        deadline: DRAIN_DEADLINE,
    };
    match command::ask(flow, &asked).await? {
        Answer::Drains { running } => Ok(running),
        Answer::Failed(failure) => {
            let message = format!("worker {worker_name} does not drain: {}", failure.message);
            Err(domain::Error::precondition("WORKER_REFUSED", message)
                .with("worker", worker_name)
                .with("code", failure.code)
                .into())
        }
        _ => {
            let message = format!(
                "worker {worker_name} did not say in time that it drains: see `moorline worker list` whether it is still there, and try again"
            );
            Err(domain::Error::precondition("WORKER_SILENT", message)
                .with("worker", worker_name)
                .into())
        }
    }
}

/// Notes that the worker of a session takes nothing new.
///
/// # Errors
///
/// When the database fails; then operators don't see it.
pub async fn draining(flow: &Flow, session_id: Uuid) -> Result<(), Error> {
    sessions::mark_draining(&mut *flow.connection().await?, session_id).await?;
    Ok(())
}
