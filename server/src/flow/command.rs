//! Asking a worker for something that is no job, whichever server its stream is on.
//!
//! A command is a row and a hint. The server that holds the stream takes the row, sends the frame and stores the answer. A worker that
//! dials again before it has answered is asked again on its new stream, so commands must bear repetition.

use std::time::Duration;

use diesel_async::AsyncConnection as _;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Error, Flow, Topic, ledger::store_check};
use crate::{
    db::{Connection, commands, preflights, runs},
    domain::command::{Answer, Order},
};

/// Longest time between two looks for an answer, which has a deadline of seconds.
const LOOK: Duration = Duration::from_secs(1);

/// What is asked of whom.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The worker's process.
    pub instance_id: Uuid,
    /// Its one session that is meant; `None`: whichever it has.
    pub session_id: Option<Uuid>,
    /// What is asked.
    pub order: Order,
    /// Who asks, for the record.
    pub requested_by: &'a str,
    /// Within this time it must be answered; afterwards the answer is [`Answer::Expired`].
    pub deadline: Duration,
}

/// Stores a command and returns its id, for [`wait`].
///
/// # Errors
///
/// When the database fails; then nothing was asked.
pub async fn send(flow: &Flow, request: &Request<'_>) -> Result<Uuid, Error> {
    let new = commands::New {
        id: Uuid::now_v7(),
        instance_id: request.instance_id,
        session_id: request.session_id,
        kind: request.order.kind(),
        body: serde_json::to_value(&request.order)?,
        requested_by: request.requested_by,
        expires_in: request.deadline.as_secs_f64(),
    };
    commands::insert(&mut *flow.connection().await?, &new).await?;
    flow.hints.wake(&Topic::Commands);
    Ok(new.id)
}

/// Waits for the answer to a command, which is [`Answer::Expired`] once its time is up.
///
/// # Errors
///
/// When the database fails; the command goes on.
pub async fn wait(flow: &Flow, id: Uuid) -> Result<Answer, Error> {
    let subscription = flow.hints.subscribe([Topic::Answer(id)]);
    loop {
        let state = commands::state(&mut *flow.connection().await?, id).await?;
        match state {
            None => return Ok(Answer::Expired),
            Some(commands::State { result: Some(result), .. }) => return Ok(serde_json::from_value(result)?),
            Some(state) if state.expired => {
                // Unless the answer comes in this moment: the next look tells.
                commands::expire(&mut *flow.connection().await?, Some(id), &serde_json::to_value(Answer::Expired)?).await?;
            }
            // Whoever waits doesn't hold a connection.
            Some(_) => drop(tokio::time::timeout(flow.timers.poll.min(LOOK), subscription.woken()).await),
        }
    }
}

/// Asks, and waits for the answer.
///
/// # Errors
///
/// When the database fails.
pub async fn ask(flow: &Flow, request: &Request<'_>) -> Result<Answer, Error> {
    let id = send(flow, request).await?;
    wait(flow, id).await
}

/// A command for a session of this server.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The command.
    pub id: Uuid,
    /// Whom it is for.
    pub instance_id: Uuid,
    /// The session that it goes to.
    pub session_id: Uuid,
    /// What is asked.
    pub order: Order,
}

/// Takes the commands for sessions of this server, each once per session.
///
/// # Errors
///
/// When the database fails; the next look takes them.
pub async fn take(flow: &Flow) -> Result<Vec<Taken>, Error> {
    let rows = commands::take(&mut *flow.connection().await?, flow.server_id).await?;
    let read = |row: commands::Taken| match serde_json::from_value(row.body) {
        Ok(order) => Some(Taken {
            id: row.id,
            instance_id: row.instance_id,
            session_id: row.delivered_to,
            order,
        }),
        Err(error) => {
            warn!(command_id = %row.id, %error, "a command of a newer server is not understood; it will expire");
            None
        }
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Stores the answer to a command. One that comes too late, or twice, or from another process changes nothing.
///
/// # Errors
///
/// When the database fails; then the asker waits for its deadline.
pub async fn finish(flow: &Flow, id: Uuid, instance_id: Uuid, answer: &Answer) -> Result<(), Error> {
    let result = serde_json::to_value(answer)?;
    let mut connection = flow.connection().await?;
    let stored = connection
        .transaction(async |connection| {
            let stored = commands::finish(connection, id, instance_id, &result).await? == 1;
            if stored {
                keep_check(connection, answer).await?;
            }
            Ok::<_, Error>(stored)
        })
        .await?;
    info!(command_id = %id, %instance_id, stored, ?answer, "command answered");
    flow.hints.wake(&Topic::Answer(id));
    Ok(())
}

/// A login check is stored wherever it comes from.
async fn keep_check(connection: &mut Connection, answer: &Answer) -> Result<(), Error> {
    if let Answer::Checked { check, .. } = answer {
        let now = runs::now(connection).await?;
        let check = check.clone().normalised();
        if preflights::insert_new(connection, &check, check.checked_at, now).await? {
            store_check(connection, &check, now).await?;
        }
    }
    Ok(())
}

/// Ends the commands whose time is up though nobody waits for them any more, and forgets old ones.
///
/// # Errors
///
/// When the database fails; the next pass tries again.
pub async fn sweep(flow: &Flow) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    commands::expire(&mut connection, None, &serde_json::to_value(Answer::Expired)?).await?;
    commands::prune(&mut connection).await?;
    Ok(())
}
