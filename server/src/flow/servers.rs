//! Servers beside each other: signs of life, hints, and sessions whose server is gone.

use std::collections::HashSet;

use tracing::{info, warn};
use uuid::Uuid;

use super::{
    Error, Flow,
    leave::{self, Left},
    outgoing::Departure,
};
use crate::db::{
    notify, servers,
    sessions::{self, Orphan},
};

/// Most sessions that one pass takes out; the next pass takes more.
const BATCH: i64 = 200;

pub use crate::db::servers::Beat;

/// Gives this server's sign of life, and finds out whether others are there to hear its hints.
///
/// # Errors
///
/// When the database fails; then this server may soon count as dead.
pub async fn beat(flow: &Flow, hostname: &str, address: &str) -> Result<Beat, Error> {
    let mut connection = flow.connection().await?;
    let dead_after = flow.timers.server_timeout.as_secs_f64();
    let beat = servers::beat(&mut connection, flow.server_id, hostname, address, dead_after).await?;
    flow.hints.set_heard(beat.others);
    Ok(beat)
}

/// This server goes; nobody has to wait for its next sign of life.
///
/// # Errors
///
/// When the database fails; others find out by the server's silence.
pub async fn goodbye(flow: &Flow) -> Result<(), Error> {
    servers::remove(&mut *flow.connection().await?, flow.server_id).await?;
    Ok(())
}

/// Sends hints to the other servers, in one statement of its own.
///
/// # Errors
///
/// When the database fails; others find out by looking.
pub async fn tell(flow: &Flow, departure: &Departure) -> Result<(), Error> {
    let payloads = departure.payloads(flow.server_id, notify::PAYLOAD_MAX);
    notify::send(&mut *flow.connection().await?, &payloads).await?;
    Ok(())
}

/// Declares servers dead that have been silent for too long. Returns whether there were any.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn bury(flow: &Flow) -> Result<bool, Error> {
    let dead = servers::bury(&mut *flow.connection().await?, flow.timers.server_timeout.as_secs_f64()).await?;
    for server_id in &dead {
        warn!(%server_id, "a server gives no sign of life; its sessions are taken out");
    }
    Ok(!dead.is_empty())
}

/// Takes out the sessions of servers that are gone.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn take_out_orphans(flow: &Flow) -> Result<(), Error> {
    let orphans = sessions::of_dead_servers(&mut *flow.connection().await?, BATCH).await?;
    for orphan in orphans {
        take_out(flow, orphan, "its server is gone").await?;
    }
    Ok(())
}

/// Takes out the sessions whose worker was told to move and has not come back in time.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn take_out_strays(flow: &Flow) -> Result<(), Error> {
    let seconds = flow.timers.server_timeout.as_secs_f64();
    let strays = sessions::redirected_before(&mut *flow.connection().await?, seconds, BATCH).await?;
    for stray in strays {
        take_out(flow, stray, "told to move, the worker did not come back in time").await?;
    }
    Ok(())
}

/// Takes out the sessions that this server should have and doesn't: the end of their streams could not be stored. `connected` tells the
/// instances that have a stream. It is asked between two looks at the sessions: who enters takes a seat before it is stored, and who goes gives
/// it up after.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn take_out_ghosts(flow: &Flow, connected: impl FnOnce() -> Vec<Uuid>) -> Result<(), Error> {
    let stored = sessions::of_server(&mut *flow.connection().await?, flow.server_id).await?;
    let connected: HashSet<Uuid> = connected().into_iter().collect();
    let silent = stored.into_iter().filter(|session| !connected.contains(&session.instance_id));
    let silent: HashSet<Uuid> = silent.map(|session| session.id).collect();
    if silent.is_empty() {
        return Ok(());
    }
    let stored = sessions::of_server(&mut *flow.connection().await?, flow.server_id).await?;
    for ghost in stored.into_iter().filter(|session| silent.contains(&session.id)) {
        take_out(flow, ghost, "its stream is gone").await?;
    }
    Ok(())
}

/// Takes out a session of this server that has no stream any more.
///
/// # Errors
///
/// When the database fails.
pub async fn take_out_session(flow: &Flow, session_id: Uuid) -> Result<(), Error> {
    let found = sessions::find_open(&mut *flow.connection().await?, session_id).await?;
    match found {
        Some(orphan) => take_out(flow, orphan, "its stream is gone").await,
        None => Ok(()),
    }
}

async fn take_out(flow: &Flow, orphan: Orphan, reason: &str) -> Result<(), Error> {
    info!(worker = orphan.worker_name, session_id = %orphan.id, reason, "session taken out");
    let left = Left {
        session_id: orphan.id,
        instance_id: orphan.instance_id,
        worker_name: orphan.worker_name,
        shard_queue: orphan.shard_queue,
        reason: reason.to_owned(),
        goodbye: false,
    };
    leave::leave(flow, &left).await
}
