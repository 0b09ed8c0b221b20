//! A worker's stream has ended.

use diesel_async::AsyncConnection as _;
use tracing::info;
use uuid::Uuid;

use super::{Error, Flow, Topic, lost};
use crate::{
    db::{instances, jobs, shards, volumes},
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
    instances::close_session(&mut connection, left.session_id, &left.reason).await?;
    let queues = jobs::release_offers(&mut connection, left.instance_id, None, 0.0).await?;
    flow.hints.wake_all(queues.into_iter().map(Topic::Queue));
    if let Some(queue) = &left.shard_queue {
        connection
            .transaction(async |connection| {
                shards::set_status(connection, queue, shard::Status::Offline, None).await?;
                jobs::set_hold(connection, queue, shard::Status::Offline.hold_reason()).await
            })
            .await?;
    }
    for job in jobs::running_of_instance(&mut connection, left.instance_id).await? {
        if left.goodbye || job.stage.is_cheap() {
            lost::give_up(flow, &job).await?;
        }
    }
    if left.goodbye {
        volumes::release(&mut connection, left.instance_id).await?;
        instances::end_lease(&mut connection, left.instance_id).await?;
    }
    info!(worker = left.worker_name, session_id = %left.session_id, reason = left.reason, goodbye = left.goodbye, "worker left");
    Ok(())
}
