//! How a container ended.

use std::time::Duration;

use bollard::{errors::Error as DockerError, models::ContainerState};
use chrono::DateTime;
use futures::StreamExt;

use super::{DockerEngine, error, spec};
use crate::engine::{Error, Exit, limit};

/// How often an engine that has stopped answering is asked again, and how many times: a restart of the engine takes seconds.
const ASK_AGAIN: Duration = Duration::from_secs(3);
const PATIENCE: u32 = 20;

impl DockerEngine {
    /// Waits until a container has ended. The line to the engine may break meanwhile; the engine's state is what counts.
    pub(super) async fn wait_for(&self, id: &str) -> Result<Exit, Error> {
        let mut unanswered = 0;
        loop {
            let waited = self.docker.wait_container(id, None).next().await;
            match self.ended(id).await {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => unanswered = 0,
                Err(error @ Error::Unreachable { .. }) if unanswered == PATIENCE => return Err(error),
                Err(Error::Unreachable { .. }) => unanswered += 1,
                Err(error) => return Err(error),
            }
            if !matches!(waited, Some(Ok(_) | Err(DockerError::DockerContainerWaitError { .. }))) {
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }

    /// How it ended, or `None` while it runs.
    async fn ended(&self, id: &str) -> Result<Option<Exit>, Error> {
        let found = self.docker.inspect_container(id, None).await;
        let found = found.map_err(|source| self.error("inspect a container", source))?;
        let state = found.state.unwrap_or_default();
        if state.running.unwrap_or(false) {
            return Ok(None);
        }
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let limit = labels.get(spec::LIMIT).and_then(|seconds| seconds.parse().ok());
        let limit = limit.map_or(Duration::MAX, Duration::from_secs_f64);
        exit(&state, limit).map(Some)
    }
}

fn exit(state: &ContainerState, limit: Duration) -> Result<Exit, Error> {
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
    let code = code.ok_or_else(|| error::other("tell how a container ended", "it gave no exit code"))?;
    // The kernel may also have killed a child that the program then did without: only if the program itself was killed is it the end's cause.
    if state.oom_killed.unwrap_or(false) && code == 137 {
        return Ok(Exit::OutOfMemory);
    }
    Ok(limit::exit(code, ran(state).unwrap_or_default(), limit))
}

fn ran(state: &ContainerState) -> Option<Duration> {
    let time = |text: &Option<String>| DateTime::parse_from_rfc3339(text.as_deref()?).ok();
    (time(&state.finished_at)? - time(&state.started_at)?).to_std().ok()
}
