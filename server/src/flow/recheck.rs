//! A run that its login failed is retried once the login is good: before that it would halt again at once.

use std::time::Duration;

use tracing::info;
use uuid::Uuid;

use super::{Error, Flow, command, volume::connected_holder};
use crate::{
    db::{jobs, preflights, runs, shards, volumes::Volume},
    domain::{
        self,
        command::{Answer, Order},
        job::FailureClass,
        preflight, run, volume,
    },
};

/// How long the worker has for its answer: its own check may take a minute.
const DEADLINE: Duration = Duration::from_secs(75);

/// Looks at the login of a run that failed by it. Nothing is asked where a later check has passed; otherwise the worker that holds the volume
/// checks again, since whoever renewed the login need not have told anybody.
///
/// # Errors
///
/// `LOGIN_STILL_BAD`, naming the volume and the remedy.
pub async fn login(flow: &Flow, run_id: Uuid) -> Result<(), Error> {
    let Some((volume, known)) = suspect(flow, run_id).await? else {
        return Ok(());
    };
    let Some(instance_id) = connected_holder(flow, &volume).await? else {
        let message = format!("{known}; no worker is there to check it again: start the shard's worker, which does so when it starts");
        return Err(still_bad(run_id, &volume.name, &message));
    };
    let asked = command::Request {
        instance_id,
        session_id: None,
        order: Order::CheckVolume {
            volume: volume.name.clone(),
            probe: false,
            run_id: None,
        },
        requested_by: "retry",
        deadline: DEADLINE,
    };
    match command::ask(flow, &asked).await? {
        Answer::Checked { check, .. } if check.status != preflight::Status::Failed => {
            info!(%run_id, volume = volume.name, "login is good again");
            Ok(())
        }
        Answer::Checked { check, .. } => Err(still_bad(run_id, &volume.name, &check.normalised().message)),
        Answer::Failed(failure) => {
            let message = format!("{known}; its worker could not check it again: {}", failure.message);
            Err(still_bad(run_id, &volume.name, &message))
        }
        _ => {
            let message = format!("{known}; its worker gave no answer when it was to check again: see whether it is there");
            Err(still_bad(run_id, &volume.name, &message))
        }
    }
}

/// The volume whose latest check failed, with what that check said, if the run failed by its login.
async fn suspect(flow: &Flow, run_id: Uuid) -> Result<Option<(Volume, String)>, Error> {
    let mut connection = flow.connection().await?;
    let found = runs::find(&mut connection, run_id).await?;
    let Some(queue) = found
        .filter(|run| run.status == run::Status::Failed)
        .and_then(|run| run.codex_queue)
    else {
        return Ok(None);
    };
    let failed = jobs::failed_of_runs(&mut connection, &[run_id]).await?;
    let by_login = failed
        .last()
        .and_then(jobs::Job::failure)
        .is_some_and(|failure| failure.class == FailureClass::Login);
    let shard = shards::with_volumes(&mut connection, Some(&queue)).await?.pop();
    let (true, Some((_, volume))) = (by_login, shard) else {
        return Ok(None);
    };
    let latest = preflights::latest_of_volume(&mut connection, &volume.name).await?;
    let failed = latest.filter(|check| check.status == preflight::Status::Failed && volume.status != volume::Status::Ready);
    Ok(failed.map(|check| (volume, check.message)))
}

fn still_bad(run_id: Uuid, volume: &str, message: &str) -> Error {
    let message = format!("the login of volume {volume} is still bad, and the run would halt again at once: {message}; then retry the run");
    domain::Error::precondition("LOGIN_STILL_BAD", message)
        .with("run_id", run_id.to_string())
        .with("volume", volume)
        .into()
}
