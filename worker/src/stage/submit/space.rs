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
        let (folder, most) = (self.folder.clone(), self.most);
        let measured = tokio::task::spawn_blocking(move || disk::taken(&folder, most)).await;
        let taken = measured.map_err(std::io::Error::other).flatten().unwrap_or_else(|error| {
            tracing::warn!(folder = %self.folder.display(), %error, "a run's folder can't be measured");
            0
        });
        let written = self.engine.written(container).await.unwrap_or_else(|error| {
            tracing::debug!(container = %container.id, error = %chain(&error), "a container can't be measured");
            0
        });
        taken.saturating_add(written) > most
    }
}
