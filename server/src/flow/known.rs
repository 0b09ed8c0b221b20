//! What a worker says of its volume, whichever way it comes, and what that makes of the login.

use chrono::{DateTime, Utc};
use tracing::{info, warn};
use uuid::Uuid;

use super::{Error, Timers};
use crate::{
    db::{
        Connection, fingerprints, preflights,
        volumes::{self, Volume},
    },
    domain::{
        login::Known,
        preflight::{self, Preflight, Rung},
        volume::Seen,
    },
};

/// What is said of a volume.
#[derive(Debug, Default)]
pub struct Said {
    /// A login check.
    pub check: Option<Preflight>,
    /// The volume as its worker sees it.
    pub seen: Option<Seen>,
    /// The run that the check was made for.
    pub run_id: Option<Uuid>,
    /// Whether a limit from before says nothing any more: the login is a new one, or a real call was made for this check.
    pub limit_is_over: bool,
}

/// What became of what was said.
#[derive(Debug, Default)]
pub struct Taken {
    /// Whether jobs of the shard are looked at with other eyes from now on.
    pub moved: bool,
    /// The check that counts: the worker's, or the server's where another volume has the same login.
    pub check: Option<Preflight>,
}

/// Stores what is said of a volume, in the caller's transaction.
///
/// # Errors
///
/// When the database fails.
pub async fn take(connection: &mut Connection, timers: &Timers, name: &str, said: Said, now: DateTime<Utc>) -> Result<Taken, Error> {
    let volume = volumes::lock(connection, name).await?;
    let Some(volume) = volume else {
        if let Some(check) = said.check.map(Preflight::normalised) {
            preflights::insert(connection, &check, said.run_id, now).await?;
        }
        return Ok(Taken::default());
    };
    let before = volume.known();
    let mut known = before.clone();
    if let Some(seen) = &said.seen {
        volumes::set_seen(connection, name, seen).await?;
        known = match double(connection, &volume, seen).await? {
            Holder::Another(found) => refused(connection, known, found, timers, now).await?,
            Holder::This => known.no_duplicate(),
            Holder::Unknown => known,
        };
    }
    if said.limit_is_over {
        known = known.no_limit();
    }
    let mut check = said.check.map(Preflight::normalised);
    if let Some(made) = &mut check {
        // A Hello repeats the worker's last check, whoever heard it first.
        if preflights::insert(connection, made, said.run_id, now).await? {
            known = known.after(made, now, timers.windows());
            volumes::asked(connection, name).await?;
        }
        if known.rung == Some(Rung::Duplicate) && made.status == preflight::Status::Passed {
            *made = duplicate(&volume, known.message.clone());
        }
    }
    if known != before {
        volumes::set_known(connection, name, &known).await?;
    }
    let login = known.login(now);
    if known.status != before.status || login != before.login(now) {
        info!(volume = name, from = %before.status, to = %known.status, ?login, rung = ?known.rung, message = known.message, "login changed");
    }
    Ok(Taken {
        moved: login != before.login(now),
        check,
    })
}

/// Who had a login first.
enum Holder {
    /// The volume that reports it.
    This,
    /// Another; the failed check of this one.
    Another(Preflight),
    /// Nothing is known of the login.
    Unknown,
}

/// The failed check of a volume whose login another volume had first.
async fn double(connection: &mut Connection, volume: &Volume, seen: &Seen) -> Result<Holder, Error> {
    if seen.login_fingerprint.is_empty() {
        // A worker that has just started has no key for fingerprints yet; an API key needs none, and no credential has none.
        let text = |name: &str| seen.diagnostics.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let bytes = seen.diagnostics.get("credential_bytes").and_then(serde_json::Value::as_i64);
        let none = text("login_method") == "api_key" || (seen.diagnostics["exists"] == true && bytes == Some(0));
        return Ok(if none { Holder::This } else { Holder::Unknown });
    }
    let first = fingerprints::first_holder(connection, &seen.login_fingerprint, &volume.name).await?;
    if first == volume.name {
        return Ok(Holder::This);
    }
    let (name, worker) = (&volume.name, volume.worker_affinity.as_deref().unwrap_or_default());
    let message = format!(
        "login check failed: the volumes {first} and {name} hold one and the same login, and two users of one login log each other out \
         (volume {name}, worker {worker}). Log {name} in on its own: moorline volume login {name}"
    );
    Ok(Holder::Another(duplicate(volume, message)))
}

fn duplicate(volume: &Volume, message: String) -> Preflight {
    Preflight {
        status: preflight::Status::Failed,
        rung: Some(Rung::Duplicate),
        message,
        exit_code: None,
        duration_ms: 0,
        checked_at: None,
        retry_after_ms: None,
        volume: volume.name.clone(),
        queue: String::new(),
        worker_name: volume.worker_affinity.clone().unwrap_or_default(),
    }
}

async fn refused(connection: &mut Connection, known: Known, found: Preflight, timers: &Timers, now: DateTime<Utc>) -> Result<Known, Error> {
    if known.rung != Some(Rung::Duplicate) {
        warn!(volume = found.volume, message = found.message, "a login is in two volumes");
        preflights::insert(connection, &found, None, now).await?;
    }
    Ok(known.after(&found, now, timers.windows()))
}
