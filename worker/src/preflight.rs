//! Is the login good? Asked before each job of an agent, at start, and on command.

mod ladder;
mod message;
mod real_call;
mod remedy;
mod table;

use std::{path::PathBuf, time::Duration};

use chrono::Utc;
use moorline_proto::v1::{self, PreflightRung as Rung, PreflightStatus as Status};
use tokio::time::{Instant, timeout};

pub use self::table::table;
use self::{ladder::Ladder, message::Subject};
use crate::{
    agent::{Agent, Identity, Login},
    config::Config,
    engine::{Engine, Error},
    redact::{Redactor, chain},
    volume::{ENGINE_SLACK, Place, timestamp},
};

/// Longest message, in characters.
pub const MESSAGE_LIMIT: usize = 512;

/// What is to be checked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The shard's queue.
    pub queue: &'a str,
    /// The volume; `None` where none is configured.
    pub volume: Option<&'a str>,
    /// Generation of the volume's lease; 0 before it is known.
    pub generation: i64,
    /// Whether to make a small real call as well.
    pub probe: bool,
}

/// What a check has found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its result.
    pub preflight: v1::Preflight,
    /// The volume as it is.
    pub diagnostics: v1::VolumeDiagnostics,
    /// For programs, why the check could not be run: `image_missing`, `engine_unreachable`, `program_missing`, `volume_in_use` or `fenced`.
    pub cause: Option<&'static str>,
    /// Set where the volume was not to be had (`VOLUME_IN_USE`, `FENCED`): then nothing was learnt of the login, and the result is not for
    /// reporting.
    pub blocked: Option<v1::Failure>,
    /// Whose login it is.
    pub identity: Identity,
    /// Jobs that may use the login at once.
    pub capacity: u32,
}

/// Checks the login in a volume, and describes the volume. Never fails: what goes wrong is the result.
pub async fn check(engine: &dyn Engine, agent: &dyn Agent, config: &Config, ask: &Ask<'_>) -> Checked {
    let (began, queue) = (Instant::now(), ask.queue);
    let Some(volume) = ask.volume else {
        let (name, variable) = (agent.name(), agent.volume_variable());
        let skipped = format!("{name} login check skipped: no volume is configured ({variable})");
        let mut seen = Seen::new("");
        seen.diagnostics = v1::VolumeDiagnostics::default();
        return seen.checked(result(
            config,
            queue,
            "",
            Status::Skipped,
            Rung::Unspecified,
            skipped,
            began.elapsed(),
        ));
    };
    let mut seen = Seen::new(volume);
    let ladder = Ladder {
        engine,
        agent,
        config,
        ask,
        volume,
    };
    // At most it looks, puts back, looks again, calls and notes.
    let longest = 5 * config.preflight_timeout + ENGINE_SLACK;
    let (rung, detail) = match timeout(longest, ladder.climb(&mut seen)).await {
        Ok(Ok(judged)) => judged,
        Ok(Err(error)) => seen.broken(&error),
        Err(_) => {
            let late = format!("the container engine did not answer within {} s", longest.as_secs());
            (Rung::TimedOut, late)
        }
    };
    let detail = seen.redactor.text(&detail);
    let subject = Subject {
        agent,
        config,
        queue,
        volume,
        folder: folder(engine, config, volume, seen.place.as_ref(), rung).await,
    };
    let status = if passes(rung) { Status::Passed } else { Status::Failed };
    let message = subject.message("login check failed", rung, &detail);
    let mut preflight = result(config, queue, volume, status, rung, message, began.elapsed());
    preflight.exit_code = seen.exit_code;
    preflight.retry_after = seen.retry_after.and_then(|after| after.try_into().ok());
    seen.cause = seen.cause.filter(|_| rung == Rung::EnvironmentBroken);
    seen.checked(preflight)
}

/// What has been seen of a volume when a check ends, however it ends.
struct Seen {
    place: Option<Place>,
    exit_code: Option<i32>,
    diagnostics: v1::VolumeDiagnostics,
    cause: Option<&'static str>,
    blocked: Option<v1::Failure>,
    identity: Identity,
    capacity: u32,
    retry_after: Option<Duration>,
    /// Knows the secrets of the login.
    redactor: Redactor,
}

impl Seen {
    fn new(volume: &str) -> Self {
        Self {
            place: None,
            exit_code: None,
            diagnostics: v1::VolumeDiagnostics {
                volume: volume.to_owned(),
                ..v1::VolumeDiagnostics::default()
            },
            cause: None,
            blocked: None,
            identity: Identity::default(),
            capacity: 1,
            retry_after: None,
            redactor: Redactor::default(),
        }
    }

    /// Takes in whose login it is.
    fn know(&mut self, login: &Login, config: &Config) {
        self.identity = login.identity.clone();
        self.capacity = if login.method == "api_key" { config.api_key_capacity } else { 1 };
    }

    /// An engine's errors say themselves what to do.
    fn broken(&mut self, error: &Error) -> (Rung, String) {
        self.cause = error.cause();
        let blocked = match error {
            Error::VolumeInUse { .. } => Some("VOLUME_IN_USE"),
            Error::Fenced { .. } => Some("FENCED"),
            _ => None,
        };
        self.blocked = blocked.map(|code| crate::stage::failure(code, v1::FailureClass::Environment, chain(error)));
        let rung = match error {
            Error::VolumeMissing { .. } => Rung::VolumeMissing,
            Error::VolumeUnusable { why, .. } if why.contains("Permission denied") => Rung::Unreadable,
            _ => Rung::EnvironmentBroken,
        };
        (rung, chain(error))
    }

    fn checked(self, preflight: v1::Preflight) -> Checked {
        Checked {
            preflight,
            diagnostics: self.diagnostics,
            cause: self.cause,
            blocked: self.blocked,
            identity: self.identity,
            capacity: self.capacity,
        }
    }
}

/// Whether a job may start on this.
pub fn passes(rung: Rung) -> bool {
    matches!(rung, Rung::Present | Rung::Unexpired | Rung::Proven)
}

/// The failure of a job whose check did not pass.
pub fn failure(checked: &Checked) -> v1::Failure {
    if let Some(blocked) = &checked.blocked {
        return blocked.clone();
    }
    let preflight = &checked.preflight;
    let rung = preflight.rung();
    let class = match rung {
        Rung::EnvironmentBroken | Rung::TimedOut | Rung::Unknown | Rung::Unspecified => v1::FailureClass::Environment,
        _ => v1::FailureClass::Login,
    };
    let code = rung.as_str_name().trim_start_matches("PREFLIGHT_RUNG_");
    let details = [
        ("volume", Some(preflight.volume.as_str())),
        ("queue", Some(preflight.queue.as_str())),
        ("worker", Some(preflight.worker_name.as_str())),
        ("cause", checked.cause),
    ];
    let details = details
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    v1::Failure {
        code: code.to_owned(),
        message: preflight.message.clone(),
        class: class.into(),
        details: details.collect(),
    }
}

/// What a person does about a login that failed during a job: one line with volume, shard, worker and remedy, like a check's.
pub async fn advice(
    engine: &dyn Engine,
    agent: &dyn Agent,
    config: &Config,
    queue: &str,
    volume: &str,
    rung: Rung,
    detail: &str,
) -> String {
    let place = Place::find(engine, agent, volume).await.ok().flatten();
    let subject = Subject {
        agent,
        config,
        queue,
        volume,
        folder: folder(engine, config, volume, place.as_ref(), rung).await,
    };
    subject.message("could not go on", rung, detail)
}

/// A check's result for a login that the agent itself found to be no good, with the message that the job fails with, and how long the
/// agent was told to leave the account alone.
pub fn refused(config: &Config, queue: &str, volume: &str, rung: Rung, message: &str, retry_after: Option<Duration>) -> v1::Preflight {
    v1::Preflight {
        retry_after: retry_after.and_then(|after| after.try_into().ok()),
        ..result(config, queue, volume, Status::Failed, rung, message.to_owned(), Duration::ZERO)
    }
}

/// The folder that is the volume, or would be, with an engine whose volumes are folders.
async fn folder(engine: &dyn Engine, config: &Config, volume: &str, place: Option<&Place>, rung: Rung) -> Option<PathBuf> {
    match place {
        Some(place) => place.facts.in_place.then(|| place.home.clone()),
        None if rung == Rung::VolumeMissing => {
            let info = engine.info().await.ok()?;
            (info.kind == "process").then(|| config.volume_root.join(volume))
        }
        None => None,
    }
}

fn result(config: &Config, queue: &str, volume: &str, status: Status, rung: Rung, message: String, took: Duration) -> v1::Preflight {
    v1::Preflight {
        status: status.into(),
        rung: rung.into(),
        message,
        exit_code: None,
        checked_at: Some(timestamp(Utc::now())),
        duration: took.try_into().ok(),
        volume: volume.to_owned(),
        queue: queue.to_owned(),
        worker_name: config.name.clone(),
        retry_after: None,
        run_id: String::new(),
    }
}
