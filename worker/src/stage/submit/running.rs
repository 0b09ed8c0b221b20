//! The agent's container while it runs: whatever happens to the engine or the job, it doesn't outlive the job.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Submit;
use crate::{
    engine::{self, Container, Engine, Exit},
    redact::chain,
    stage::{Error, STOP_GRACE},
};

/// How long an engine that fails is asked again to end a container.
const ENDING: Duration = Duration::from_secs(60);
/// Pauses in between: the first, each next one twice as long, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Why there is no exit to judge.
pub(super) enum End {
    /// The job was told to stop.
    Stopped(&'static str),
    /// The engine failed.
    Engine(engine::Error),
}

impl End {
    pub(super) fn of(self, submit: &Submit<'_>) -> Error {
        match self {
            Self::Stopped(how) => Error::Stopped(how),
            Self::Engine(error) => submit.engine_fault(&error),
        }
    }
}

/// A container that is stopped and removed if the stage is given up.
pub(super) struct Running {
    engine: Arc<dyn Engine>,
    container: Option<Container>,
}

impl Running {
    pub(super) fn new(engine: &Arc<dyn Engine>, container: Container) -> Self {
        Self {
            engine: engine.clone(),
            container: Some(container),
        }
    }

    /// Waits for its end, and brings it about when the job is told to stop or the engine fails.
    pub(super) async fn attend(&self, stop: &CancellationToken) -> Result<Exit, End> {
        let Some(container) = &self.container else {
            return Err(End::Stopped("stopped"));
        };
        let waited = tokio::select! {
            biased;
            exit = self.engine.wait(container) => exit,
            () = stop.cancelled() => return Err(End::Stopped(self.halt(container).await)),
        };
        match waited {
            Ok(exit) => Ok(exit),
            Err(error) => {
                // It may well run on, with the login in its hands, and the slot is about to be another job's.
                end(self.engine.as_ref(), container, STOP_GRACE).await;
                Err(if stop.is_cancelled() {
                    End::Stopped("killed")
                } else {
                    End::Engine(error)
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
            Ok(Err(_)) | Err(_) => {
                end(self.engine.as_ref(), container, Duration::ZERO).await;
                "killed"
            }
        }
    }

    /// Removes it after its end.
    pub(super) async fn remove(mut self) {
        if let Some(container) = self.container.take()
            && let Err(error) = self.engine.remove(&container).await
        {
            tracing::warn!(container = %container.id, error = %chain(&error), "the job's container could not be removed");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Some(container), Ok(runtime)) = (self.container.take(), tokio::runtime::Handle::try_current()) {
            let engine = self.engine.clone();
            runtime.spawn(async move { end(engine.as_ref(), &container, Duration::ZERO).await });
        }
    }
}

/// Stops and removes a container, again and again where the engine fails, for a minute at most.
async fn end(engine: &dyn Engine, container: &Container, grace: Duration) {
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
            Ok(Ok(())) => return,
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
            return;
        }
        tracing::warn!(container = %container.id, %error, "a job's container could not be ended; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}
