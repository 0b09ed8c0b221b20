//! What operators do with a volume: check it, log it in and out, clean it up, note something on it.
//!
//! All of it is done by the worker that holds the volume, by a command: one login has one user.

use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use super::{Error, Flow, Topic, command, seal};
use crate::{
    db::{
        instances, sessions,
        volumes::{self, Volume},
    },
    domain::{
        self,
        command::{Answer, Order, Progress},
        job::Failure,
        preflight::Preflight,
        volume::Seen,
    },
};

/// How long a worker has for a check, of which the longest is a real call that is answered late.
pub const CHECK: Duration = Duration::from_secs(180);

/// How long for a clean-up or a logout, and the check that follows.
const CLEAN: Duration = Duration::from_secs(300);

/// How long for a login. The code of a device login is good for 15 minutes.
const LOGIN: Duration = Duration::from_secs(16 * 60);

/// Longest notes, in characters.
const NOTES_MAX: usize = 4096;

/// A check that a worker has made.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The check.
    pub check: Preflight,
    /// The volume as the worker saw it.
    pub seen: Option<Seen>,
}

/// Has the login of a volume checked now, for a run where there is one.
///
/// # Errors
///
/// `VOLUME_NOT_FOUND`, `VOLUME_NOT_HELD`, `VOLUME_IN_USE`, `WORKER_SILENT`.
pub async fn check(flow: &Flow, name: &str, probe: bool, run_id: Option<Uuid>, requested_by: &str) -> Result<Checked, Error> {
    let order = Order::CheckVolume {
        volume: name.to_owned(),
        probe,
        run_id,
    };
    checked(name, ask(flow, name, order, CHECK, requested_by).await?)
}

/// Logs a volume out.
///
/// # Errors
///
/// Those of [`check`].
pub async fn logout(flow: &Flow, name: &str, requested_by: &str) -> Result<Checked, Error> {
    let order = Order::LogoutVolume { volume: name.to_owned() };
    checked(name, ask(flow, name, order, CLEAN, requested_by).await?)
}

/// Removes what the agent has piled up in a volume. Returns how many bytes that were.
///
/// # Errors
///
/// Those of [`check`].
pub async fn clean(flow: &Flow, name: &str, requested_by: &str) -> Result<i64, Error> {
    let order = Order::CleanVolume { volume: name.to_owned() };
    match ask(flow, name, order, CLEAN, requested_by).await? {
        Answer::Cleaned { freed_bytes, .. } => Ok(freed_bytes),
        answer => Err(unanswered(name, answer)),
    }
}

/// How to log in.
#[derive(Debug)]
pub enum Method {
    /// By a code that a person enters in a browser.
    Device,
    /// By an API key.
    ApiKey(SecretString),
}

/// A login that has begun. Ends on the worker when this is dropped before its end.
pub struct LoggingIn {
    flow: Flow,
    /// Its command.
    pub command_id: Uuid,
    /// The volume.
    pub volume: String,
    instance_id: Uuid,
    seen: Option<Progress>,
    ended: bool,
}

/// Begins to log a volume in.
///
/// # Errors
///
/// `VOLUME_NOT_FOUND`, `VOLUME_NOT_HELD`, `API_KEY_MISSING`, `WORKER_TOO_OLD`.
pub async fn login(flow: &Flow, name: &str, method: Method, requested_by: &str) -> Result<LoggingIn, Error> {
    let (volume, instance_id) = held(flow, name).await?;
    let sealed_api_key = match method {
        Method::Device => None,
        Method::ApiKey(key) => {
            let sealing_key = instances::sealing_key(&mut *flow.connection().await?, instance_id).await?;
            Some(seal::api_key(&key, sealing_key.as_deref())?)
        }
    };
    let order = Order::LoginVolume {
        volume: volume.name,
        sealed_api_key,
    };
    let request = request(instance_id, order, LOGIN, requested_by);
    Ok(LoggingIn {
        command_id: command::send(flow, &request).await?,
        flow: flow.clone(),
        volume: name.to_owned(),
        instance_id,
        seen: None,
        ended: false,
    })
}

/// What is new of a login.
#[derive(Debug)]
pub enum News {
    /// It has come further.
    Step(Progress),
    /// It has ended, with this check.
    Done(Checked),
}

impl LoggingIn {
    /// Waits for what is new.
    ///
    /// # Errors
    ///
    /// How the login failed: `LOGIN_DENIED`, `LOGIN_EXPIRED`, `LOGIN_STOPPED`, `LOGIN_FAILED`, `VOLUME_IN_USE`, `WORKER_SILENT`.
    pub async fn next(&mut self) -> Result<News, Error> {
        match command::news(&self.flow, self.command_id, &mut self.seen).await? {
            command::News::Progress(step) => Ok(News::Step(step)),
            command::News::Answer(answer) => {
                self.ended = true;
                checked(&self.volume, answer).map(News::Done)
            }
        }
    }
}

impl Drop for LoggingIn {
    /// Nobody will enter the code any more: the worker need not wait for it.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (flow, instance_id, command_id) = (self.flow.clone(), self.instance_id, self.command_id);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let stop = request(instance_id, Order::Stop { command_id }, CLEAN, "login");
            if let Err(error) = command::send(&flow, &stop).await {
                tracing::warn!(%command_id, %error, "a login that nobody waits for could not be stopped; its code expires by itself");
            }
        });
    }
}

/// Finds a volume.
///
/// # Errors
///
/// `VOLUME_NOT_FOUND`.
pub async fn find(flow: &Flow, name: &str) -> Result<Volume, Error> {
    let found = volumes::find(&mut *flow.connection().await?, name).await?;
    found.ok_or_else(|| not_found(name))
}

/// Replaces the notes on a volume.
///
/// # Errors
///
/// `VOLUME_NOT_FOUND`, `TOO_LONG`, `INVALID_TEXT`.
pub async fn set_notes(flow: &Flow, name: &str, notes: &str) -> Result<(), Error> {
    if notes.chars().count() > NOTES_MAX {
        let message = format!("notes are longer than {NOTES_MAX} characters: shorten them");
        return Err(domain::Error::invalid("notes", "TOO_LONG", message).into());
    }
    if notes.contains('\0') {
        let message = "the notes hold a NUL character, which can't be stored: remove it";
        return Err(domain::Error::invalid("notes", "INVALID_TEXT", message).into());
    }
    match volumes::set_notes(&mut *flow.connection().await?, name, notes).await? {
        0 => Err(not_found(name)),
        _ => {
            flow.hints.wake(&Topic::Gates);
            Ok(())
        }
    }
}

async fn ask(flow: &Flow, name: &str, order: Order, deadline: Duration, requested_by: &str) -> Result<Answer, Error> {
    let (_, instance_id) = held(flow, name).await?;
    command::ask(flow, &request(instance_id, order, deadline, requested_by)).await
}

fn request(instance_id: Uuid, order: Order, deadline: Duration, requested_by: &str) -> command::Request<'_> {
    command::Request {
        instance_id,
        session_id: None,
        order,
        requested_by,
        deadline,
    }
}

/// A volume with the process that holds it and has a stream.
async fn held(flow: &Flow, name: &str) -> Result<(Volume, Uuid), Error> {
    let volume = find(flow, name).await?;
    match connected_holder(flow, &volume).await? {
        Some(instance_id) => Ok((volume, instance_id)),
        None => {
            let whose = volume
                .worker_affinity
                .as_deref()
                .map(|worker| format!(" (last held by {worker})"))
                .unwrap_or_default();
            let message = format!("no connected worker holds the volume {name}{whose}: start the shard's worker, then ask again");
            Err(domain::Error::precondition("VOLUME_NOT_HELD", message).with("volume", name).into())
        }
    }
}

/// The process that holds the volume, if it has a stream.
pub(super) async fn connected_holder(flow: &Flow, volume: &Volume) -> Result<Option<Uuid>, Error> {
    let (Some(owner), Some(worker)) = (volume.owner_instance_id, volume.worker_affinity.as_deref()) else {
        return Ok(None);
    };
    let lease = flow.timers.lease.as_secs_f64();
    let seen = sessions::workers(&mut *flow.connection().await?, Some(worker), lease).await?;
    Ok(seen.iter().any(|seen| seen.connected && seen.instance_id == owner).then_some(owner))
}

fn checked(name: &str, answer: Answer) -> Result<Checked, Error> {
    match answer {
        Answer::Checked { check, seen } => Ok(Checked {
            check: check.normalised(),
            seen,
        }),
        answer => Err(unanswered(name, answer)),
    }
}

/// Why there is no check.
fn unanswered(name: &str, answer: Answer) -> Error {
    match answer {
        Answer::Failed(failure) => refused(name, failure),
        _ => {
            let message =
                format!("the worker that holds the volume {name} gave no answer in time: see whether it is there, then ask again");
            domain::Error::precondition("WORKER_SILENT", message).with("volume", name).into()
        }
    }
}

/// A worker's own word for why it could not. Its codes are stable names, as ours are.
fn refused(name: &str, failure: Failure) -> Error {
    if failure.code == "UNSUPPORTED" {
        return domain::Error::unsupported(failure.message).with("volume", name).into();
    }
    let reason = REASONS
        .into_iter()
        .find(|reason| *reason == failure.code)
        .unwrap_or("WORKER_REFUSED");
    domain::Error::precondition(reason, failure.message)
        .with("volume", name)
        .with("code", failure.code)
        .into()
}

/// What workers may answer to commands on their volume.
const REASONS: [&str; 8] = [
    "VOLUME_IN_USE",
    "VOLUME_NOT_HELD",
    "LOGIN_DENIED",
    "LOGIN_EXPIRED",
    "LOGIN_STOPPED",
    "LOGIN_FAILED",
    "LOGOUT_FAILED",
    "CLEAN_FAILED",
];

/// There is no such volume.
pub(super) fn not_found(name: &str) -> Error {
    let message = format!("there is no volume {name:?}: `moorline volume list` shows those that there are");
    domain::Error::not_found("VOLUME_NOT_FOUND", message).with("volume", name).into()
}
