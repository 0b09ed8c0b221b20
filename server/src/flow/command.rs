//! Asking a worker for something that is no job, whichever server its stream is on.
//!
//! A command is a row and a hint. The server that holds the stream takes the row, sends the frame and stores the answer. A worker that
//! dials again before it has answered is asked again on its new stream, so commands must bear repetition.

use std::time::Duration;

use diesel_async::AsyncConnection as _;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    Error, Flow, Timers, Topic,
    known::{self, Said},
};
use crate::{
    db::{Connection, commands, fingerprints, runs, volumes},
    domain::{
        command::{Answer, Order, Progress, Step},
        preflight,
    },
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
    let mut seen = None;
    loop {
        if let News::Answer(answer) = news(flow, id, &mut seen).await? {
            return Ok(answer);
        }
    }
}

/// What is new of a command.
#[derive(Debug, Clone)]
pub enum News {
    /// It has come further.
    Progress(Progress),
    /// It has ended.
    Answer(Answer),
}

/// Waits until a command has come further than what was `seen` of it, or has ended.
///
/// # Errors
///
/// When the database fails; the command goes on.
pub async fn news(flow: &Flow, id: Uuid, seen: &mut Option<Progress>) -> Result<News, Error> {
    let subscription = flow.hints.subscribe([Topic::Answer(id)]);
    loop {
        let state = commands::state(&mut *flow.connection().await?, id).await?;
        let Some(state) = state else {
            return Ok(News::Answer(Answer::Expired));
        };
        if let Some(result) = state.result {
            return Ok(News::Answer(serde_json::from_value(result)?));
        }
        let progress: Option<Progress> = state.progress.map(serde_json::from_value).transpose()?;
        if let Some(progress) = progress.filter(|progress| seen.as_ref() != Some(progress)) {
            *seen = Some(progress.clone());
            return Ok(News::Progress(progress));
        }
        if state.expired {
            // Unless the answer comes in this moment: the next look tells.
            commands::expire(&mut *flow.connection().await?, Some(id), &serde_json::to_value(Answer::Expired)?).await?;
        } else {
            // Whoever waits doesn't hold a connection.
            drop(tokio::time::timeout(flow.timers.poll.min(LOOK), subscription.woken()).await);
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
    let mut rows = commands::take(&mut *flow.connection().await?, flow.server_id).await?;
    // In the order of their making: what stops another comes after it.
    rows.sort_by_key(|row| row.id);
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
            let Some(order) = commands::finish(connection, id, instance_id, &result).await? else {
                return Ok::<_, Error>(false);
            };
            if let Some(counts) = keep(connection, &flow.timers, serde_json::from_value(order).ok(), answer).await? {
                commands::set_result(connection, id, &serde_json::to_value(counts)?).await?;
            }
            Ok(true)
        })
        .await?;
    info!(command_id = %id, %instance_id, stored, ?answer, "command answered");
    flow.hints.wake_all([Topic::Answer(id), Topic::Gates]);
    Ok(())
}

/// What an answer says of a volume is stored, whoever asked for it. Returns the answer that counts where the server knows more than the worker.
async fn keep(connection: &mut Connection, timers: &Timers, order: Option<Order>, answer: &Answer) -> Result<Option<Answer>, Error> {
    let now = runs::now(connection).await?;
    match answer {
        Answer::Checked { check, seen } => {
            let run_id = match &order {
                Some(Order::CheckVolume { run_id, .. }) => *run_id,
                _ => None,
            };
            let renewed = matches!(order, Some(Order::LoginVolume { .. } | Order::LogoutVolume { .. }));
            if renewed {
                fingerprints::forget(connection, &check.volume).await?;
            }
            let passed = check.status == preflight::Status::Passed;
            let probed = matches!(order, Some(Order::CheckVolume { probe: true, .. }));
            let said = Said {
                check: Some(check.clone()),
                seen: seen.clone(),
                run_id,
                limit_is_over: passed && (probed || renewed),
            };
            let taken = known::take(connection, timers, &check.volume, said, now).await?;
            if renewed && passed {
                volumes::raise_generation(connection, &check.volume).await?;
            }
            let counts = taken.check.filter(|counts| counts.status != check.status);
            return Ok(counts.map(|check| Answer::Checked { check, seen: seen.clone() }));
        }
        Answer::Cleaned {
            volume, seen: Some(seen), ..
        } => {
            let said = Said {
                seen: Some(seen.clone()),
                ..Said::default()
            };
            known::take(connection, timers, volume, said, now).await?;
        }
        _ => {}
    }
    Ok(None)
}

/// Notes how far a command has come. What comes after its answer changes nothing.
///
/// # Errors
///
/// When the database fails; then whoever asked doesn't hear of it.
pub async fn progress(flow: &Flow, id: Uuid, instance_id: Uuid, step: Step) -> Result<(), Error> {
    let mut connection = flow.connection().await?;
    let now = runs::now(&mut connection).await?;
    let progress = serde_json::to_value(step.at(now))?;
    commands::set_progress(&mut connection, id, instance_id, &progress).await?;
    flow.hints.wake(&Topic::Answer(id));
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
