//! The agent's container while it runs: whatever happens to the engine or the job, it doesn't outlive the job. It may outlive the worker.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use moorline_proto::v1::{self, FailureClass};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Submit, space::Space};
use crate::{
    engine::{self, Container, Engine, Exit},
    holding::Holding,
    redact::chain,
    stage::{Context, Error, Owner, STOP_GRACE, failure},
};

/// How long an engine that fails is asked again to end a container.
const ENDING: Duration = if cfg!(test) {
    Duration::from_secs(2)
} else {
    Duration::from_secs(60)
};
/// Pauses in between: the first, each next one twice as long, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How a job was stopped whose container could not be ended.
pub(crate) const STILL_RUNNING: &str = "still_running";

/// Why there is no exit to judge.
pub(super) enum End {
    /// The job was told to stop.
    Stopped(&'static str),
    /// The engine failed.
    Engine(engine::Error),
    /// It took more of the disk than it may; what it took to stop it.
    DiskFull(&'static str),
}

impl End {
    /// Whether the container could not be ended.
    pub(super) fn still_runs(&self) -> bool {
        matches!(self, Self::Stopped(STILL_RUNNING) | Self::DiskFull(STILL_RUNNING))
    }

    pub(super) fn of(self, submit: &Submit<'_>) -> Error {
        match self {
            Self::Stopped(how) => Error::Stopped(how),
            Self::Engine(error) => submit.engine_fault(&error),
            Self::DiskFull(how) => submit.disk_full(how),
        }
    }
}

/// A container that is stopped and removed if the stage is given up, and left alone if the worker goes: the next one of its name adopts it.
pub(super) struct Running {
    engine: Arc<dyn Engine>,
    container: Option<Container>,
    space: Space,
    leaving: CancellationToken,
    ended: CancellationToken,
}

impl Running {
    pub(super) fn new(ctx: &Context, container: Container) -> Self {
        Self {
            engine: ctx.engine.clone(),
            container: Some(container),
            space: Space::of(ctx),
            leaving: ctx.leaving.clone(),
            ended: ctx.agent_ended.clone(),
        }
    }

    /// Waits for its end, and brings it about when the job is told to stop, its disk is full or the engine fails. The ended container stays, with its exit
    /// code, until the job's end is on record: a worker that is killed before that finds it there.
    pub(super) async fn attend(mut self, stop: &CancellationToken) -> Result<Exit, End> {
        let ended = match self.container.clone() {
            Some(container) => self.wait(&container, stop).await,
            None => Err(End::Stopped("stopped")),
        };
        self.container = None;
        let over = match &ended {
            Ok(_) => true,
            Err(end) => matches!(end, End::DiskFull(_)) && !end.still_runs(),
        };
        if over {
            self.ended.cancel();
        }
        ended
    }

    async fn wait(&self, container: &Container, stop: &CancellationToken) -> Result<Exit, End> {
        let waited = tokio::select! {
            biased;
            exit = self.engine.wait(container) => exit,
            () = stop.cancelled() => return Err(End::Stopped(self.halt(container).await)),
            () = self.space.overflow(container) => return Err(End::DiskFull(self.halt(container).await)),
        };
        match waited {
            // What it wrote at last is looked at before anything reads it.
            Ok(_) if self.space.is_full(container).await => Err(End::DiskFull("ended")),
            Ok(exit) => Ok(exit),
            Err(error) => {
                // It may well run on, with the login in its hands, and the slot is about to be another job's.
                let gone = end(self.engine.as_ref(), container, STOP_GRACE).await;
                Err(match stop.is_cancelled() {
                    true => End::Stopped(if gone { "killed" } else { STILL_RUNNING }),
                    false => End::Engine(error),
                })
            }
        }
    }

    /// Stops it, and returns what it took.
    async fn halt(&self, container: &Container) -> &'static str {
        let stopped = async {
            self.engine.stop(container, STOP_GRACE).await?;
            self.engine.wait(container).await
        };
        match timeout(STOP_GRACE + ENDING, stopped).await {
            Ok(Ok(exit)) if exit != Exit::Signal(9) => "stopped",
            Ok(Ok(_)) => "killed",
            Ok(Err(_)) | Err(_) => match end(self.engine.as_ref(), container, Duration::ZERO).await {
                true => "killed",
                false => STILL_RUNNING,
            },
        }
    }

    /// Stops and removes it now.
    pub(super) async fn end(mut self) {
        if let Some(container) = self.container.take() {
            end(self.engine.as_ref(), &container, Duration::ZERO).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(container) = self.container.take().filter(|_| !self.leaving.is_cancelled()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let engine = self.engine.clone();
            runtime.spawn(async move { end(engine.as_ref(), &container, Duration::ZERO).await });
        }
    }
}

/// Removes the job's containers, once its end is on record: those of this lease and of older ones. Stops them before, if they run at all.
pub async fn clear(ctx: &Context) {
    let labels = [("moorline.job", &ctx.offer.job_id), ("moorline.worker", &ctx.config.name)];
    match ctx.engine.list(&labelled(labels)).await {
        Ok(left) => {
            for container in left {
                end(ctx.engine.as_ref(), &container, STOP_GRACE).await;
            }
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), "the job's container could not be looked for; the next job of its login removes it")
        }
    }
}

impl Submit<'_> {
    /// Ends whatever else uses the login. A login serves one job at a time, and this is that job: what is there was left by one that could not
    /// be ended in its time.
    pub(super) async fn free_volume(&self) -> Result<(), Error> {
        let Some(volume) = &self.volume else { return Ok(()) };
        let engine = self.ctx.engine.as_ref();
        let left = match engine.list(&labelled([("moorline.volume", volume)])).await {
            Ok(left) => left,
            Err(error) => {
                // An engine that can't do this can't check the login either, and the check says best what is the matter.
                self.preflight().await?;
                return Err(self.engine_fault(&error));
            }
        };
        // Where a login serves more than one, the worker's other jobs work on.
        let at_work = self.ctx.holding.as_ref().map(Holding::agents).unwrap_or_default();
        for container in left.into_iter().filter(|container| !is_of(container, &at_work, &self.ctx.offer)) {
            let label = |name: &str| container.labels.get(name).map(String::as_str).unwrap_or_default();
            tracing::warn!(
                container = %container.id,
                of_run = label("moorline.run"),
                of_job = label("moorline.job"),
                of_worker = label("moorline.worker"),
                %volume,
                "a container with this job's login was left behind: it is stopped and removed before the job starts"
            );
            if !end(engine, &container, STOP_GRACE).await {
                let message = format!(
                    "the container {} still runs with the volume {volume} mounted, and the engine could not end it: remove it by hand, then retry \
                     the run",
                    container.id
                );
                return Err(Error::Failed(failure("VOLUME_IN_USE", FailureClass::Environment, message)));
            }
        }
        Ok(())
    }
}

/// Whether it is the container of another job of these.
fn is_of(container: &Container, at_work: &[Owner], offer: &v1::Offer) -> bool {
    let label = |name: &str| container.labels.get(name).map(String::as_str);
    let of =
        |owner: &Owner| label("moorline.job") == Some(&owner.job_id) && label("moorline.lease") == Some(&owner.lease_token.to_string());
    at_work.iter().any(|owner| owner.job_id != offer.job_id && of(owner))
}

fn labelled<const N: usize>(labels: [(&str, &String); N]) -> BTreeMap<String, String> {
    labels.map(|(name, value)| (name.to_owned(), value.clone())).into()
}

/// Stops and removes a container, again and again where the engine fails, for a minute at most. Returns
/// whether it is gone.
pub(crate) async fn end(engine: &dyn Engine, container: &Container, grace: Duration) -> bool {
    let deadline = Instant::now() + ENDING;
    let (mut pause, longest) = PAUSES;
    loop {
        let ended = timeout_at(deadline, async {
            // It lets the agent write its login down; what doesn't stop is removed by force all the same.
            if let Err(error) = engine.stop(container, grace).await {
                tracing::debug!(container = %container.id, error = %chain(&error), "a job's container could not be stopped");
            }
            engine.remove(container).await
        });
        let error = match ended.await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => chain(&error),
            Err(_) => "it did not answer in time".to_owned(),
        };
        if Instant::now() + pause >= deadline {
            let id = &container.id;
            tracing::error!(
                container = %id, %error,
                "A JOB'S CONTAINER MAY STILL RUN WITH THE LOGIN MOUNTED: the engine could not end {id} within {} s. Mend the engine and remove it by hand",
                ENDING.as_secs()
            );
            return false;
        }
        tracing::warn!(container = %container.id, %error, "a job's container could not be ended; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

#[cfg(test)]
mod tests;
