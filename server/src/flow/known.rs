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
    /// Whether the check may have been said before: a Hello repeats it. Then it counts once.
    pub may_repeat: bool,
}

/// Stores what is said of a volume, in the caller's transaction. Returns whether jobs of its shard are looked at with other eyes from now on.
///
/// # Errors
///
/// When the database fails.
pub async fn take(connection: &mut Connection, timers: &Timers, name: &str, said: Said, now: DateTime<Utc>) -> Result<bool, Error> {
    let volume = volumes::lock(connection, name).await?;
    let check = match said.check.map(Preflight::normalised) {
        Some(check) if store(connection, &check, said.run_id, said.may_repeat, now).await? => Some(check),
        _ => None,
    };
    let Some(volume) = volume else {
        return Ok(false);
    };
    let before = volume.known();
    let mut known = before.clone();
    if let Some(seen) = &said.seen {
        volumes::set_seen(connection, name, seen).await?;
        known = match double(connection, &volume, seen).await? {
            Some(found) => refused(connection, known, found, timers, now).await?,
            None => known.no_duplicate(),
        };
    }
    if let Some(check) = check {
        known = known.after(&check, now, timers.windows());
    }
    if known != before {
        volumes::set_known(connection, name, &known).await?;
    }
    let login = known.login(now);
    if known.status != before.status || login != before.login(now) {
        info!(volume = name, from = %before.status, to = %known.status, ?login, rung = ?known.rung, message = known.message, "login changed");
    }
    Ok(login != before.login(now))
}

async fn store(
    connection: &mut Connection,
    check: &Preflight,
    run_id: Option<Uuid>,
    may_repeat: bool,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    if may_repeat {
        return Ok(preflights::insert_new(connection, check, check.checked_at, now).await?);
    }
    preflights::insert(connection, check, run_id, now).await?;
    Ok(true)
}

/// The failed check of a volume whose login another volume had first.
async fn double(connection: &mut Connection, volume: &Volume, seen: &Seen) -> Result<Option<Preflight>, Error> {
    if seen.login_fingerprint.is_empty() {
        return Ok(None);
    }
    let first = fingerprints::first_holder(connection, &seen.login_fingerprint, &volume.name).await?;
    if first == volume.name {
        return Ok(None);
    }
    let (name, worker) = (&volume.name, volume.worker_affinity.clone().unwrap_or_default());
    let message = format!(
        "login check failed: the volumes {first} and {name} hold one and the same login, and two users of one login log each other out \
         (volume {name}, worker {worker}). Log {name} in on its own: moorline volume login {name}"
    );
    Ok(Some(Preflight {
        status: preflight::Status::Failed,
        rung: Some(Rung::Duplicate),
        message,
        exit_code: None,
        duration_ms: 0,
        checked_at: None,
        retry_after_ms: None,
        volume: name.clone(),
        queue: String::new(),
        worker_name: worker,
    }))
}

async fn refused(connection: &mut Connection, known: Known, found: Preflight, timers: &Timers, now: DateTime<Utc>) -> Result<Known, Error> {
    if known.rung != Some(Rung::Duplicate) {
        warn!(volume = found.volume, message = found.message, "a login is in two volumes");
        preflights::insert(connection, &found, None, now).await?;
    }
    Ok(known.after(&found, now, timers.windows()))
}
