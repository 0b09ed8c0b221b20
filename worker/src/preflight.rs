//! Is the login good? Asked before each job of an agent, at start, and on command.

mod message;
mod remedy;

use std::{path::PathBuf, time::Duration};

use chrono::Utc;
use moorline_proto::v1::{self, PreflightRung as Rung, PreflightStatus as Status};
use tokio::time::{Instant, timeout};

use self::message::Subject;
use crate::{
    agent::{Agent, Login},
    config::Config,
    engine::{Engine, Error},
    redact::chain,
    volume::{ENGINE_SLACK, Place, probe, timestamp},
};

/// Longest message, in characters.
pub const MESSAGE_LIMIT: usize = 512;

/// What a check has found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its result.
    pub preflight: v1::Preflight,
    /// The volume as it is.
    pub diagnostics: v1::VolumeDiagnostics,
    /// For programs, why the check could not be run: `image_missing`, `engine_unreachable` or `program_missing`.
    pub cause: Option<&'static str>,
}

/// Checks the login in `volume`, for the shard `queue`, and describes the volume. Never fails: what goes wrong is the result.
pub async fn check(engine: &dyn Engine, agent: &dyn Agent, config: &Config, queue: &str, volume: Option<&str>) -> Checked {
    let began = Instant::now();
    let Some(volume) = volume else {
        let skipped = format!("{} login check skipped: no volume is configured (CODEX_VOLUME_NAME)", agent.name());
        return Checked {
            preflight: result(config, queue, "", Status::Skipped, Rung::Unspecified, skipped, began.elapsed()),
            diagnostics: v1::VolumeDiagnostics::default(),
            cause: None,
        };
    };
    let mut seen = Seen::new(volume);
    let longest = config.preflight_timeout + ENGINE_SLACK;
    let looked = timeout(longest, look(engine, agent, config, volume, &mut seen)).await;
    let (rung, detail) = looked.unwrap_or_else(|_| {
        let late = format!("the container engine did not answer within {} s", longest.as_secs());
        (Rung::TimedOut, late)
    });
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
    Checked {
        preflight,
        diagnostics: seen.diagnostics,
        cause: seen.cause.filter(|_| rung == Rung::EnvironmentBroken),
    }
}

/// What has been seen of a volume when a check ends, however it ends.
struct Seen {
    place: Option<Place>,
    exit_code: Option<i32>,
    diagnostics: v1::VolumeDiagnostics,
    cause: Option<&'static str>,
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
        }
    }

    /// An engine's errors say themselves what to do.
    fn broken(&mut self, error: &Error) -> (Rung, String) {
        self.cause = error.cause();
        let rung = match error {
            Error::VolumeMissing { .. } => Rung::VolumeMissing,
            _ => Rung::EnvironmentBroken,
        };
        (rung, chain(error))
    }
}

async fn look(engine: &dyn Engine, agent: &dyn Agent, config: &Config, volume: &str, seen: &mut Seen) -> (Rung, String) {
    let place = match Place::find(engine, agent, volume).await {
        Ok(Some(place)) => place,
        Ok(None) => return (Rung::VolumeMissing, String::new()),
        Err(error) => return seen.broken(&error),
    };
    seen.diagnostics = place.diagnostics();
    let place = seen.place.insert(place);
    let (probe, file) = match probe(engine, agent, config, place).await {
        Ok(probed) => probed,
        Err(error) => return seen.broken(&error),
    };
    seen.exit_code = probe.status;
    // What a shell says of a program that isn't there, or can't be run.
    seen.cause = matches!(probe.status, Some(126 | 127)).then_some("program_missing");
    let login = match probe.status {
        Some(code) => agent.login(code, &probe.output, &file, Utc::now()),
        None if probe.timed_out => silent(Rung::TimedOut, String::new()),
        None => silent(
            Rung::EnvironmentBroken,
            format!("the check ended without an answer: {}", probe.output),
        ),
    };
    seen.diagnostics = probe.describe(&login, std::mem::take(&mut seen.diagnostics));
    (login.rung, login.detail)
}

fn silent(rung: Rung, detail: String) -> Login {
    Login {
        rung,
        detail,
        method: "",
        expires_at: None,
    }
}

/// Whether a job may start on this.
pub fn passes(rung: Rung) -> bool {
    matches!(rung, Rung::Present | Rung::Unexpired | Rung::Proven)
}

/// The failure of a job whose check did not pass.
pub fn failure(checked: &Checked) -> v1::Failure {
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

/// A check's result for a login that the agent itself found to be no good, with the message that the job fails with.
pub fn refused(config: &Config, queue: &str, volume: &str, rung: Rung, message: &str) -> v1::Preflight {
    result(config, queue, volume, Status::Failed, rung, message.to_owned(), Duration::ZERO)
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
