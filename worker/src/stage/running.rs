//! A job's container while it runs, an agent's or a skill's: whatever happens to the engine or the job, it doesn't outlive the job. It may outlive
//! the worker.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{AgentEnded, Context, STOP_GRACE, space::Space};
use crate::{
    engine::{self, Container, Engine, Exit},
    redact::chain,
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

/// Whether what ended while no worker was there ended with the machine or its engine: that is not its own fault. `told` says that it has told
/// itself how it ended.
pub(crate) async fn went_with_its_engine(engine: &dyn Engine, exit: Exit, told: bool) -> bool {
    match exit {
        Exit::Signal(_) => true,
        exit if is_unknown(exit, told) => engine.info().await.is_ok_and(|info| info.kind == "docker"),
        _ => false,
    }
}

/// Docker's code for containers that it found dead when it came up again, as after a loss of power. What has told how it ended has ended by itself.
fn is_unknown(exit: Exit, told: bool) -> bool {
    exit == Exit::Code(255) && !told
}

/// Why there is no exit to judge.
pub(crate) enum End {
    /// The job was told to stop.
    Stopped(&'static str),
    /// The engine failed.
    Engine(engine::Error),
    /// It took more of the disk than it may; what it took to stop it.
    DiskFull(&'static str),
    /// It wrote more than is read of it; what it took to stop it.
    Excess(&'static str),
}

impl End {
    /// Whether the container could not be ended.
    pub(crate) fn still_runs(&self) -> bool {
        matches!(
            self,
            Self::Stopped(STILL_RUNNING) | Self::DiskFull(STILL_RUNNING) | Self::Excess(STILL_RUNNING)
        )
    }
}

/// A container that is stopped and removed if the stage is given up, and left alone if the worker goes: the next one of its name adopts it.
pub(crate) struct Running {
    engine: Arc<dyn Engine>,
    container: Option<Container>,
    space: Space,
    leaving: CancellationToken,
    /// Told when it has ended by itself, where what comes after it is to have no deadline.
    ended: Option<AgentEnded>,
}

impl Running {
    /// One whose work is stored however long that takes.
    pub(crate) fn new(ctx: &Context, container: Container) -> Self {
        let mut running = Self::cheap(ctx, container);
        running.ended = Some(ctx.agent_ended.clone());
        running
    }

    /// One whose work can be done again: the stage's deadline holds on.
    pub(crate) fn cheap(ctx: &Context, container: Container) -> Self {
        Self {
            engine: ctx.engine.clone(),
            container: Some(container),
            space: Space::of(ctx),
            leaving: ctx.leaving.clone(),
            ended: None,
        }
    }

    /// Waits for its end, and brings it about when the job is told to stop, its disk is full or the engine fails. The ended container stays, with its exit
    /// code, until the job's end is on record: a worker that is killed before that finds it there.
    pub(crate) async fn attend(self, stop: &CancellationToken) -> Result<Exit, End> {
        self.attend_until(stop, std::future::pending()).await
    }

    /// The same for one that may write so much and no more: `excess` passes when it has written more.
    pub(crate) async fn attend_until(mut self, stop: &CancellationToken, excess: impl Future<Output = ()>) -> Result<Exit, End> {
        let ended = match self.container.clone() {
            Some(container) => self.wait(&container, stop, excess).await,
            None => Err(End::Stopped("stopped")),
        };
        self.container = None;
        let over = match &ended {
            Ok(_) => true,
            Err(end) => matches!(end, End::DiskFull(_) | End::Excess(_)) && !end.still_runs(),
        };
        if let Some(ended) = self.ended.as_ref().filter(|_| over) {
            ended.set();
        }
        ended
    }

    async fn wait(&self, container: &Container, stop: &CancellationToken, excess: impl Future<Output = ()>) -> Result<Exit, End> {
        let waited = tokio::select! {
            biased;
            exit = self.engine.wait(container) => exit,
            () = stop.cancelled() => return Err(End::Stopped(self.halt(container, STOP_GRACE).await)),
            () = self.space.overflow(container) => return Err(End::DiskFull(self.halt(container, STOP_GRACE).await)),
            // It would go on writing.
            () = excess => return Err(End::Excess(self.halt(container, Duration::ZERO).await)),
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
    async fn halt(&self, container: &Container, grace: Duration) -> &'static str {
        let stopped = async {
            self.engine.stop(container, grace).await?;
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
    pub(crate) async fn end(mut self) {
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

/// Removes the job's containers, once its end is on record: those of this lease and of older ones. Stops them before, if they run at all. Returns
/// whether all are gone.
pub async fn clear(ctx: &Context) -> bool {
    let labels = [("moorline.job", &ctx.offer.job_id), ("moorline.worker", &ctx.config.name)];
    match ctx.engine.list(&labelled(labels)).await {
        Ok(left) => {
            let mut gone = true;
            for container in left {
                gone &= end(ctx.engine.as_ref(), &container, STOP_GRACE).await;
            }
            gone
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), "the job's container could not be looked for; the next job of its login removes it");
            false
        }
    }
}

pub(super) fn labelled<const N: usize>(labels: [(&str, &String); N]) -> BTreeMap<String, String> {
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
pub(super) mod tests;
