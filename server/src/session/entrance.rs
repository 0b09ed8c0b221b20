//! From a Hello to a registered worker: room, and a name that nobody else in the fleet has.

use tonic::Status;

use super::{Outbound, Sessions};
use crate::{
    domain,
    flow::{
        Error,
        names::{self, Rival},
        register::{self, Hello, Registered},
    },
    wire::status,
};

/// How often a name's holder is found gone and another takes the name first, before the worker is sent away.
const ATTEMPTS: usize = 3;

/// Registers a worker. Another instance of its name on another server is asked for a sign of life; only when it gives none is it replaced.
pub(super) async fn register(sessions: &Sessions, hello: &Hello, outbound: &Outbound) -> Result<Registered, Status> {
    let mut attempts = 1;
    loop {
        let rival = match attempt(sessions, hello, outbound).await? {
            Ok(registered) => return Ok(registered),
            Err(rival) => rival,
        };
        let alive = attempts == ATTEMPTS
            || unless_leaving(sessions, names::is_alive(&sessions.flow, &rival))
                .await?
                .map_err(status::status)?;
        if alive {
            return Err(status::refused(&rival.refusal()));
        }
        attempts += 1;
    }
}

async fn attempt(sessions: &Sessions, hello: &Hello, outbound: &Outbound) -> Result<Result<Registered, Box<Rival>>, Status> {
    let admitted = unless_leaving(sessions, sessions.admission.admit()).await?;
    let _admitted = admitted.map_err(|refusal| status::refused(&refusal))?;
    if outbound.is_closed() {
        return Err(status::client_gone());
    }
    match register::register(&sessions.flow, hello).await {
        Ok(registered) => Ok(Ok(registered)),
        Err(Error::NameTaken(rival)) => Ok(Err(rival)),
        Err(error) => Err(status::status(error)),
    }
}

/// Waits, but not beyond the end of this server.
async fn unless_leaving<T>(sessions: &Sessions, wait: impl Future<Output = T>) -> Result<T, Status> {
    tokio::select! {
        () = sessions.shutdown.cancelled() => Err(status::refused(&leaving())),
        done = wait => Ok(done),
    }
}

/// What a worker is told that dials a server which is going.
pub(super) fn leaving() -> domain::Error {
    /// A load balancer needs a moment to see that this server is not serving.
    const DIAL_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);
    domain::Error::leaving("SHUTTING_DOWN", "this server is shutting down: dial another one").retry_after(DIAL_AGAIN)
}
