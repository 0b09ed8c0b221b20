//! A worker's stream has ended.

use diesel_async::AsyncConnection as _;
use tracing::info;
use uuid::Uuid;

use super::{
    Error, Flow, Topic,
    lost::{self, When},
    steps,
};
use crate::{
    db::{
        Connection, instances,
        jobs::{self, Offered},
        sessions, shards, volumes,
    },
    domain::shard,
};

/// A session that has ended.
#[derive(Debug, Clone)]
pub struct Left {
    /// The session.
    pub session_id: Uuid,
    /// The worker's process.
    pub instance_id: Uuid,
    /// Its name.
    pub worker_name: String,
    /// The shard's queue that it served.
    pub shard_queue: Option<String>,
    /// Why the stream ended, for the record.
    pub reason: String,
    /// Whether the worker said that it would go: then its leases end now.
    pub goodbye: bool,
}

/// Takes a session out: its offers go back, its cheap stages are offered elsewhere at once, its shard holds. The agent's stage goes on
/// under the instance's lease, since a blip must kill no agent run.
///
/// # Errors
///
/// When the database fails; the reaper does the rest when the lease has run out.
pub async fn leave(flow: &Flow, left: &Left) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    let Some(returned) = connection.transaction(async |connection| take_out(connection, left).await).await? else {
        info!(worker = left.worker_name, session_id = %left.session_id, reason = left.reason, "stream ended; the worker is back already");
        return Ok(());
    };
    flow.hints.wake_all(steps::of_returns(returned, "worker_left"));
    if left.shard_queue.is_some() {
        flow.hints.wake(&Topic::Gates);
    }
    let (cheap, costly): (Vec<_>, Vec<_>) = jobs::running_of_instance(&mut connection, left.instance_id)
        .await?
        .into_iter()
        .partition(|job| job.stage.is_cheap());
    lost::give_up(&mut connection, flow, &cheap, When::Now).await?;
    // A worker that really goes has no agent at work. One whose line broke while it drained may have: its container uses the login.
    let goodbye = left.goodbye && costly.is_empty();
    if goodbye {
        volumes::release(&mut connection, left.instance_id).await?;
        instances::end_lease(&mut connection, left.instance_id).await?;
    }
    info!(worker = left.worker_name, session_id = %left.session_id, reason = left.reason, goodbye, "worker left");
    Ok(())
}

/// Tells a session's worker to another server. Nothing is taken out, not even its offers, since the worker is expected there in a moment
/// and may hold them already. If it doesn't come, its offers lapse, and the reaper takes the session out.
///
/// # Errors
///
/// When the database fails; the reaper does it when the server is gone.
pub async fn redirect(flow: &Flow, left: &Left) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    connection
        .transaction(async |connection| {
            instances::lock(connection, left.instance_id).await?;
            if instances::has_newer_session(connection, left.instance_id, left.session_id).await? {
                instances::close_session(connection, left.session_id, &left.reason).await
            } else {
                sessions::mark_redirected(connection, left.session_id).await
            }
        })
        .await?;
    info!(worker = left.worker_name, session_id = %left.session_id, reason = left.reason, "worker sent to another server");
    Ok(())
}

/// Gives the session's offers back and parks its shard; `None` when the instance has a newer session, on this server or another.
async fn take_out(connection: &mut Connection, left: &Left) -> Result<Option<Vec<Offered>>, Error> {
    instances::lock(connection, left.instance_id).await?;
    instances::close_session(connection, left.session_id, &left.reason).await?;
    if instances::has_newer_session(connection, left.instance_id, left.session_id).await? {
        return Ok(None);
    }
    let returned = jobs::release_offers(connection, left.instance_id, None, 0.0).await?;
    let served = match &left.shard_queue {
        // A new process of the worker may have taken the shard meanwhile, on another server.
        Some(queue) => shards::lock_if_served_by(connection, queue, left.instance_id).await?,
        None => false,
    };
    if let Some(queue) = left.shard_queue.as_ref().filter(|_| served) {
        shards::set_status(connection, queue, shard::Status::Offline, None).await?;
    }
    Ok(Some(returned))
}
