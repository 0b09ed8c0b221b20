//! One live instance per worker name, in the whole fleet.
//!
//! A name's row in `workers` is locked while its sessions are looked at, so that of two Hellos at the same moment, on two servers, one
//! comes second and sees the other.

use std::time::Duration;

use tracing::info;
use uuid::Uuid;

use super::{Error, Flow, command, register::Hello};
use crate::{
    db::{
        Connection, instances,
        jobs::{self, Offered},
        servers,
        sessions::{self, Open},
    },
    domain::{
        self,
        command::{Answer, Order},
    },
};

/// How long a refused second instance should wait: its holder has just given a sign of life.
pub const TAKEN_RETRY: Duration = Duration::from_secs(5);

/// How long the other server has for the probe: two seconds for the worker, and its own way.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// Another instance with a stream on another live server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// The name that both have.
    pub worker_name: String,
    /// Its session.
    pub session_id: Uuid,
    /// Its process.
    pub instance_id: Uuid,
    /// Its host.
    pub hostname: String,
}

impl Rival {
    /// What the newcomer is told when the rival is alive.
    pub fn refusal(&self) -> domain::Error {
        taken(&self.worker_name, self.instance_id, &self.hostname)
    }
}

/// `WORKER_NAME_TAKEN`, naming host and instance of the holder.
pub fn taken(worker_name: &str, instance_id: Uuid, hostname: &str) -> domain::Error {
    let message = format!(
        "worker name {worker_name} is taken by instance {instance_id} on host {hostname}: set MOORLINE_WORKER_NAME to another name, or stop that one"
    );
    domain::Error::already_exists("WORKER_NAME_TAKEN", message)
        .with("worker", worker_name)
        .with("hostname", hostname)
        .with("instance_id", instance_id.to_string())
        .retry_after(TAKEN_RETRY)
}

/// What became of the name's earlier sessions.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Sessions of this same process on other live servers: to be ended there.
    pub moved_from: Vec<Uuid>,
    /// Offers that went back.
    pub returned: Vec<Offered>,
}

/// Makes way for a Hello, whose worker's row the caller has locked: ends earlier sessions that have no stream any more.
///
/// # Errors
///
/// [`Error::NameTaken`] when another instance has a stream on another live server.
pub(super) async fn settle(connection: &mut Connection, flow: &Flow, hello: &Hello) -> Result<Settled, Error> {
    let mut settled = Settled::default();
    let dead_after = flow.timers.server_timeout.as_secs_f64();
    for open in sessions::open_of_name(connection, &hello.worker_name, dead_after).await? {
        // This server has given the name's seat to this Hello: an earlier session of its own is over.
        let live = open.server_lives && !open.redirected && open.server_id != flow.server_id;
        match (live, open.instance_id == hello.instance_id) {
            (true, true) => settled.moved_from.push(open.id),
            (true, false) => return Err(Error::NameTaken(Box::new(rival(hello, open)))),
            (false, same) => {
                close(connection, flow, &open).await?;
                if !same {
                    settled
                        .returned
                        .extend(jobs::release_offers(connection, open.instance_id, None, 0.0).await?);
                }
            }
        }
    }
    Ok(settled)
}

fn rival(hello: &Hello, open: Open) -> Rival {
    Rival {
        worker_name: hello.worker_name.clone(),
        session_id: open.id,
        instance_id: open.instance_id,
        hostname: open.hostname,
    }
}

async fn close(connection: &mut Connection, flow: &Flow, open: &Open) -> Result<(), Error> {
    // A server that is silent but not yet declared dead learns of it by its row.
    if !open.server_lives && open.server_id != flow.server_id {
        servers::remove(connection, open.server_id).await?;
    }
    instances::close_session(connection, open.id, "the worker has a newer session").await?;
    Ok(())
}

/// Asks the server that holds a rival's stream whether the rival is alive; if it isn't, that server ends the stream.
///
/// # Errors
///
/// When the database fails.
pub async fn is_alive(flow: &Flow, rival: &Rival) -> Result<bool, Error> {
    let asked = command::Request {
        instance_id: rival.instance_id,
        session_id: Some(rival.session_id),
        order: Order::Probe,
        requested_by: "server",
        deadline: PROBE_DEADLINE,
    };
    let answer = command::ask(flow, &asked).await?;
    info!(worker = rival.worker_name, instance_id = %rival.instance_id, ?answer, "the holder of the name was probed");
    // A server that doesn't answer is slow, or about to be found dead: the newcomer tries again.
    Ok(!matches!(answer, Answer::Probed { alive: false }))
}

/// Has the old streams of a process ended that has moved here.
pub(super) async fn end_elsewhere(flow: &Flow, instance_id: Uuid, sessions: &[Uuid]) -> Result<(), Error> {
    for session_id in sessions {
        let asked = command::Request {
            instance_id,
            session_id: Some(*session_id),
            order: Order::Replace,
            requested_by: "server",
            deadline: PROBE_DEADLINE,
        };
        command::send(flow, &asked).await?;
    }
    Ok(())
}
