//! What a job takes of the disk, measured while it works: neither engine can limit that everywhere.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    disk,
    engine::{Container, Engine},
    redact::chain,
    stage::Context,
};

/// Pause between two looks at least, and at most. In between it is ten times what a look takes.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// Looks at a folder that can't be measured before it counts as full, and the pause between them.
const LOOKS: u32 = 3;
const AGAIN: Duration = Duration::from_millis(200);

/// The space of one job.
pub(super) struct Space {
    engine: Arc<dyn Engine>,
    folder: PathBuf,
    most: u64,
}

impl Space {
    pub(super) fn of(ctx: &Context) -> Self {
        Self {
            engine: ctx.engine.clone(),
            folder: ctx.folder.root.clone(),
            most: ctx.config.walls.disk_bytes,
        }
    }

    /// Passes when the job has taken more than it may.
    pub(super) async fn overflow(&self, container: &Container) {
        if self.most == 0 {
            return std::future::pending().await;
        }
        let (shortest, longest) = PAUSES;
        let mut pause = shortest;
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            if self.is_full(container).await {
                return;
            }
            pause = (began.elapsed() * 10).clamp(shortest, longest);
        }
    }

    /// Whether it has.
    pub(super) async fn is_full(&self, container: &Container) -> bool {
        if self.most == 0 {
            return false;
        }
        let Some(taken) = self.taken().await else { return true };
        let written = self.engine.written(container).await.unwrap_or_else(|error| {
            tracing::debug!(container = %container.id, error = %chain(&error), "a container can't be measured");
            0
        });
        taken.saturating_add(written) > self.most
    }

    /// `None` where it can't be measured: a job that keeps the worker out has no limit otherwise.
    async fn taken(&self) -> Option<u64> {
        for look in 1..=LOOKS {
            let (folder, most) = (self.folder.clone(), self.most);
            let measured = tokio::task::spawn_blocking(move || disk::taken(&folder, most)).await;
            match measured.map_err(std::io::Error::other).flatten() {
                Ok(taken) => return Some(taken),
                Err(error) => {
                    tracing::warn!(folder = %self.folder.display(), %error, look, "a run's folder can't be measured; after {LOOKS} looks its job is stopped");
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        None
    }
}
